"""Pinned upstreams, and reading them: a tar of the upstream tree, or the tree itself."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from connector.errors import ConfigError
from connector.learn.corpora.sample import Sample

PINS = Path(__file__).with_name("sources.toml")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One pinned upstream. ``root`` is the folder inside the archive and, unpacked, inside the corpora folder.

    An empty ``archive`` is a source that the project makes itself. ``may_train`` false: for evaluation alone.
    """

    name: str
    upstream: str
    commit: str
    archive: str
    sha256: str
    root: str
    licence: str
    credit: str
    may_train: bool


class Recipe(Protocol):
    """Yields the samples of one source, always the same in the same order."""

    def __call__(self, corpora: Corpora) -> Iterator[Sample]:
        """The samples."""
        ...


def pinned(path: Path = PINS) -> Mapping[str, Source]:
    """All pinned sources by name."""
    table = tomllib.loads(path.read_text("utf-8"))
    return {name: msgspec.convert({"name": name, **body}, Source) for name, body in table.items()}


class Corpora:
    """A folder of corpora: archives named as pinned, or unpacked trees ``OWNER/REPO``. Archives are hashed once."""

    def __init__(self, folder: Path, sources: Mapping[str, Source] | None = None) -> None:
        self.folder = folder
        self.sources = pinned() if sources is None else sources
        self.verified: dict[str, str] = {}
        """SHA-256 by name of each archive that was read. What came from an unpacked tree is not here: nobody hashed it."""

    def of(self, names: Iterable[str]) -> Corpora:
        """The same folder with these sources alone: a recipe that also reads another source finds no other."""
        return Corpora(self.folder, {name: self.sources[name] for name in names})

    def holds(self, name: str) -> bool:
        """Whether the source is there in either form; one without an archive is made here."""
        source = self.sources.get(name)
        if source is None:
            return False
        return not source.archive or (self.folder / source.archive).is_file() or (self.folder / source.root).is_dir()

    def files(self, name: str, *suffixes: str) -> Iterator[tuple[str, bytes]]:
        """The files of a source with one of these suffixes as (path below the source's root, content), sorted by path."""
        source = self.sources[name]
        archive, tree = self.folder / source.archive, self.folder / source.root
        if archive.is_file():
            self._verify(source, archive)
            yield from sorted(_from_archive(archive, f"{source.root}/", suffixes))
        elif tree.is_dir():
            yield from _from_tree(tree, suffixes)
        else:
            raise ConfigError(
                f"{name}: neither {archive} nor {tree} is there; clone {source.upstream} at {source.commit}"
            )

    def _verify(self, source: Source, archive: Path) -> None:
        if source.name in self.verified:
            return
        with archive.open("rb") as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
        if found != source.sha256:
            raise ConfigError(f"{archive} has SHA-256 {found}, pinned is {source.sha256}")
        self.verified[source.name] = found


def _from_archive(archive: Path, prefix: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """The files of a tar; of one file that is compressed by itself, that file under its own name."""
    if tarfile.is_tarfile(archive):
        yield from _from_tar(archive, prefix, suffixes)
    elif archive.suffix == ".gz" and archive.stem.endswith(suffixes):
        with gzip.open(archive) as stream:
            yield archive.stem, stream.read()


def _from_tar(archive: Path, prefix: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and member.name.startswith(prefix) and member.name.endswith(suffixes):
                stream = tar.extractfile(member)
                if stream is not None:
                    yield member.name[len(prefix) :], stream.read()


def _from_tree(tree: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    found = {
        str(path.relative_to(tree)): path for path in tree.rglob("*") if path.is_file() and path.name.endswith(suffixes)
    }
    for name in sorted(found):
        yield name, found[name].read_bytes()
