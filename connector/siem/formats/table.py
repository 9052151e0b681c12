"""Tables with a header, as Splunk and Kibana export them: a row is an event, its cells are named by the header.

Quotation is that of RFC 4180: a cell in double quotes may hold separators, line ends and doubled quotes. The separator is
what the header says: a comma, a semicolon or a tab. Splunk writes the values of a field with several beside it, in a
column ``__mv_FIELD`` (``$a$;$b$``, a dollar sign in it doubled); they become a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, Final, TypeAlias

from connector.siem.formats.lines import Encoding, Line, lines
from connector.types import Document

Row: TypeAlias = tuple[int, int, int, Document | bytes, str | None]

_SEPARATORS: Final = (",", ";", "\t")
_NAME = re.compile(r"[@_A-Za-z][\w@.:{}\[\]/()# -]{0,255}")
_QUOTED = re.compile(r'"((?:[^"]++|"")*+)"')
_TELLING = frozenset({"_raw", "_time", "@timestamp", "_source"})
_MULTIPLE = "__mv_"
_SHOWN = 4096


def header_of(line: bytes, *, named: bool) -> tuple[str, tuple[str, ...]] | None:
    """The separator and the columns, where a line is the header of a table.

    ``named``: the file's name says that it is one. Else a column must be one that only exports of events have.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    for separator in _SEPARATORS:
        cells = _cells(text, separator)
        if cells is None or (len(cells) < 2 and separator not in text and not _TELLING & set(cells)):
            continue
        if len(set(cells)) == len(cells) and all(map(_NAME.fullmatch, cells)) and (named or _TELLING & set(cells)):
            return separator, tuple(cells)
    return None


class TableRows:
    """The rows below the header that the file starts with."""

    remembers: ClassVar[bool] = True

    def __init__(self) -> None:
        self.line = 0
        self._separator = ""
        self._columns: tuple[str, ...] = ()

    def rows(
        self,
        stream: BinaryIO,
        limit: int,
        *,
        offset: int = 0,
        number: int = 0,
        whole: bool = False,
        encoding: Encoding = "utf-8",
    ) -> Iterator[Row]:
        """Each row as a document. Empty cells are absent. A header that comes again, as in joined files, rules anew."""
        found = lines(stream, limit, offset=offset, number=number, whole=whole, encoding=encoding, strip=False)
        for start, behind, first, text, error in self._logical(found, limit, whole=whole):
            if error is not None:
                yield start, behind, first, text, error
            elif not text.strip(b" \t\r\x00"):
                continue
            elif not self._is_header(text.lstrip(b"\x00")):
                document, wrong = self._document(text)
                if document != {}:  # a row without any cell says as little as a blank line
                    yield start, behind, first, text[:_SHOWN] if document is None else document, wrong

    def _is_header(self, text: bytes) -> bool:
        if self._columns and not _starts_with(text, self._columns[0]):
            return False
        found = header_of(text, named=not self._columns)
        if found is None or (self._columns and not _TELLING & set(found[1]) and found[1] != self._columns):
            return False
        self._separator, self._columns = found
        return True

    def _document(self, text: bytes) -> tuple[Document | None, str | None]:
        cells = _cells(text.decode("utf-8", "replace"), self._separator or ",")
        if cells is None:
            return None, "the row cannot be read as a table's: its quotation marks are not in order"
        if len(cells) > len(self._columns):
            return None, f"the row has {len(cells)} cells, and its header {len(self._columns)}"
        found: dict[str, str | list[str]] = {}
        several: dict[str, list[str]] = {}
        for name, cell in zip(self._columns, cells, strict=False):
            if cell and name.startswith(_MULTIPLE):
                several[name.removeprefix(_MULTIPLE)] = _values(cell)
            elif cell:
                found[name] = cell
        return found | several, None

    def _logical(self, found: Iterator[Line], limit: int, *, whole: bool) -> Iterator[Line]:
        """Lines joined while a quotation mark is open: an odd number of them so far."""
        held: list[bytes] = []
        size = start = behind = first = last = 0
        for at, end, number, line, error in found:
            if not held:
                start, first, size = at, number, 0
            behind, last = end, number
            size += len(line)
            if error is None and size <= limit and bool(held) != (line.count(b'"') % 2 == 1):
                held.append(line)
                continue
            self.line = number
            too_long = error or (f"row is longer than {limit} bytes" if size > limit else None)
            yield start, end, first, (held or [line])[0][:_SHOWN] if too_long else b"\n".join([*held, line]), too_long
            held = []
        if held and not whole:
            self.line = last
            yield start, behind, first, b"\n".join(held)[:_SHOWN], "the file ends inside a quotation mark"


def _cells(text: str, separator: str) -> list[str] | None:
    """The cells of one row; None where a quotation mark does not close, or more than the separator stands behind it."""
    if '"' not in text:
        return text.split(separator)
    cells: list[str] = []
    at = 0
    while True:
        if quoted := _QUOTED.match(text, at):
            cells.append(quoted[1].replace('""', '"'))
            at = quoted.end()
        elif text.startswith('"', at):
            return None
        else:
            end = text.find(separator, at)
            end = len(text) if end < 0 else end
            cells.append(text[at:end])
            at = end
        if at == len(text):
            return cells
        if not text.startswith(separator, at):
            return None
        at += len(separator)


def _starts_with(text: bytes, column: str) -> bool:
    return text.lstrip(b'"').startswith(column.encode())


def _values(cell: str) -> list[str]:
    """``$a$;$b$`` as its values."""
    if not (cell.startswith("$") and cell.endswith("$") and len(cell) > 1):
        return [cell]
    return [value.replace("$$", "$") for value in cell[1:-1].split("$;$")]
