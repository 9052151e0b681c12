"""Any event file as a stream of records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from io import BufferedReader
from typing import TypeAlias

import msgspec

from connector.siem.formats import archives, elements, mail, streams
from connector.siem.formats.framing import FRAMINGS
from connector.siem.formats.sniff import Format, sniff
from connector.siem.formats.streams import Budget, DamagedError, SpentError
from connector.siem.formats.winevt import win_records
from connector.siem.formats.wrapped import wrapped_objects
from connector.types import Document

Item: TypeAlias = tuple[Document | bytes, str, str | None]
"""(data, place, error): undecoded bytes, or ``{"message": …}`` for a line of plain text."""


_SPLITS: dict[str, Callable[[BufferedReader, int], Iterator[elements.Element] | Iterator[mail.Mail]]] = {
    "json": elements.json_objects,
    "wrapped": wrapped_objects,
    "xml": elements.xml_events,
    "mail": mail.messages,
}
"""How a document of each format is cut into its events."""

_PACKED = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one file may cost. Bytes, bytes, and how many containers may stand inside one another."""

    max_event: int = 16 << 20
    max_unpacked: int = 32 << 30
    max_depth: int = 4


def records(stream: BufferedReader, name: str, limits: Limits) -> Iterator[Item]:
    """Every record of a file, in order. Places are ``name:line`` and ``name!member:line``.

    What a container cannot give is one item with an error. Nothing is raised but a ``ConfigError``, where a package is
    missing.
    """
    return _Reader(limits).read(stream, name, 0)


class _Reader:
    """Reads one file on disk with all that is inside it, under one budget."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._budget = Budget(limits.max_unpacked)

    def read(self, stream: BufferedReader, place: str, depth: int) -> Iterator[Item]:
        """The records of one stream. Its damage ends it alone; a spent budget ends the whole file."""
        try:
            found = sniff(stream.peek(streams.PIECE), _PACKED.sub("", place))
            yield from self._of_format(found, stream, place, depth)
        except DamagedError as error:
            if isinstance(error, SpentError) and depth:
                raise
            if not error.told:
                error.told = True
                yield b"", place, str(error)

    def _of_format(self, found: Format, stream: BufferedReader, place: str, depth: int) -> Iterator[Item]:
        match found:
            case _ if found in FRAMINGS:
                for _, _, number, row, error in FRAMINGS[found]().rows(stream, self._limits.max_event):
                    yield row, f"{place}:{number}", error
            case _ if found in _SPLITS:
                for number, data, error in _SPLITS[found](stream, self._limits.max_event):
                    yield data, f"{place}:{number}", error
            case "nothing":
                return
            case _:
                yield from self._container(found, stream, place, depth)

    def _container(self, found: Format, stream: BufferedReader, place: str, depth: int) -> Iterator[Item]:
        if depth >= self._limits.max_depth:
            raise DamagedError(f"more than {self._limits.max_depth} containers stand inside one another")
        match found:
            case "binary":
                raise DamagedError("is binary and in no known format")
            case "evtx":
                with streams.seekable(stream) as log:
                    for record, data, error in win_records(log):
                        yield data, f"{place}:{record}" if record else place, error
            case "zip":
                with streams.seekable(stream) as archive:
                    yield from self._members(archives.zip_members(archive, self._budget), place, depth)
            case "tar":
                yield from self._members(archives.tar_members(stream, self._budget), place, depth)
            case "utf-16-le" | "utf-16-be":
                yield from self.read(streams.transcoded(stream, found, self._budget), place, depth + 1)
            case _:
                yield from self.read(streams.unpacked(stream, found, self._budget), place, depth + 1)

    def _members(self, members: Iterator[archives.Member], place: str, depth: int) -> Iterator[Item]:
        for name, content in members:
            inside = f"{place}!{name}"
            if isinstance(content, DamagedError):
                yield b"", inside, str(content)
            else:
                yield from self.read(content, inside, depth + 1)
