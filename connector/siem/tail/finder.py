"""Finds event files again and again, and tells whose content each of them holds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from connector.siem.formats.found import CODECS, LINES, FoundFile, expand, look
from connector.siem.tail.contents import SCARCE, TOLD, Content, digest, holds, sort
from connector.siem.tail.memory import Memory
from connector.siem.tail.packed import Unpacked, as_lines, inspect

_RACY_NS = 2_000_000_000
"""A file that was written to so shortly before a look may have been written to again within the same tick of its clock."""

_KEPT = timedelta(days=365)
"""How long a content that no file holds is remembered: as long as its compressed copy may still appear."""

_MOST_KEPT = 100_000

_ROTATED = re.compile(r"([^/]{1,255}?)(?:\.[0-9]{1,4}|[-._][0-9]{4}-?[0-9]{2}-?[0-9]{2}[-_T0-9]{0,16}(\.[a-z]{1,8})?)")
"""Names that programs give to a log that they rotate: a number behind it, or a date behind it or before its suffix."""

_GIVEN_UP = 3600.0
"""Seconds after which a torn compressed copy of a known content is no longer taken for one that is being written."""


class _Looked(NamedTuple):
    """What changes when a file is written to or replaced, what it was then, and whether that can be relied on.

    ``since``: when it was first seen so.
    """

    mark: tuple[int, int, int, int]
    file: FoundFile | None
    settled: bool
    since: float


class Finder:
    """Which files are there now, each under the identity of its content.

    ``refused`` hears once of each path that cannot be read, or is binary and in no known format; those are left out.
    """

    def __init__(
        self,
        paths: Sequence[str],
        refused: Callable[[str, str], None],
        memory: Memory,
        *,
        follow: bool,
        quiet: timedelta,
        max_unpacked: int,
    ) -> None:
        self._paths = paths
        self._refused = refused
        self._memory = memory
        self._follow = follow
        self._quiet = quiet.total_seconds()
        self._max_unpacked = max_unpacked
        self._known: dict[str, _Looked] = {}
        self._unread: set[str] = set()
        self._told: set[tuple[str, str]] = set()
        self.lost: dict[str, Content] = {}
        """Contents that no file holds any more, of which nobody was told yet."""

    def find(self, now: datetime) -> dict[str, FoundFile]:
        """The files that may be read now, by identity.

        While they are followed: lines once their first is whole, containers once left alone for ``quiet``.
        ``TransientError`` where the memory cannot be used.
        """
        before, self._known = self._known, {}
        self._unread.clear()
        files = list(self._look_at_all(before, now))
        with self._memory.turn() as contents:
            try:
                found = self._sorted(files, contents, before, now)
            except OSError:
                self._known = {}  # a file went away between two looks: the next look sees what is there then
                raise
            self._lose(found, contents, now)
            self.lost = {key: content for key, content in contents.items() if content.lost > 0}
        return found

    def reached(self, ends: Mapping[str, tuple[int, str]]) -> None:
        """Remembers up to where contents were seen: (end, digest of the bytes before it)."""
        with self._memory.turn() as contents:
            for identity, (end, tail) in ends.items():
                if identity in contents and end >= contents[identity].end:
                    contents[identity] = msgspec.structs.replace(contents[identity], end=end, tail=tail)

    def told_of(self, identities: set[str]) -> None:
        """What was missing of these lost contents has been told; they are lost no more, but gone."""
        with self._memory.turn() as contents:
            for identity in identities & contents.keys():
                contents[identity] = msgspec.structs.replace(contents[identity], lost=TOLD)

    def content(self, identity: str) -> Content | None:
        """What is known of a content, as of the last look."""
        return self._memory.known.get(identity)

    def end_of(self, identity: str) -> int:
        """Up to where a content was seen."""
        content = self.content(identity)
        return content.end if content is not None else 0

    def finished(self, file: FoundFile, now: datetime) -> bool:
        """Whether nobody will write to a file of lines again: rotated, and seen unchanged for ``quiet`` since then."""
        looked = self._known.get(file.path)
        if looked is None or looked.file is None or looked.file.version != file.version:
            return False
        content = self.content(file.identity)
        rotated = (content is not None and content.moved) or not self._known.keys().isdisjoint(successors(file.path))
        return bool(rotated) and now.timestamp() - looked.since >= self._quiet

    def tell(self, path: str, reason: str) -> None:
        """Says once why a file is not read."""
        if (path, reason) not in self._told:
            self._told.add((path, reason))
            self._refused(path, reason)

    def _look_at_all(self, before: Mapping[str, _Looked], now: datetime) -> Iterator[FoundFile]:
        for path in expand(self._paths, partial(self.tell, reason="names no file yet")):
            file = self._look(path, before.get(path), now.timestamp())
            if file is None:
                continue
            if file.layout == "binary":
                self.tell(path, "is binary and in no known format")
                continue
            if file.layout in LINES or not self._follow or self._left_alone(file, now) >= self._quiet:
                yield file

    def _left_alone(self, file: FoundFile, now: datetime) -> float:
        """For how many seconds nobody wrote to a file: by its own time, or by what was seen of it where that lies ahead."""
        at = now.timestamp()
        return max(at - file.modified_ns / 1e9, at - self._known[file.path].since)

    def _look(self, path: str, before: _Looked | None, now: float) -> FoundFile | None:
        try:
            status = Path(path).stat()
            mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if before is None or before.mark != mark or not before.settled:
                settled = status.st_mtime_ns + _RACY_NS < time.time_ns()
                since = before.since if before is not None and before.mark == mark else now
                with Path(path).open("rb", buffering=0) as stream:
                    before = _Looked(mark, look(stream, path, follow=self._follow), settled, since)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.tell(path, f"cannot be read: {error.strerror}")
            return None
        self._known[path] = before
        return before.file

    def _sorted(
        self, files: Sequence[FoundFile], contents: dict[str, Content], before: Mapping[str, _Looked], now: datetime
    ) -> dict[str, FoundFile]:
        def sure(file: FoundFile) -> bool:
            return self._known[file.path] is before.get(file.path)

        def fresh(file: FoundFile) -> bool:
            return self._follow and self._left_alone(file, now) < self._quiet

        plain = sort(
            [file for file in files if file.layout in LINES], contents, sure=sure, fresh=fresh, refused=self._unreadable
        )
        found = {
            identity: msgspec.structs.replace(file, identity=identity, layout=contents[identity].layout)
            for identity, file in plain.held.items()
        }
        for identity, file in found.items():
            known = contents[identity]
            if known.lost or (known.inode, known.path) != (file.inode, file.path):
                moved = int(known.moved or known.path != file.path)
                contents[identity] = msgspec.structs.replace(
                    known, lost=0, inode=file.inode, path=file.path, moved=moved
                )
        for file in plain.new:
            content = _new_content(file, contents, now)
            contents[content.identity] = content
            found[content.identity] = msgspec.structs.replace(file, identity=content.identity)
        for file in files:
            if file.layout in CODECS:
                try:
                    self._add_packed(file, contents, found, now)
                except OSError as error:
                    self._unreadable(file, error)
            elif file.layout not in LINES:
                found.setdefault(file.identity, file)
        return found

    def _unreadable(self, file: FoundFile, error: OSError) -> None:
        """Leaves a file out of this look that failed to be compared. Raises where it was moved, or no file can be read."""
        if isinstance(error, FileNotFoundError) or error.errno in SCARCE:
            raise error
        self._unread.add(file.path)
        self._known.pop(file.path, None)  # the next look compares it again
        self.tell(file.path, f"cannot be read: {error.strerror}")

    def _add_packed(
        self, file: FoundFile, contents: dict[str, Content], found: dict[str, FoundFile], now: datetime
    ) -> None:
        """A compressed file is the content that it holds, unless a plain one still does; or a container of its own."""
        mark = f"{file.inode:x}-{file.head}-{file.size}-{file.modified_ns}"
        known = self._memory.packed(mark)
        if known is None or (known.identity and known.identity not in contents):
            known = inspect(file, contents.values(), self._max_unpacked)
            if known is None and self._left_alone(file, now) < _GIVEN_UP:
                return
            known = known or Unpacked("")
            self._memory.put_packed(mark, known)
        holder = found.get(known.identity)
        if known.identity and holder is None:
            content = contents[known.identity]
            if known.size < content.end:  # it was packed before the content grew: another file may hold all of it
                return
            found[known.identity] = as_lines(file, content, known.size)
            contents[known.identity] = msgspec.structs.replace(content, lost=0, end=known.size, tail=known.tail)
        elif holder is None or holder.codec or not holds(holder, known.size, known.tail):
            self._memory.put_packed(mark, Unpacked(""))  # it only begins like the content that another file holds
            found.setdefault(file.identity, file)

    def _lose(self, found: Mapping[str, FoundFile], contents: dict[str, Content], now: datetime) -> None:
        at = round(now.timestamp() * 1e6)
        for identity, content in list(contents.items()):
            if identity in found or content.path in self._unread:
                continue
            if not content.lost:
                contents[identity] = msgspec.structs.replace(content, lost=at, seen=at)
            elif at - content.seen > _KEPT / timedelta(microseconds=1):
                del contents[identity]
        surplus = len(contents) - _MOST_KEPT
        if surplus > 0:
            gone = sorted((content.seen, key) for key, content in contents.items() if content.lost == TOLD)
            for _, identity in gone[:surplus]:
                del contents[identity]


def successors(path: str) -> Iterator[str]:
    """Under which names a log goes on that was rotated to this name: ``a.log`` for ``a.log.1`` and ``a-20260317.log``."""
    folder, slash, name = path.rpartition("/")
    if found := _ROTATED.fullmatch(name):
        yield f"{folder}{slash}{found[1]}{found[2] or ''}"


def _new_content(file: FoundFile, contents: Mapping[str, Content], now: datetime) -> Content:
    identity, number = file.identity, 2
    while identity in contents:
        identity = f"{file.identity}.{number}"
        number += 1
    return Content(
        identity=identity,
        head=file.head,
        inode=file.inode,
        path=file.path,
        layout=file.layout,
        end=0,
        tail=digest(b""),
        seen=round(now.timestamp() * 1e6),
    )
