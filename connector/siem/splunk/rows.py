"""The stream of an export, line by line: final rows, messages, and whether it came to its end.

Each line is a JSON object (``{"preview": false, "offset": 0, "result": {…}}``). Rows of a preview come again and are
dropped. The last line of a result has ``"lastrow": true``, also where there is no row: a stream without one was cut,
however well its connection ended. splunklib's own reader takes the whole stream into memory, and of several messages
in one line gives the last one alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from connector.errors import TransientError
from connector.siem.splunk.faults import CutError
from connector.siem.splunk.messages import Message


class Line(msgspec.Struct, frozen=True):
    """One line of an export."""

    preview: bool = False
    lastrow: bool = False
    result: msgspec.Raw = msgspec.Raw()
    messages: tuple[Message, ...] = ()


_LINE: Final = msgspec.json.Decoder(Line)
"""Made once, while the module is imported: two threads that decode a type for the first time at once end the process."""
_ROW: Final = msgspec.json.Decoder(dict[str, Any])


def read(lines: Iterable[bytes]) -> Iterator[bytes | Message]:
    """The final rows as the JSON that the server sent, and all messages.

    Raises ``CutError`` at the end where the end was missing, and ``TransientError`` for a line that is none.
    """
    ended = False
    for text in lines:
        if not text.strip():
            continue
        line = _decoded(text)
        yield from line.messages
        if line.preview:
            continue
        if row := bytes(line.result):
            ended = False
            yield row
        ended = ended or line.lastrow
    if not ended:
        raise CutError("the search's results ended before their last row", sent=True)


def fields(row: bytes) -> dict[str, Any]:
    """A row's fields by name. What strict JSON refuses (lone surrogates) the standard library reads."""
    try:
        return _ROW.decode(row)
    except msgspec.DecodeError:
        found = json.loads(row)
        if not isinstance(found, dict):
            raise TransientError("a row of the search is no object", sent=True) from None
        return found


def _decoded(text: bytes) -> Line:
    try:
        return _LINE.decode(text)
    except msgspec.DecodeError:
        return _leniently(text)


def _leniently(text: bytes) -> Line:
    try:
        found = json.loads(text)
        if isinstance(found, dict) and "result" in found:
            found["result"] = msgspec.Raw(json.dumps(found["result"]).encode())
        return msgspec.convert(found, Line)
    except (ValueError, RecursionError) as error:
        raise CutError(f"a line of the search's results is no JSON: {error}", sent=True) from error
