"""An export on disk: two journals that only grow, the labels that follow from them, and the manifest that says what counts.

::

    facts.jsonl             every change of an alert, in the order in which it was exported
    events.jsonl            every event that one of them is about, once
    labels-<digest>.jsonl   the labels as they stand (and the same as .parquet)
    manifest.json           how much of the journals counts, and which file of labels

Nothing counts before the manifest names it, and that is replaced in one step. What a killed run left behind is cut off, or
removed, by the next one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from connector.errors import ConfigError, TransientError
from connector.learn.export.formats import read_jsonl
from connector.learn.export.rows import SCHEMA, Fact, Row, Sighted

MANIFEST: Final = "manifest.json"
FACTS: Final = "facts.jsonl"
EVENTS: Final = "events.jsonl"
LABELS: Final = "labels-"
_BLOCK: Final = 1 << 20

T = TypeVar("T")
Steps = Callable[[str], object]
"""Is told of each step once it is done; a test may end the process there."""


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a journal counts."""

    rows: int = 0
    bytes: int = 0
    sha256: str = hashlib.sha256().hexdigest()


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """The labels' files by format, with their SHA-256, and what is in them; ``standing``: labels that nothing superseded."""

    digest: str
    rows: int
    standing: Mapping[str, int]
    conflicts: int
    left_out: Mapping[str, int]
    unmapped: int
    files: Mapping[str, str]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One export that found something new."""

    run: int
    at: datetime
    facts: int
    events: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds. ``key`` tells which key made the pseudonyms; ``rules`` is a digest of the settings that label."""

    schema: int = SCHEMA
    key: str
    rules: str = ""
    as_of: datetime | None = None
    facts: Journal = Journal()
    events: Journal = Journal()
    runs: tuple[Run, ...] = ()
    labels: Labels | None = None


class Place(msgspec.Struct, frozen=True):
    """Where an event stands in its journal."""

    start: int
    length: int
    scored_at: datetime


class _At(msgspec.Struct, frozen=True):
    event_id: str
    scored_at: datetime


