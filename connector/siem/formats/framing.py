"""How the lines of a file become its records: one each, or by a header, or several together.

A record's place is the byte that its first line starts at, so that a file can be followed and read on from any record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, ClassVar, Final, Protocol, TypeAlias

from connector.siem.formats.auditd import AuditRecords
from connector.siem.formats.lines import Encoding, lines
from connector.siem.formats.table import TableRows
from connector.siem.formats.zeek import ZeekRows
from connector.types import Document

Row: TypeAlias = tuple[int, int, int, Document | bytes, str | None]
"""(offset of the first byte, offset behind the record, number of its first line, data, error)."""


class Framing(Protocol):
    """Reads records from a stream of lines. One instance reads one file, forwards."""

    remembers: ClassVar[bool]
    """Whether a record can only be read after all before it, since a header or a quotation mark rules it."""

    line: int
    """The number of the last line of the record that was given last, where ``remembers``."""

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
        """The records from where the stream stands, which is at ``offset``, behind line ``number``.

        ``whole``: a last record without its end is not there yet.
        """
        ...


class Records:
    """A line is a record, as it stands."""

    remembers: ClassVar[bool] = False
    line = 0

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
        """Each line that is not blank."""
        return lines(stream, limit, offset=offset, number=number, whole=whole, encoding=encoding)


class Messages:
    """A line is a message."""

    remembers: ClassVar[bool] = False
    line = 0

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
        """Each line that is not blank, as a document."""
        found = lines(stream, limit, offset=offset, number=number, whole=whole, encoding=encoding)
        for start, behind, line_number, line, error in found:
            yield start, behind, line_number, message(line), error


def message(line: bytes) -> Document:
    """A line of plain text as a document; what is not UTF-8 becomes U+FFFD."""
    return {"message": line.decode("utf-8", "replace")}


FRAMINGS: Final[Mapping[str, type[Records | Messages | TableRows | ZeekRows | AuditRecords]]] = {
    "records": Records,
    "text": Messages,
    "table": TableRows,
    "zeek": ZeekRows,
    "auditd": AuditRecords,
}
"""By the format that sniffing told."""
