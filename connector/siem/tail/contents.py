"""Whose content a file holds: the one that it held when it was last seen, another's (renamed, copied), or a new one.

A content is known by its first line and by its last bytes before the place up to which it was seen. A file that is as long
and has the same bytes there holds it, under whatever name and inode; one that was cut, or written anew, does not.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import msgspec

from connector.siem.formats.found import FoundFile

REACH: Final = 1024
"""Bytes before a place that tell a content from another."""

_MOST_COMPARED = 64
"""Files under one first line that a new one is compared with, so that a folder of thousands of exports stays readable."""

SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What keeps any file from being read: an outage of ours, and no fault of the file."""

TOLD: Final = -1
"""In ``Content.lost``: what was missing of it has been told."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What files held. ``end``: up to where it was seen; ``tail``: the digest of its last bytes there.

    ``seen`` and ``lost`` are times in microseconds; ``lost`` is 0 while some file holds it. ``moved`` is 1 where it was
    found under another name than at first.
    """

    identity: str
    head: str
    inode: int
    path: str
    layout: str
    end: int
    tail: str
    seen: int = 0
    lost: int = 0
    moved: int = 0


def tail_of(stream: BinaryIO, end: int) -> str:
    """The digest of the bytes before ``end``; "" where the file is shorter."""
    start = max(0, end - REACH)
    stream.seek(start)
    data = _exactly(stream, end - start)
    return digest(data) if len(data) == end - start else ""


def digest(data: bytes) -> str:
    """A short digest of some bytes of a file."""
    return hashlib.sha256(data).hexdigest()[:16]


def _exactly(stream: BinaryIO, count: int) -> bytes:
    found = b""
    while len(found) < count and (piece := stream.read(count - len(found))):
        found += piece
    return found


def holds(file: FoundFile, end: int, tail: str) -> bool:
    """Whether the file is so long and has these bytes there. ``OSError`` where it cannot be read, or was moved away."""
    if file.size < end:
        return False
    with Path(file.path).open("rb", buffering=0) as stream:
        if os.fstat(stream.fileno()).st_ino != file.inode:
            raise FileNotFoundError(f"{file.path} was replaced between two looks at it")
        return tail_of(stream, end) == tail


def agree(shorter: FoundFile, longer: FoundFile) -> bool:
    """Whether all of the one file is the beginning of the other, as far as their bytes at its end tell."""
    if shorter.size > longer.size or shorter.head != longer.head:
        return False
    with Path(shorter.path).open("rb", buffering=0) as stream:
        return holds(longer, shorter.size, tail_of(stream, shorter.size))


Refused: TypeAlias = Callable[[FoundFile, OSError], None]


class Sorted(msgspec.Struct, frozen=True):
    """The file that holds each known content now, and the files with a new one, the longest first.

    Files that only repeat the beginning of another, as copies do, are in neither.
    """

    held: Mapping[str, FoundFile]
    new: tuple[FoundFile, ...]


def sort(
    files: Sequence[FoundFile],
    contents: Mapping[str, Content],
    *,
    sure: Callable[[FoundFile], bool],
    fresh: Callable[[FoundFile], bool],
    refused: Refused,
) -> Sorted:
    """Tells known contents from new ones.

    ``sure``: the file cannot have changed since it was last sorted. ``fresh``: it may still be a copy in the making.
    ``refused`` hears of a file that could not be compared, which is left out, or raises.
    """
    by_place: dict[tuple[str, int], list[Content]] = {}
    for content in contents.values():
        by_place.setdefault((content.head, content.inode), []).append(content)
    held: dict[str, FoundFile] = {}
    rest = [file for file in files if not _hold(file, by_place.get((file.head, file.inode), ()), held, sure, refused)]
    linked = {(file.device, file.inode, file.head) for file in held.values()}
    rest = [file for file in rest if (file.device, file.inode, file.head) not in linked]
    unheld: dict[str, list[Content]] = {}
    for content in contents.values():
        if content.identity not in held:
            unheld.setdefault(content.head, []).append(content)
    rest.sort(key=lambda file: (-file.size, file.path))
    rest = [file for file in rest if not _hold(file, unheld.get(file.head, ()), held, lambda _: False, refused)]
    return Sorted(held, tuple(_without_copies(rest, held.values(), fresh, refused)))


def _hold(
    file: FoundFile,
    candidates: Iterable[Content],
    held: dict[str, FoundFile],
    sure: Callable[[FoundFile], bool],
    refused: Refused,
) -> bool:
    """Whether the file is dealt with: it holds one of these contents, the one seen the furthest first, or is refused."""
    for content in sorted(candidates, key=lambda known: (known.lost != 0, -known.end)):
        if content.identity in held:
            continue
        try:
            mine = (sure(file) and content.path == file.path and not content.lost) or holds(
                file, content.end, content.tail
            )
        except OSError as error:
            refused(file, error)
            return True
        if mine:
            held[content.identity] = file
            return True
    return False


def _without_copies(
    new: Iterable[FoundFile], held: Iterable[FoundFile], fresh: Callable[[FoundFile], bool], refused: Refused
) -> list[FoundFile]:
    """New files but for fresh ones that, so far, only repeat the beginning of another: a copy before a truncation."""
    by_head: dict[str, list[FoundFile]] = {}
    for file in sorted(held, key=lambda file: file.modified_ns):  # what is copied was written to of late
        by_head.setdefault(file.head, []).append(file)
    kept: list[FoundFile] = []
    for file in new:
        others = by_head.setdefault(file.head, [])
        if not any(_repeats(file, other, fresh, refused) for other in others[-_MOST_COMPARED:]):
            others.append(file)
            kept.append(file)
    return kept


def _repeats(file: FoundFile, other: FoundFile, fresh: Callable[[FoundFile], bool], refused: Refused) -> bool:
    """Whether it does, as far as can be known; what cannot be compared now is not read now."""
    linked = (file.device, file.inode) == (other.device, other.inode)
    alike = not file.lead or file.lead == other.lead
    try:
        return linked or (alike and fresh(file) and agree(file, other))
    except OSError as error:
        refused(file, error)
        return True
