r"""Splunk's search command protocol, version 2: chunks of JSON metadata and CSV rows, on pipes.

::

    chunked 1.0,<bytes of metadata>,<bytes of body>\n<metadata><body>

Every chunk that comes gets exactly one chunk as its answer. Standard library alone, Python 3.9 to 3.13.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import select
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Callable, NamedTuple, Optional

_HEADER = re.compile(rb"chunked 1\.0,(\d{1,10}),(\d{1,10})\s*\n")
_LONGEST_HEADER = 64
_MULTIVALUE = "__mv_"
_VALUE = re.compile(r"\$((?:[^$]|\$\$)*)\$(?:;|\Z)")
_FIELD_SIZE = 2**31 - 1


class Cancelled(Exception):  # noqa: N818 - it is no error
    """The search is gone: nobody reads any more."""


class SearchError(Exception):
    """The command was written wrongly; the message goes to whoever wrote the search."""


class ProtocolError(Exception):
    """What came is not the protocol."""


class Chunk(NamedTuple):
    """One message of the protocol: JSON metadata, and rows as CSV."""

    metadata: Mapping[str, Any]
    body: bytes


def read_chunk(stream: IO[bytes]) -> Optional[Chunk]:
    """The next chunk; None where the stream ends between two. Raises Cancelled where it ends within one."""
    line = stream.readline(_LONGEST_HEADER)
    while line in (b"\n", b"\r\n"):
        line = stream.readline(_LONGEST_HEADER)
    if not line:
        return None
    header = _HEADER.fullmatch(line)
    if header is None:
        if not line.endswith(b"\n") and len(line) < _LONGEST_HEADER:
            raise Cancelled
        raise ProtocolError(f"expected the header of a chunk, got {line!r}")
    metadata = _exactly(stream, int(header[1]))
    body = _exactly(stream, int(header[2]))
    try:
        found = json.loads(metadata) if metadata else {}
    except ValueError as error:
        raise ProtocolError(f"the metadata of a chunk is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise ProtocolError("the metadata of a chunk is no object")
    return Chunk(found, body)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise Cancelled
    return data


def write_chunk(stream: IO[bytes], metadata: Mapping[str, Any], body: bytes = b"") -> None:
    """Sends one chunk. Raises Cancelled where nobody reads."""
    head = json.dumps(metadata, separators=(",", ":")).encode("ascii")
    try:
        stream.write(b"chunked 1.0,%d,%d\n" % (len(head), len(body)))
        stream.write(head)
        stream.write(body)
        stream.flush()
    except BrokenPipeError:
        # what is left in the buffer shall not be tried again when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise Cancelled from None


def reader_left(stream: IO[bytes]) -> bool:
    """Whether the other end of a pipe that is written to is closed; False where that cannot be asked."""
    if not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(stream.fileno(), 0)
    return any(state & (select.POLLERR | select.POLLHUP) for _, state in asked.poll(0))


class _Row(NamedTuple):
    """One row: its cells, and the text that they were read from, less the end of its line."""

    cells: list[str]
    text: str


class Rows:
    """The rows of one chunk, read as they are needed, and written with what is added to them."""

    def __init__(self, body: bytes) -> None:
        """Reads the header of CSV as splunkd writes it."""
        text = body.decode("utf-8", "surrogateescape")
        # csv refuses NUL before Python 3.11; events are whatever somebody sent, so it takes another shape meanwhile
        self._nul = _unused(text) if "\0" in text else ""
        csv.field_size_limit(_FIELD_SIZE)
        self._lines: list[str] = []
        self._reader = csv.reader(self._remembered(text.replace("\0", self._nul) if self._nul else text))
        self.header = next(self._reader, [])
        self._at = {name: place for place, name in enumerate(self.header)}
        self._lines.clear()
        self._unwritten: deque[_Row] = deque()
        self._first = self._next()

    @property
    def empty(self) -> bool:
        """Whether there is no row at all."""
        return self._first is None

    def column(self, name: str) -> list[str]:
        """One field of every row that is not written; empty text where a row, or all, have none."""
        while self._next():
            pass
        place = self._at.get(name)
        return ["" if place is None else row.cells[place] for row in self._unwritten]

    def events(self, fields: Sequence[str], without: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Each row as an object: text, or a list of text where a field has several values; what is empty is left out."""
        wanted = [name for name in (fields or self.header) if name in self._at]
        places = [
            (name, self._at[name], self._at.get(_MULTIVALUE + name, self._at[name]))
            for name in wanted
            if not name.startswith(_MULTIVALUE) and name not in without
        ]
        row = self._first
        while row is not None:
            cells = row.cells
            event: dict[str, Any] = {}
            for name, one, several in places:
                if several != one and cells[several]:
                    event[name] = values_of(cells[several])
                elif cells[one]:
                    event[name] = cells[one]
            yield self._restored(event) if self._nul else event
            row = self._next()

    def written(self, added: Iterable[Mapping[str, Sequence[str]]], fields: Sequence[str]) -> bytes:
        """All rows as CSV with these fields, each as it was added to its row; what had the same names before is replaced.

        Each row is written when ``added`` gives its part, which may take as long as a daemon takes. A row that nothing is
        replaced in keeps its text, and gets more at its end.
        """
        columns = [column for field in fields for column in (field, _MULTIVALUE + field)]
        places = [self._at.get(column) for column in columns]
        header = [*self.header, *(column for column, place in zip(columns, places) if place is None)]
        out = io.BytesIO()
        out.write(self._encoded(_line(header)))
        for values in added:
            row = self._unwritten.popleft() if self._unwritten or self._next() else None
            if row is None:
                break
            cells = [cell for field in fields for cell in _cells(values.get(field))]
            if len(header) == len(self.header) + len(columns) and row.text.count('"') % 2 == 0:
                line = f"{row.text},{_line(cells)}"
            else:
                line = _line(_merged(row.cells, places, cells))
            out.write(self._encoded(line))
        return out.getvalue()

    def _next(self) -> Optional[_Row]:
        """Reads one row more, as long as the header; None at the end."""
        cells = next(self._reader, None)
        if cells is None:
            return None
        text = "".join(self._lines).rstrip("\r\n")
        self._lines.clear()
        if missing := len(self.header) - len(cells):
            cells = [*cells[: len(self.header)], *[""] * missing]
            text = _line(cells).rstrip("\r\n")
        row = _Row(cells, text)
        self._unwritten.append(row)
        return row

    def _remembered(self, text: str) -> Iterator[str]:
        """The lines of a text, each of which is kept until the row that it is of is whole."""
        for line in io.StringIO(text, newline=""):
            self._lines.append(line)
            yield line

    def _restored(self, event: Mapping[str, Any]) -> dict[str, Any]:
        def whole(value: Any) -> Any:
            return [*map(whole, value)] if isinstance(value, list) else value.replace(self._nul, "\0")

        return {name: whole(value) for name, value in event.items()}

    def _encoded(self, line: str) -> bytes:
        return (line.replace(self._nul, "\0") if self._nul else line).encode("utf-8", "surrogateescape")


