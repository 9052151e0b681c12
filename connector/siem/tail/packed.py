"""Whether a compressed file holds what a plain one held before, as after ``logrotate`` with ``compress``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from io import BufferedReader

import msgspec

from connector.siem.formats.found import LINES, FoundFile
from connector.siem.formats.lines import Encoding
from connector.siem.formats.sniff import sniff
from connector.siem.formats.streams import PIECE, Budget, DamagedError, opened, unpacked
from connector.siem.tail.contents import REACH, Content, digest

_KIB = 1024
_SUFFIX = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)


class Unpacked(msgspec.Struct, frozen=True):
    """What was found inside: whose content it is ("": nobody's), how many bytes, and the digest of the last of them."""

    identity: str
    size: int = 0
    tail: str = ""


class _Owning(BufferedReader):
    """Unpacked bytes; closing them closes the file too."""

    def __init__(self, packed: BufferedReader, plain: BufferedReader) -> None:
        super().__init__(plain.detach(), PIECE)
        self._packed = packed

    def close(self) -> None:
        super().close()
        self._packed.close()


def lines_in(file: FoundFile, limit: int) -> BufferedReader:
    """The plain bytes of a compressed file; ``DamagedError`` where it cannot be read on."""
    packed = opened(file.path)
    return _Owning(packed, unpacked(packed, file.codec or file.layout, Budget(limit)))


def as_lines(file: FoundFile, content: Content, size: int) -> FoundFile:
    """The compressed file, read as the lines of the content that it holds."""
    return msgspec.structs.replace(
        file, identity=content.identity, layout=content.layout, codec=file.layout, size=size, begin=0
    )


def inspect(file: FoundFile, contents: Iterable[Content], limit: int) -> Unpacked | None:
    """Compares what a compressed file holds with contents that were seen, in one pass over it.

    None: it begins like one of them and cannot be unpacked to its end, as while it is being written.
    """
    mine: list[Content] = []
    try:
        with lines_in(file, limit) as stream:
            started = _head(stream.peek(PIECE), file.path)
            mine = [content for content in contents if content.head == started]
            return _compared(stream, mine) if started and mine else Unpacked("")
    except DamagedError:
        return None if mine else Unpacked("")


def _head(head: bytes, path: str) -> str:
    """The digest of the first line, as that of the plain file was taken."""
    found = sniff(head, _SUFFIX.sub("", path))
    if found in {"utf-16-le", "utf-16-be"}:
        encoding: Encoding = "utf-16-le" if found == "utf-16-le" else "utf-16-be"
        found = sniff(head.decode(encoding, "ignore").encode(), path)
    if found not in LINES:
        return ""
    first = head[:_KIB].partition(b"\n")
    return hashlib.sha256(b"".join(first[:2])).hexdigest()[:16]


def _compared(stream: BufferedReader, contents: list[Content]) -> Unpacked:
    contents.sort(key=lambda content: content.end)
    at = 0
    window = b""
    best = ""
    while piece := stream.read1(PIECE):
        window = window[-REACH:] + piece
        before = at + len(piece) - len(window)
        at += len(piece)
        while contents and contents[0].end <= at:
            content = contents.pop(0)
            stop = content.end - before
            if digest(window[max(0, stop - REACH) : stop]) == content.tail:
                best = content.identity
    return Unpacked(best, at, digest(window[-REACH:]))
