"""The files history: changes in file order, resumed at a byte."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from connector.siem.jsonl import FilesHistory, FilesHistoryConfig
from connector.testing import ManualClock
from connector.types import Cursor

CLOSED = (
    b'{"alert_id": "a1", "event_ids": ["e1", "e2"], "status": "closed", "disposition": "false_positive",'
    b' "changed_at": "2026-01-05T10:00:00+01:00", "analyst": "kim", "comment": "known tool", "tags": ["x"],'
    b' "observed_at": "2026-01-05T09:30:00Z", "ticket": 7}\n'
)
REOPENED = b'{"alert_id": "a1", "status": "open", "changed_at": "2026-01-05T11:00:00Z"}\n'


def history(path: Path, clock: ManualClock | None = None) -> FilesHistory:
    return FilesHistory("h", FilesHistoryConfig(path=path), clock or ManualClock())


def test_a_line_gives_every_field_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(CLOSED)
    (change,) = history(path).dispositions(None, 10).items
    assert change.event_ids == ("e1", "e2")
    assert change.disposition == "false_positive"
    assert change.changed_at == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert change.observed_at == datetime(2026, 1, 5, 9, 30, tzinfo=UTC)
    assert (change.analyst, change.comment, change.tags, change.machine) == ("kim", "known tool", ("x",), False)


def test_reopening_is_a_change_and_observed_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(CLOSED + REOPENED)
    clock = ManualClock()
    changes = history(path, clock).dispositions(None, 10).items
    assert [change.status for change in changes] == ["closed", "open"]
    assert changes[1].observed_at == clock()


def test_a_line_that_is_no_change_is_told_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(CLOSED + b'{"alert_id": 3}\n' + REOPENED.replace(b"Z", b"") + REOPENED)
    batch = history(path).dispositions(None, 10)
    assert len(batch.items) == 2
    assert not batch.complete
    assert f"byte {len(CLOSED)}" in batch.reason
    again = history(path).dispositions(batch.cursor, 10)
    assert (again.items, again.complete) == ((), True)


def test_a_torn_last_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(CLOSED + REOPENED[:20])
    one = history(path)
    first = one.dispositions(None, 10)
    assert len(first.items) == 1
    path.write_bytes(CLOSED + REOPENED)
    assert [change.status for change in one.dispositions(first.cursor, 10).items] == ["open"]


def test_a_replaced_file_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(CLOSED)
    cursor = history(path).dispositions(None, 10).cursor
    path.write_bytes(REOPENED)
    assert len(history(path).dispositions(cursor, 10).items) == 1


def test_a_file_that_is_not_there_has_no_changes_and_keeps_the_cursor(tmp_path: Path) -> None:
    cursor = Cursor(token="x:1")
    batch = history(tmp_path / "none.jsonl").dispositions(cursor, 10)
    assert (batch.items, batch.cursor, batch.done) == ((), cursor, True)


def test_a_file_cut_under_the_same_first_line_is_read_from_its_start(tmp_path):
    path = tmp_path / "alerts.jsonl"
    first = b'{"alert_id": "a", "status": "open", "changed_at": "2026-03-17T11:05:00Z"}\n'
    path.write_bytes(first * 3)
    reader = FilesHistory("h", FilesHistory.Config(type="files", path=path), ManualClock())
    reached = reader.dispositions(None, 10).cursor
    path.write_bytes(first + first.replace(b"open", b"closed"))
    assert [change.status for change in reader.dispositions(reached, 10).items] == ["open", "closed"]