class Folder:
    """An export folder. Raises ``ConfigError`` where another key wrote it, a newer release did, or it is damaged.

    Without a ``key`` it can be read: rows need none.
    """

    def __init__(self, path: Path, key: str | None = None, steps: Steps = lambda _: None) -> None:
        self.path = path
        self.step = steps
        self._key = key
        self._digests: dict[str, Any] = {}  # of journals that were written here, to go on from
        self.manifest = Manifest(key=key or "")
        self.reload()

    def reload(self) -> None:
        """Reads the manifest, which another process may have replaced."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            found = self.path / MANIFEST
            self.manifest = _decode(found) if found.exists() else Manifest(key=self._key or "")
        except OSError as error:
            raise ConfigError(f"export folder {self.path} cannot be used: {error.strerror}") from error
        if self.manifest.schema > SCHEMA:
            raise ConfigError(f"{self.path} has schema {self.manifest.schema}; this release reads up to {SCHEMA}")
        if self._key is not None and self.manifest.key != self._key:
            raise ConfigError(
                f"{self.path} was written with another export.key: give that one, or export to another folder"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other processes out. Raises ``TransientError`` where one is at work."""
        with os.fdopen(os.open(self.path / ".lock", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TransientError(f"another process exports to {self.path}") from None
            yield

    def facts(self) -> list[Fact]:
        """Every fact that counts. Raises ``ConfigError`` where the journal is not what the manifest says."""
        return [msgspec.json.decode(line, type=Fact) for _, line in self._lines(FACTS, self.manifest.facts)]

    def places(self) -> dict[str, Place]:
        """Where each event stands, by its id."""
        found: dict[str, Place] = {}
        for start, line in self._lines(EVENTS, self.manifest.events):
            at = msgspec.json.decode(line, type=_At)
            found[at.event_id] = Place(start, len(line), at.scored_at)
        return found

    @contextmanager
    def events(self) -> Iterator[Callable[[Place], Sighted]]:
        """Reads single events."""
        if not self.manifest.events.rows:
            yield _no_event
            return
        with (self.path / EVENTS).open("rb") as journal:

            def read(place: Place) -> Sighted:
                journal.seek(place.start)
                return msgspec.json.decode(journal.read(place.length), type=Sighted)

            yield read

    def grown(self, name: str, before: Journal, lines: list[bytes]) -> Journal:
        """The journal with more lines, which are on the disk when this returns, and count once the manifest says so."""
        if not lines:
            return before
        path = self.path / name
        digest = self._digests.pop(name, hashlib.sha256())
        data = b"".join(line + b"\n" for line in lines)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as journal:
            journal.truncate(before.bytes)
            if digest.hexdigest() != before.sha256:
                digest = hashlib.sha256()
                while block := journal.read(_BLOCK):
                    digest.update(block)
            journal.seek(before.bytes)
            digest.update(data)
            journal.write(data)
            journal.flush()
            os.fsync(journal.fileno())
        self._digests[name] = digest
        self.step(f"written {name}")
        return Journal(rows=before.rows + len(lines), bytes=before.bytes + len(data), sha256=digest.hexdigest())

    def commit(self, manifest: Manifest) -> None:
        """Makes all of it count, and removes files of labels that no longer do."""
        fresh = self.path / f".{MANIFEST}.new"
        written(fresh, msgspec.json.format(msgspec.json.encode(manifest, order="sorted")) + b"\n")
        self.step("written manifest")
        fresh.replace(self.path / MANIFEST)
        _synced(self.path)
        self.manifest = manifest
        self.step("committed")
        self.tidy()

    def tidy(self) -> None:
        """Removes what a killed run left behind."""
        named = set(self.manifest.labels.files) if self.manifest.labels else set()
        for file in sorted(self.path.glob(f"{LABELS}*")):
            if file.name not in named:
                file.unlink()
                self.step("removed labels")
        for file in self.path.glob(".*.new"):
            file.unlink()

    def labels(self) -> list[Row]:
        """The labels that count, of one and the same run. Raises ``ConfigError`` where there are none, or damaged ones.

        An export that ends meanwhile takes the file away that the manifest named; then the newer one is read.
        """
        while True:
            files = self.manifest.labels.files if self.manifest.labels else {}
            name = next((name for name in files if name.endswith(".jsonl")), None)
            if name is None:
                raise ConfigError(f"{self.path} has no labels")
            try:
                data = (self.path / name).read_bytes()
            except FileNotFoundError:
                self.reload()
                if self.manifest.labels and name in self.manifest.labels.files:
                    raise ConfigError(f"{self.path / name} is missing: {MANIFEST} names it") from None
                continue
            if hashlib.sha256(data).hexdigest() != files[name]:
                raise ConfigError(f"{self.path / name} is not the file that {MANIFEST} describes")
            return list(read_jsonl(data, self.path / name))

    def _lines(self, name: str, journal: Journal) -> Iterator[tuple[int, bytes]]:
        """The lines that count, with where each begins."""
        if not journal.rows:
            return
        digest, start = hashlib.sha256(), 0
        try:
            with (self.path / name).open("rb") as file:
                while start < journal.bytes and (line := file.readline()):
                    digest.update(line)
                    yield start, line
                    start += len(line)
        except OSError as error:
            raise ConfigError(f"{self.path / name} cannot be read: {error.strerror}") from error
        if start != journal.bytes or digest.hexdigest() != journal.sha256:
            raise ConfigError(f"{self.path / name} is not the journal that {MANIFEST} describes")


def written(path: Path, data: bytes) -> None:
    """Writes a file that only its owner may read, to the disk."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replaced(path: Path, data: bytes) -> None:
    """The same in one step, whatever was there before."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    written(fresh, data)
    fresh.replace(path)
    _synced(path.parent)


def _synced(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _decode(path: Path) -> Manifest:
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        if isinstance(found.get("schema"), int) and found["schema"] > SCHEMA:
            return Manifest(key=str(found.get("key")), schema=found["schema"])
        return msgspec.convert(found, Manifest)
    except (AttributeError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path} is no manifest of an export: {error}") from error


def _no_event(place: Place) -> Sighted:
    raise KeyError(place)
