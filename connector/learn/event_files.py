"""The event files of a corpus one by one, so that a sample of it can be drawn by file, never by row.

A corpus is a file, a folder or an archive. A file is what stands in the folder or in the archive: a recording, a log, a
rule with its tests. Where a path is a pinned corpus that holds more than events, its recipe says which files to read, and how.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from io import BufferedReader
from pathlib import Path, PurePath
from typing import Final, NamedTuple, TypeAlias

from connector.errors import ConfigError
from connector.learn.corpora import open_xp_rules, panther
from connector.learn.corpora.source import Corpora, Source, pinned
from connector.siem.formats import Limits, records, sniff
from connector.siem.formats.archives import Member, tar_members, zip_members
from connector.siem.formats.found import expand
from connector.siem.formats.streams import PIECE, Budget, DamagedError, opened, unpacked
from connector.types import Document, RawEvent, SourceRef

Item: TypeAlias = tuple[Document | str | bytes, str, str | None]
"""(data, place, error), as the readers of event files give them."""

Read: TypeAlias = Callable[[str, bytes], Iterator[tuple[Document | str | bytes, str]]]
"""Takes a file's path and content; gives each event with its place in the file."""


class Own(NamedTuple):
    """How a corpus is read whose files hold more than events: the files' suffixes, and what is in one."""

    suffixes: tuple[str, ...]
    read: Read


OWN: Final[Mapping[str, Own]] = {
    open_xp_rules.NAME: Own((".json",), open_xp_rules.events),
    panther.NAME: Own((".yml",), panther.events),
}

_PACKED: Final = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)


class Share(NamedTuple):
    """Which share of a corpus' files to take. The same files are taken in whatever order they come."""

    fraction: float
    seed: int = 0

    def of(self, names: Iterable[str]) -> frozenset[str]:
        """The chosen names: those whose digests are lowest, at least one."""
        ranked = sorted(names, key=self._digest)
        return frozenset(ranked[: math.ceil(self.fraction * len(ranked))])

    def _digest(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.seed}:{name}".encode("utf-8", "surrogatepass")).digest()


ALL: Final = Share(1.0)


class Corpus:
    """A path as a corpus; ``files`` counts what was read. Raises ``ConfigError`` where the path names nothing."""

    def __init__(self, path: str, share: Share = ALL, limits: Limits | None = None) -> None:
        self.path = path
        self.files = 0
        self._share = share
        self._limits = limits or Limits()
        self._disk = list(expand([path], _must_exist))

    def events(self) -> Iterator[RawEvent]:
        """Every event of the chosen files, in constant memory. What cannot be read is one event with an error."""
        chosen = None if self._share.fraction >= 1 else self._share.of(name for name, _ in self._walk())
        for name, items in self._walk():
            if chosen is not None and name not in chosen:
                continue
            self.files += 1
            for data, place, error in items():
                ref = SourceRef(siem="coverage", index=self.path, id=place)
                yield RawEvent(deployment="coverage", native_id=place, ref=ref, data=data, place=place, error=error)

    def _walk(self) -> Iterator[_Named]:
        """Each file's name, which tells nothing of where the corpus stands, and how to read it; read it before the next."""
        if ours := _pinned_at(Path(self.path)):
            yield from _of_recipe(*ours)
            return
        for path in self._disk:
            if ours := _pinned_at(Path(path)):
                yield from _of_recipe(*ours)
            else:
                below = path.removeprefix(self.path).lstrip("/") or Path(path).name
                yield from _in_file(path, below, self._limits)


_Named: TypeAlias = tuple[str, Callable[[], Iterable[Item]]]


def _in_file(path: str, name: str, limits: Limits) -> Iterator[_Named]:
    """The files in an archive, or the file itself. An archive in an archive is one file."""
    try:
        with opened(path) as stream:
            archive = _archive(stream, path, Budget(limits.max_unpacked))
            if archive is None:
                stream.seek(0)
                yield name, partial(records, stream, path, limits)
                return
            for member, content in archive:
                place = f"{path}!{member}"
                if isinstance(content, DamagedError):
                    yield f"{name}!{member}", partial(_unreadable, place, str(content))
                else:
                    yield f"{name}!{member}", partial(records, content, place, limits)
    except DamagedError as error:
        yield name, partial(_unreadable, path, str(error))
    except OSError as error:
        yield name, partial(_unreadable, path, f"the file cannot be read: {error.strerror}")


def _archive(stream: BufferedReader, path: str, budget: Budget) -> Iterator[Member] | None:
    """The members of an archive, also of a packed one; None where the file is none."""
    found = sniff(stream.peek(PIECE), path)
    if found == "zip":
        return zip_members(stream, budget)
    if found in {"gzip", "bzip2", "xz"}:
        stream = unpacked(stream, found, budget)
        found = sniff(stream.peek(PIECE), _PACKED.sub("", path))
    return tar_members(stream, budget) if found == "tar" else None


def _unreadable(place: str, reason: str) -> Iterator[Item]:
    yield b"", place, reason


def _pinned_at(path: Path) -> tuple[Source, Own, Corpora] | None:
    """The pinned corpus that stands at a path, as archive or as unpacked tree, where it is one with its own reader."""
    sources = pinned()
    for name, own in OWN.items():
        source = sources[name]
        if path.name == source.archive:
            return source, own, Corpora(path.parent)
        root = PurePath(source.root)
        if path.is_dir() and path.absolute().parts[-len(root.parts) :] == root.parts:
            return source, own, Corpora(path.absolute().parents[len(root.parts) - 1])
    return None


def _of_recipe(source: Source, own: Own, corpora: Corpora) -> Iterator[_Named]:
    for path, content in corpora.files(source.name, *own.suffixes):
        yield f"{source.root}/{path}", partial(_items, own.read, path, content)


def _items(read: Read, path: str, content: bytes) -> Iterator[Item]:
    for data, place in read(path, content):
        yield data, f"{path}:{place}", None


def _must_exist(path: str) -> None:
    raise ConfigError(f"{path}: no such file, and no folder with event files")
