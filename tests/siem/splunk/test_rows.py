"""An export's stream: final rows, every message, and an end that is seen."""

from __future__ import annotations

import pytest

from connector.errors import TransientError
from connector.events.normalise import to_ecs
from connector.siem.splunk import rows
from connector.siem.splunk.faults import CutError
from connector.siem.splunk.messages import Message

END = b'{"preview":false,"lastrow":true}\n'


def row(number: int, *, last: bool = False, preview: bool = False) -> bytes:
    flags = b"true" if preview else b"false"
    return b'{"preview":%b,"offset":%d%b,"result":{"n":"%d"}}\n' % (
        flags,
        number,
        b',"lastrow":true' if last else b"",
        number,
    )


def numbers(*lines: bytes) -> list[str]:
    return [rows.fields(item)["n"] for item in rows.read(lines) if isinstance(item, bytes)]


def test_rows_come_as_they_were_sent() -> None:
    assert list(rows.read([row(0), row(1, last=True)])) == [b'{"n":"0"}', b'{"n":"1"}']


def test_an_empty_answer_ends_too() -> None:
    assert numbers(END) == []


def test_preview_rows_are_dropped_and_end_nothing() -> None:
    assert numbers(row(7, preview=True), row(8, preview=True, last=True), row(0), row(1, last=True)) == ["0", "1"]
    with pytest.raises(CutError):
        numbers(row(7, preview=True, last=True))


@pytest.mark.parametrize(
    "lines", [[], [row(0)], [row(0, last=True), row(1)], [b"\n"], [b'{"preview":false,"messages":[]}']]
)
def test_a_stream_without_its_last_row_was_cut(lines: list[bytes]) -> None:
    with pytest.raises(CutError, match="last row"):
        list(rows.read(lines))


def test_a_line_that_ends_in_the_middle_was_cut() -> None:
    with pytest.raises(CutError, match="JSON"):
        list(rows.read([row(0), row(1)[:20]]))


def test_every_message_of_a_line_is_heard() -> None:
    line = b'{"preview":false,"messages":[{"type":"WARN","text":"a"},{"type":"ERROR","text":"b"}]}\n'
    assert list(rows.read([line, END])) == [Message("WARN", "a"), Message("ERROR", "b")]


def test_a_row_with_a_lone_surrogate_takes_no_other_with_it_and_is_an_event() -> None:
    odd = b'{"preview":false,"offset":0,"result":{"_raw":"\\ud800 x","n":"0","sourcetype":"a"}}\n'
    assert numbers(odd, row(1, last=True)) == ["0", "1"]
    [data, _] = [item for item in rows.read([odd, row(1, last=True)]) if isinstance(item, bytes)]
    assert to_ecs(data)


def test_a_result_that_is_no_object_is_told() -> None:
    with pytest.raises(TransientError):
        numbers(b'{"preview":false,"result":[1],"lastrow":true}')