def _cells(values: Optional[Sequence[str]]) -> tuple[str, str]:
    """A field, and its ``__mv_`` column."""
    if not values:
        return "", ""
    return (values[0], "") if len(values) == 1 else ("\n".join(values), multivalue(values))


def _merged(cells: Sequence[str], places: Iterable[Optional[int]], more: Iterable[str]) -> list[str]:
    """A row with more cells, each in its place; those without one at the end."""
    merged = [*cells]
    for place, cell in zip(places, more):
        if place is None:
            merged.append(cell)
        else:
            merged[place] = cell
    return merged


class _Echo:
    """What csv writes to: it gives each line back."""

    write = staticmethod(str)


# with the default ending "\r\n", for a lone "\r" in a value is only quoted where the ending holds it
_line: Callable[[Iterable[str]], str] = csv.writer(_Echo()).writerow
"""Cells as a line of CSV, with its end."""


def _unused(text: str) -> str:
    """A private-use character that a text does not hold."""
    return next(char for char in map(chr, range(0xE000, 0xF900)) if char not in text)


def multivalue(values: Sequence[str]) -> str:
    """Several values as the ``__mv_`` column of a field holds them: ``$one$;$two$``, each ``$`` doubled."""
    return ";".join(f"${value.replace('$', '$$')}$" for value in values)


def values_of(text: str) -> list[str]:
    """What :func:`multivalue` made of them; a text that is not of that form is one value."""
    found: list[str] = []
    place = 0
    while place < len(text):
        value = _VALUE.match(text, place)
        if value is None:
            return [text]
        found.append(value[1].replace("$$", "$"))
        place = value.end()
    return found


class Answer(NamedTuple):
    """What one chunk is answered with: rows as CSV, and messages for the search, each a level and a text."""

    body: bytes = b""
    messages: Sequence[Sequence[str]] = ()
    finished: Optional[bool] = None
    """Whether the command has nothing more to say; None: when the search has not."""


class Command(NamedTuple):
    """What a command says of itself when it is asked, and how it answers each chunk after that."""

    about: Mapping[str, Any]
    answer: Callable[[bytes], Answer]


def serve(begin: Callable[[Mapping[str, Any]], Command], stdin: IO[bytes], stdout: IO[bytes]) -> int:
    """Holds the conversation of one search; the exit status. ``begin`` gets ``searchinfo`` and may raise SearchError."""
    try:
        info = _asked(stdin)
        if info is None:
            return 0
        try:
            command = begin(info)
        except SearchError as error:
            write_chunk(stdout, {"finished": True, "inspector": {"messages": [["ERROR", str(error)]]}})
            return 1
        write_chunk(stdout, command.about)
        while (chunk := read_chunk(stdin)) is not None:
            found = command.answer(chunk.body)
            finished = bool(chunk.metadata.get("finished")) if found.finished is None else found.finished
            told = {"inspector": {"messages": found.messages}} if found.messages else {}
            write_chunk(stdout, {"finished": finished, **told}, found.body)
    except Cancelled:
        pass
    except ProtocolError as error:
        sys.stderr.write(f"ERROR {error}\n")
        return 1
    return 0


def _asked(stdin: IO[bytes]) -> Optional[Mapping[str, Any]]:
    """What the first chunk says of the search; None where there is none. Raises ProtocolError."""
    first = read_chunk(stdin)
    if first is None:
        return None
    if first.metadata.get("action") != "getinfo":
        raise ProtocolError(f"the first chunk asks for {first.metadata.get('action')!r}, not getinfo")
    return first.metadata.get("searchinfo") or {}
