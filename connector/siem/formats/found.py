"""Which event files are there, and what each of them is at a look.

What a file is called by is ``<inode>-<digest>``, the digest being that of its first line, or of the first KiB where that
line is longer or the file is none of lines. The device is no part of it: its number may change when a machine starts or a
volume is mounted again. Whether a file still holds what it held, :mod:`connector.siem.tail` tells.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

from connector.siem.formats.archives import holds_events
from connector.siem.formats.framing import FRAMINGS
from connector.siem.formats.lines import Encoding
from connector.siem.formats.sniff import sniff
from connector.siem.formats.streams import PIECE

LINES = frozenset(FRAMINGS)
"""Formats that are read line by line, by byte, and followed while they grow."""

CODECS = frozenset({"gzip", "bzip2", "xz"})
"""Formats that may hold a file of lines that was known before it was compressed."""

_KIB = 1024
_LEAD = 4096
_PADDING = bytes(8)
_MOST_PADDING = 1 << 28


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with events. ``layout``: one of :data:`LINES` is read by byte, ``container`` and :data:`CODECS` by ordinal.

    ``head`` is the digest of its first line, ``first`` the offset behind that, ``lead`` the digest of its first 4 KiB ("":
    it is shorter), ``begin`` the number of NULs before its content. ``codec``: it is compressed, and read as the lines
    that it holds, whose bytes ``size`` counts.
    """

    path: str
    identity: str
    layout: str
    device: int
    inode: int
    size: int
    modified_ns: int
    head: str
    first: int
    lead: str = ""
    begin: int = 0
    encoding: Encoding = "utf-8"
    codec: str = ""

    @property
    def version(self) -> tuple[int, int]:
        """Changes when a container was written to."""
        return self.size, self.modified_ns


def expand(paths: Iterable[str], missing: Callable[[str], None]) -> Iterator[str]:
    """The files that paths, folders and globs name, each once, in the order given, sorted within each.

    ``missing`` hears of each path that names nothing. Folders are walked; what is no event file by its name
    (documentation, code, hidden files) is left out there, and never where it is named itself.
    """
    seen: set[str] = set()
    for given in paths:
        files = [file for name in _names(given) for file in _files(name)]
        if not files:
            missing(given)
        for file in files:
            if file not in seen:
                seen.add(file)
                yield file


def _names(given: str) -> list[str]:
    if not has_magic(given) or Path(given).exists():
        return [given]
    return sorted(glob(given, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern


def _files(name: str) -> Iterator[str]:
    if not Path(name).is_dir():
        if _readable(name):
            yield name
        return
    for folder, folders, files in os.walk(name):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        for file in sorted(files):
            path = str(Path(folder, file))
            if holds_events(file) and _readable(path):
                yield path


def _readable(path: str) -> bool:
    """False for pipes and devices, which would block, and for what is gone; whoever opens a file finds out the rest."""
    try:
        return stat.S_ISREG(Path(path).stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def look(stream: BinaryIO, path: str, *, follow: bool) -> FoundFile | None:
    """What an open file is; None for one that is empty or, while it is followed, has no whole first line yet."""
    status = os.fstat(stream.fileno())
    begin, head = _start(stream)
    found = sniff(head, path)
    encoding: Encoding = "utf-8"
    if found in {"utf-16-le", "utf-16-be"}:
        encoding = cast("Encoding", found)
        inner = sniff(head.decode(found, "ignore").encode(), path)
        found = inner if inner in LINES else found
    if found == "nothing":
        return None
    digested = head[:_KIB]
    if found in LINES:
        first = digested.partition(b"\n")
        if follow and len(head) < _KIB and not first[1]:
            return None
        digested = b"".join(first[:2])
    digest = hashlib.sha256(digested).hexdigest()[:16]
    return FoundFile(
        path=path,
        identity=f"{status.st_ino:x}-{digest}",
        layout=found if found in LINES or found in {"binary", *CODECS} else "container",
        encoding=encoding,
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        head=digest,
        begin=begin,
        first=begin + len(digested),
        lead=hashlib.sha256(head[:_LEAD]).hexdigest()[:16] if len(head) >= _LEAD else "",
    )


def _start(stream: BinaryIO) -> tuple[int, bytes]:
    """Where a file's content begins, and the first of it: NULs are what a writer leaves that goes on behind a truncation."""
    head = stream.read(PIECE)
    if not head.startswith(_PADDING):
        return 0, head
    try:
        at = os.lseek(stream.fileno(), 0, os.SEEK_DATA)
    except OSError:  # nothing but a hole
        return 0, b""
    for _ in range(_MOST_PADDING // PIECE):
        stream.seek(at)
        piece = stream.read(PIECE)
        content = piece.lstrip(b"\x00")
        if content or not piece:
            begin = at + len(piece) - len(content)
            stream.seek(begin)
            more = stream.read(PIECE)
            return (begin, more) if sniff(more, "") in LINES else (0, head)
        at += len(piece)
    return 0, head


def whole_lines(stream: BinaryIO, size: int, limit: int, encoding: Encoding = "utf-8") -> int:
    """The offset behind the last whole line of an open file of ``size`` bytes; a line beyond ``limit`` counts as whole."""
    newline = "\n".encode(encoding)
    width = len(newline)
    size -= size % width
    end = size
    while end > 0 and size - end <= limit:
        start = max(0, end - PIECE)
        stream.seek(start)
        data = stream.read(end - start)
        at = data.rfind(newline)
        while at > 0 and at % width:
            at = data.rfind(newline, 0, at + width - 1)
        end = start + at + width if at >= 0 else start
        if at >= 0:
            break
    return end if size - end <= limit else size
