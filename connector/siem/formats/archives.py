"""The members of zip and tar archives as streams. Nothing is written under a name that the archive chose.

Both read with bounded memory: a zip's directory is refused beyond 65,534 members, a tar is read header by header.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import PurePosixPath
from typing import BinaryIO, TypeAlias

from connector.siem.formats.streams import FAILURES, PIECE, Budget, DamagedError, buffered

Member: TypeAlias = tuple[str, BufferedReader | DamagedError]
"""A member's name, and its bytes or why there are none."""

_MANY = 0xFFFF
_END_OF_DIRECTORY = b"PK\x05\x06"
_BLOCK = 512
_LONGEST_ATTRIBUTES = 1 << 16
_NOT_EVENTS = frozenset({
    ".cfg", ".css", ".db", ".dll", ".exe", ".gif", ".htm", ".html", ".jpeg", ".jpg", ".js", ".md", ".pcap", ".pcapng",
    ".pdf", ".png", ".ps1", ".py", ".rst", ".sh", ".sqlite", ".svg", ".toml", ".yaml", ".yml",
})  # fmt: skip
_PAPERS = frozenset({"LICENSE", "LICENCE", "COPYING", "NOTICE", "README", "CHANGELOG", "CONTRIBUTING", "AUTHORS"})
_PAPER_SUFFIXES = frozenset({"", ".txt", ".adoc"})


def holds_events(name: str) -> bool:
    """False for what archives and folders of events carry beside them: documentation, metadata, code, captures."""
    path = PurePosixPath(name)
    return (
        path.suffix.lower() not in _NOT_EVENTS
        and not _is_paper(path)
        and not path.name.startswith(".")
        and "__MACOSX" not in path.parts
    )


def _is_paper(path: PurePosixPath) -> bool:
    """``LICENSE``, ``LICENSE-MIT``, ``readme.txt``; not ``notice.log``, which is one of Zeek's."""
    return path.suffix.lower() in _PAPER_SUFFIXES and path.stem.upper().partition("-")[0] in _PAPERS


def zip_members(archive: BinaryIO, budget: Budget) -> Iterator[Member]:
    """The members of a zip, in the order of its directory. ``archive`` is seekable."""
    _refuse_large_directory(archive)
    try:
        opened = zipfile.ZipFile(archive)
    except FAILURES as error:
        raise DamagedError(f"is not a readable zip: {error}") from error
    with opened:
        for info in opened.infolist():
            if info.is_dir() or not holds_events(info.filename):
                continue
            try:
                member = opened.open(info)
            except FAILURES as error:
                yield info.filename, DamagedError(f"cannot be read from the zip: {error}")
                continue
            with member:
                yield info.filename, buffered(member.read, budget)


def _refuse_large_directory(archive: BinaryIO) -> None:
    size = archive.seek(0, 2)
    archive.seek(max(0, size - _MANY - 22))
    tail = archive.read()
    archive.seek(0)
    at = tail.rfind(_END_OF_DIRECTORY)
    if at >= 0 and int.from_bytes(tail[at + 10 : at + 12], "little") == _MANY:
        raise DamagedError(f"a zip with {_MANY} members or more is not read")


class _Slice:
    """The ``read`` function of one tar member: the next ``left`` bytes of the archive."""

    def __init__(self, archive: BinaryIO, size: int) -> None:
        self._archive = archive
        self._cut = DamagedError("the tar ends in the middle of a member")
        self.left = size

    def read(self, size: int) -> bytes:
        piece = self._archive.read(min(size, self.left))
        if not piece and self.left:
            raise self._cut
        self.left -= len(piece)
        return piece


def tar_members(archive: BinaryIO, budget: Budget) -> Iterator[Member]:
    """The members of a tar, in order. Long names (GNU and pax) are understood; links and devices hold no events."""
    attributes: dict[str, str] = {}
    while info := _header(archive):
        described = info.type in {tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}
        size = info.size if described else _size(attributes.get("size"), info.size)
        content = _Slice(archive, size)
        if described:
            attributes |= _attributes(info, content)
        else:
            name = attributes.get("path", info.name)
            attributes = {}
            if info.isreg() and holds_events(name):
                yield name, buffered(content.read, budget)
        _pass_over(content, -size % _BLOCK)


def _header(archive: BinaryIO) -> tarfile.TarInfo | None:
    block = archive.read(_BLOCK)
    if not block.strip(b"\x00"):
        return None
    if len(block) < _BLOCK:
        raise DamagedError("the tar ends in the middle of a header")
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
    except (tarfile.HeaderError, ValueError) as error:
        raise DamagedError(f"is not a readable tar: {error}") from error
    if info.size < 0:
        raise DamagedError("is not a readable tar: a member has a negative size")
    return info


def _size(told: str | None, size: int) -> int:
    """A pax attribute carries the size of a member that is too large for its header."""
    return int(told) if told is not None and told.isascii() and told.isdigit() else size


def _attributes(info: tarfile.TarInfo, content: _Slice) -> dict[str, str]:
    """What a GNU or pax header says of the member behind it. Format: POSIX.1-2017, pax, "pax Extended Header"."""
    if info.size > _LONGEST_ATTRIBUTES:
        raise DamagedError(f"a member's name or attributes take {info.size} bytes")
    data = b""
    while content.left:
        data += content.read(content.left)
    if info.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": data.rstrip(b"\x00").decode("utf-8", "replace")}
    found: dict[str, str] = {}
    while data.strip(b"\x00"):
        digits, _, _ = data.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 8 else 0
        if not len(digits) + 1 < length <= len(data):
            raise DamagedError("a member's attributes are damaged")
        key, _, value = data[len(digits) + 1 : length - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        data = data[length:]
    return found


def _pass_over(content: _Slice, padding: int) -> None:
    while content.left:
        content.read(PIECE)
    content.left = padding
    while content.left:
        content.read(padding)
