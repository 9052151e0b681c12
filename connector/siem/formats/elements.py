"""Splitting a stream that is one large document into the raw bytes of its events, without decoding them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader
from typing import TypeAlias

from connector.siem.formats.streams import PIECE, DamagedError

Element: TypeAlias = tuple[int, bytes, str | None]
"""(line number of its first byte, its bytes, error)."""

_TO_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
"""Everything up to the next bracket outside a string, or up to a string that does not end."""

QUOTE, _ARRAY, _ARRAY_END, _OPENING = ord('"'), ord("["), ord("]"), b"{["
_SHOWN = 4096
BETWEEN = b" \t\r\n,\x1e\xef\xbb\xbf"
_EVENT = re.compile(rb"<Event(?=[\s>/])")
_EVENT_END = b"</Event>"


class Window:
    """The part of a stream that is not dealt with yet."""

    def __init__(self, stream: BufferedReader, limit: int) -> None:
        self.data = b""
        self._stream = stream
        self._limit = limit
        self._line = 1
        self._counted = 0
        self._damage: DamagedError | None = None

    def grow(self, used: int) -> bool:
        """Drops the used front and doubles what is held, so that looking again stays linear; false at the end.

        What came before damage is given first; the damage is raised by the next call.
        """
        if self._damage is not None:
            raise self._damage
        self.line_at(used)
        self.data = self.data[used:]
        self._counted -= used
        if len(self.data) > self._limit:
            raise DamagedError(f"an event is longer than {self._limit} bytes; the rest is not read")
        pieces = [self.data]
        wanted = max(PIECE, len(self.data))
        try:
            while wanted > 0 and (piece := self._stream.read1(PIECE)):
                pieces.append(piece)
                wanted -= len(piece)
        except DamagedError as error:
            self._damage = error
        self.data = b"".join(pieces)
        return len(pieces) > 1 or self._damage is not None

    def line_at(self, index: int) -> int:
        """The line number of a byte of the window; indices must not go back."""
        self._line += self.data.count(b"\n", self._counted, index)
        self._counted = index
        return self._line


def json_objects(stream: BufferedReader, limit: int) -> Iterator[Element]:
    """The objects of JSON arrays and of JSON documents that follow one another, in whatever layout.

    What stands between the objects is an element with an error; so is an object or an array that never ends.
    """
    window = Window(stream, limit)
    start = pos = depth = 0
    in_array = False
    while True:
        pos = bracket(window.data, pos)
        if pos == len(window.data) or window.data[pos] == QUOTE:
            pos -= start
            if not window.grow(start):
                break
            start = 0
            continue
        if depth == 0:
            if stray := window.data[start:pos].strip(BETWEEN):
                yield window.line_at(start), stray, "is not an event, but stands between the events of a document"
            start = pos
        at_bracket, pos = window.data[pos], pos + 1
        if depth == 0 and at_bracket == (_ARRAY_END if in_array else _ARRAY):
            in_array, start = not in_array, pos
            continue
        depth += 1 if at_bracket in _OPENING else -1
        if depth <= 0:
            yield window.line_at(start), window.data[start:pos], None
            start, depth = pos, 0
    rest = window.data.strip(BETWEEN)
    if rest or in_array:
        yield window.line_at(0), rest, "the document ends before its last event or array does"


def bracket(data: bytes, pos: int) -> int:
    """The index of the next bracket outside a string, of a string that does not end, or of the end."""
    match = _TO_BRACKET.match(data, pos)
    return match.end() if match else pos


def xml_events(stream: BufferedReader, limit: int) -> Iterator[Element]:
    """The ``Event`` elements of an XML document, whatever stands around them."""
    window = Window(stream, limit)
    found = False
    start = 0
    while True:
        opening = _EVENT.search(window.data, start)
        end = window.data.find(_EVENT_END, opening.end()) if opening else -1
        if opening and end >= 0:
            found = True
            start = end + len(_EVENT_END)
            yield window.line_at(opening.start()), window.data[opening.start() : start], None
        elif not window.grow(opening.start() if opening else max(start, len(window.data) - len(_EVENT_END))):
            break
        else:
            start = 0
    if opening or not found:
        error = "the document ends in the middle of an event" if opening else "XML without an Event element"
        yield window.line_at(0), window.data[:_SHOWN], error
