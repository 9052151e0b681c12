"""Which event files are there, and what makes each of them the same file tomorrow.

A file's identity is ``<inode>-<digest>``, the digest being that of its first line, or of the first KiB where that line is
longer or the file is none of lines. A file that grows or is renamed keeps it; one that takes a deleted file's inode, or
that is cut and written anew, gets another, unless it starts with the very same line. The device is no part of it: its
number may change when a machine starts or a volume is mounted again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from glob import glob, has_magic
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import msgspec

from connector.siem.formats.archives import holds_events
from connector.siem.formats.sniff import sniff
from connector.siem.formats.streams import PIECE

LINES = frozenset({"records", "text"})
_KIB = 1024


class FoundFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with events. ``layout``: ``records`` and ``text`` are lines, read by byte; the others by ordinal."""

    path: str
    identity: str
    layout: Literal["records", "text", "container", "binary"]
    device: int
    size: int
    modified_ns: int

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


_Looked: TypeAlias = tuple[tuple[int, int, int, int], FoundFile | None]
"""(what changes when a file is written to or replaced, what it was then)."""


class Finder:
    """Finds event files again and again, looking into those alone that changed.

    ``refused`` hears once of each path that cannot be read, or is binary and in no known format; those are left out.
    """

    def __init__(
        self, paths: Sequence[str], refused: Callable[[str, str], None], *, follow: bool, quiet: timedelta
    ) -> None:
        self._paths = paths
        self._refused = refused
        self._follow = follow
        self._quiet = quiet
        self._known: dict[str, _Looked] = {}
        self._told: set[tuple[str, str]] = set()
        self._sizes: dict[str, int] = {}

    def find(self, now: datetime) -> list[FoundFile]:
        """The files that may be read now.

        While they are followed: lines once their first is whole, containers once left alone for ``quiet``.
        """
        found: dict[str, FoundFile] = {}
        known: dict[str, _Looked] = {}
        for path in expand(self._paths, partial(self.tell, reason="names no file yet")):
            file = self._look(path, known)
            if file is None or self._is_twin(file, found.get(file.identity)):
                continue
            if file.layout == "binary":
                self.tell(path, "is binary and in no known format")
                continue
            age = now.timestamp() - file.modified_ns / 1e9
            if file.layout == "container" and self._follow and age < self._quiet.total_seconds():
                continue
            found[file.identity] = file
        self._known = known
        self._watch(found.values())
        return list(found.values())

    def tell(self, path: str, reason: str) -> None:
        """Says once why a file is not read."""
        if (path, reason) not in self._told:
            self._told.add((path, reason))
            self._refused(path, reason)

    def _is_twin(self, file: FoundFile, other: FoundFile | None) -> bool:
        """Whether another path stands for it already: a link to the same file, or by bad luck a file elsewhere."""
        if other is not None and other.device != file.device:
            self.tell(file.path, f"cannot be told apart from {other.path} (same inode and first line), and is not read")
        return other is not None

    def _watch(self, files: Iterable[FoundFile]) -> None:
        """Tells of files that became shorter under the same first line: what replaced them is taken for read."""
        before, self._sizes = self._sizes, {file.identity: file.size for file in files}
        for file in files:
            if file.size < before.get(file.identity, 0):
                self._refused(
                    file.path,
                    f"was cut from {before[file.identity]} to {file.size} bytes and starts with the same line; what was "
                    "written in place of bytes that were read is not read",
                )

    def _look(self, path: str, known: dict[str, _Looked]) -> FoundFile | None:
        try:
            status = Path(path).stat()
            mark = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            before = self._known.get(path)
            if before is None or before[0] != mark:
                with Path(path).open("rb", buffering=0) as stream:
                    before = mark, look(stream, path, follow=self._follow)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.tell(path, f"cannot be read: {error.strerror}")
            return None
        known[path] = before
        return before[1]


def look(stream: BinaryIO, path: str, *, follow: bool) -> FoundFile | None:
    """What an open file is; None for one that is empty or, while it is followed, has no whole first line yet."""
    status = os.fstat(stream.fileno())
    head = stream.read(PIECE)
    found = sniff(head, path)
    if found == "nothing":
        return None
    if found in LINES:
        first = head[:_KIB].partition(b"\n")
        if follow and len(head) < _KIB and not first[1]:
            return None
        digested = b"".join(first[:2])
    else:
        digested = head[:_KIB]
    digest = hashlib.sha256(digested).hexdigest()[:16]
    return FoundFile(
        path=path,
        identity=f"{status.st_ino:x}-{digest}",
        layout=found if found in {"records", "text", "binary"} else "container",
        device=status.st_dev,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
    )


def whole_lines(stream: BinaryIO, size: int, limit: int) -> int:
    """The offset behind the last whole line of an open file of ``size`` bytes; a line beyond ``limit`` counts as whole."""
    end = size
    while end > 0 and size - end <= limit:
        start = max(0, end - PIECE)
        stream.seek(start)
        at = stream.read(end - start).rfind(b"\n")
        end = start + at + 1
        if at >= 0:
            break
    return end if size - end <= limit else size
