"""A rotated file's last line without its end, or its last audit event, is read: nobody will ever end it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connector.siem.files import FilesSource
from connector.siem.tail.finder import successors
from connector.testing import ManualClock
from connector.types import Span
from tests.siem.test_source import drain, everything, numbers, source

AUDIT = b"type=SYSCALL msg=audit(1700000000.1:%d): x=1\ntype=CWD msg=audit(1700000000.1:%d): x=1\n"


def rotated(path: Path, clock: ManualClock, *, seen: bool) -> FilesSource:
    """A source over a log that goes on under its name, while its last line is not ended in the file moved away."""
    files = source(path.parent / "*", clock=clock, settle=timedelta(minutes=5), memory=path.parent / ".memory")
    path.write_bytes(b'{"n": 1}\n{"n": 2}')
    if seen:
        assert numbers(everything(files)) == [1]
    path.rename(path.with_name("a.log.1" if not seen else "elsewhere"))
    path.write_bytes(b'{"n": 3}\n{"n": ')
    return files


@pytest.mark.parametrize("seen", [True, False])
def test_the_last_line_of_a_rotated_file_is_whole_once_it_was_left_alone(seen: bool, tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    files = rotated(tmp_path / "a.log", clock, seen=seen)
    assert sorted(numbers(everything(files))) == [1, 3]
    clock.advance(301)
    assert sorted(numbers(everything(files))) == [1, 2, 3]


def test_a_line_that_a_restart_left_half_read_stays_whole(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    files = rotated(tmp_path / "a.log", clock, seen=True)
    files.heads()
    clock.advance(301)
    head = next(head for head in files.heads() if head.offset == 17)
    files.close()
    again = source(tmp_path / "*", clock=clock, settle=timedelta(minutes=5), memory=tmp_path / ".memory")
    again.heads()
    assert numbers(drain(again, Span(partition=head.partition, start=0, stop=17))) == [1, 2]


def test_a_file_that_keeps_its_name_waits_for_the_end_of_its_last_line(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    (tmp_path / "a.log").write_bytes(b'{"n": 1}\n{"n": 2}')
    files = source(tmp_path, clock=clock, settle=timedelta(minutes=5))
    files.heads()
    clock.advance(3000)
    assert numbers(everything(files)) == [1]


def test_the_last_audit_event_of_a_rotated_log_is_read(tmp_path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    (tmp_path / "audit.log.1").write_bytes(AUDIT % (1, 1) + AUDIT % (2, 2))
    (tmp_path / "audit.log").write_bytes(AUDIT % (3, 3))
    files = source(tmp_path, clock=clock, settle=timedelta(minutes=5))
    files.heads()
    clock.advance(301)
    found = [str(raw.data["message"]) for raw in everything(files) if isinstance(raw.data, dict)]
    assert [message.count(":2)") for message in found] == [0, 2]


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("/v/a.log.1", ["/v/a.log"]),
        ("/v/a-20260317.log", ["/v/a.log"]),
        ("a.log-2026-03-17T11", ["a.log"]),
        ("a.1.2", ["a.1"]),
        ("a-1.log", []),
        ("a.log", []),
    ],
)
def test_a_log_goes_on_under_the_name_that_it_was_rotated_from(name: str, successor: list[str]) -> None:
    assert list(successors(name)) == successor
