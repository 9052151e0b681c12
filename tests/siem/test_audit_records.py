"""Records of several audit events stand mixed in a log: each serial is one event, wherever reading goes on."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings, strategies as st

from connector.siem.formats import Limits, records
from connector.siem.formats.streams import opened
from connector.types import Cursor, RawEvent, Span
from tests.siem.test_source import drain, source


def record(kind: str, serial: int, second: int = 1, text: str = "") -> bytes:
    return f"type={kind} msg=audit(170000000{second}.123:{serial}): x={text}\n".encode()


MIXED = (
    record("SYSCALL", 1)
    + record("SYSCALL", 2)
    + record("CWD", 1)
    + record("USER_LOGIN", 3)
    + record("CWD", 2)
    + record("PROCTITLE", 1)
    + record("PROCTITLE", 2)
)


def messages(path: Path) -> list[tuple[str, str]]:
    with opened(str(path)) as stream:
        found = list(records(stream, str(path), Limits()))
    return [(place.rpartition(":")[2], str(data["message"])) for data, place, _ in found if isinstance(data, dict)]


def serials(message: str) -> set[str]:
    return {line.partition(":")[2].partition(")")[0] for line in message.splitlines()}


def test_records_that_stand_mixed_are_one_event_a_serial(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(MIXED)
    found = messages(tmp_path / "audit.log")
    assert [(line, message.count("type=")) for line, message in found] == [("1", 3), ("2", 3), ("4", 1)]
    assert all(len(serials(message)) == 1 for _, message in found)


def test_an_event_without_its_last_record_is_whole_when_a_later_record_comes(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(record("SYSCALL", 1) + record("SYSCALL", 2, 3) + record("SYSCALL", 3, 4))
    files = source(tmp_path)
    (head,) = files.heads()
    assert head.offset == len(record("SYSCALL", 1))


def test_no_more_events_are_held_open_than_may_stand_mixed(tmp_path: Path) -> None:
    (tmp_path / "audit.log").write_bytes(b"".join(record("SYSCALL", 100 + n) for n in range(40)))
    (head,) = source(tmp_path).heads()
    assert head.offset == len(record("SYSCALL", 100)) * 24


def test_reading_stands_at_the_oldest_event_that_lacks_records(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    first, rest = record("PROCTITLE", 1), MIXED
    path.write_bytes(first + rest[: rest.index(b"type=PROCTITLE")])
    files = source(path)
    (head,) = files.heads()
    assert head.offset == len(first)
    path.write_bytes(first + rest)
    (grown,) = files.heads()
    found = drain(files, Span(partition=head.partition, start=head.offset, stop=grown.offset))
    assert grown.offset == len(first + rest)
    assert [(raw.place.rpartition(":")[2], str(raw.data).count("type=")) for raw in found] == [
        ("2", 3),
        ("3", 3),
        ("5", 1),
    ]


KINDS = ["SYSCALL", "CWD", "PATH", "PROCTITLE", "EOE", "USER_LOGIN"]
LINES = st.lists(
    st.one_of(
        st.builds(record, st.sampled_from(KINDS), st.integers(1, 6), st.integers(1, 5), st.text("xyz", max_size=300)),
        st.just(b"no record\n"),
        st.just(b"\n"),
    ),
    min_size=1,
    max_size=60,
)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(data=st.data(), written=LINES, limit=st.integers(1, 5), most=st.sampled_from([1024, 1 << 20]))
def test_growing_spans_pages_and_restarts_give_each_event_as_one_pass_does(
    data: st.DataObject, written: list[bytes], limit: int, most: int
) -> None:
    whole = record("DAEMON_START", 0) + b"".join(written) + record("USER_END", 99, 9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "audit.log")
        path.write_bytes(whole)
        once = source(path, max_event_bytes=most)
        (head,) = once.heads()
        span = Span(partition=head.partition, start=0, stop=head.offset)
        expected = {raw.native_id: (raw.data, raw.place) for raw in drain(once, span, 1000)}
        assert once.count(span) == len(expected)
        found: list[RawEvent] = []
        cuts = sorted(data.draw(st.lists(st.integers(len(record("DAEMON_START", 0)), len(whole)), max_size=4)))
        edges = [0]
        files = source(path, max_event_bytes=most)
        for cut in [*cuts, len(whole)]:
            path.write_bytes(whole[:cut])
            if data.draw(st.booleans()):
                files = source(path, max_event_bytes=most)
            (head,) = files.heads()
            if head.offset > edges[-1]:
                edges.append(head.offset)
                found += drain(files, Span(partition=head.partition, start=edges[-2], stop=edges[-1]), limit)
        assert len(found) == len(expected)
        assert {raw.native_id: raw.data for raw in found} == {key: data for key, (data, _) in expected.items()}
        cursor = Cursor(token=str(edges[-2]))
        again = source(path, max_event_bytes=most)
        again.heads()
        replayed = drain(again, Span(partition=head.partition, start=0, stop=edges[-1]), limit, cursor)
        assert {raw.native_id for raw in replayed} <= expected.keys()
        assert all(a.native_id != b.native_id for a, b in itertools.pairwise(replayed))
