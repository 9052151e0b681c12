"""Rules of packs and of folders that their owner may change at any time: the set in use, renewed between batches."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from connector.errors import ConfigError
from connector.models.rules.packs import SUFFIXES, files_of
from connector.models.rules.reading import Part, joined, read_file
from connector.models.rules.ruleset import RuleSet
from connector.telemetry import Signal, emit

EVERY_S = 5.0
"""Folders are looked at so often, and no oftener."""

_ENDS = tuple(SUFFIXES)
Stamp = tuple[tuple[str, int, int], ...]


class Current(NamedTuple):
    """The set in use, and the digest of all that it was made of."""

    rules: RuleSet
    digest: str


class Watched:
    """The rules of folders and packs. A folder's rule goes before a pack's with the same id.

    A rule or file that no longer can be read keeps its last form, and a folder that cannot be read all of its rules: a slip
    of the pen never takes a rule out of service. All is told in the log. ``clock`` gives seconds that only rise.
    """

    def __init__(self, folders: Sequence[Path], packs: Sequence[Path], clock: Callable[[], float]) -> None:
        self._folders = tuple(folders)
        self._packs = [(f"{pack.name}:{path}", content) for pack in packs for path, content in files_of(pack)]
        self._clock = clock
        self._parts: dict[str, tuple[bytes, Part]] = {}
        self._lock = threading.Lock()
        self._stamp = self._stamped()
        self._current = self._made(self._contents())
        self._looked = clock()

    def current(self) -> Current:
        """The set in use; where a folder has changed since the last look, the new one. Bad rules are in its ``left_out``."""
        if self._folders and self._clock() - self._looked >= EVERY_S and self._lock.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looked = self._clock()
                self._lock.release()
        return self._current

    def _look(self) -> None:
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return
            contents = self._contents()
        except ConfigError as error:
            emit(Signal.RULES_REFUSED, reason=str(error))
            return
        before = self._current
        self._stamp, self._current = stamp, self._made(contents)
        new = [f"{path}: {reason}" for path, reason in self._current.rules.left_out]
        old = {f"{path}: {reason}" for path, reason in before.rules.left_out}
        emit(Signal.RULES_RELOADED, rules=len(self._current.rules.rules), left_out=len(new))
        for reason in new:
            if reason not in old:
                emit(Signal.RULES_REFUSED, reason=reason)

    def _stamped(self) -> Stamp:
        return tuple(stamp for folder in self._folders for stamp in _stamps(folder))

    def _contents(self) -> dict[str, bytes]:
        mine = {f"{folder}/{path}": body for folder in self._folders for path, body in files_of(folder)}
        return mine | dict(self._packs)

    def _made(self, contents: Mapping[str, bytes]) -> Current:
        """The set of these files: those that have not changed are not read again."""
        parts: dict[str, tuple[bytes, Part]] = {}
        whole = hashlib.sha256()
        for path, content in contents.items():
            digest = hashlib.sha256(content).digest()
            whole.update(path.encode("utf-8", "surrogatepass") + b"\0" + digest)
            known = self._parts.get(path)
            if known is not None and known[0] == digest:
                parts[path] = known
                continue
            parts[path] = (digest, read_file(path, content, known[1].rules if known is not None else ()))
        self._parts = parts
        return Current(RuleSet(*joined(part for _, part in parts.values())), whole.hexdigest())


def _stamps(folder: Path) -> Iterator[tuple[str, int, int]]:
    """The name, time of change and size of each rule file. Raises ``ConfigError``."""
    try:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder of rules at {folder}")
        yield from sorted(_walked(folder))
    except OSError as error:
        raise ConfigError(f"the rules in {folder} cannot be read: {error}") from error


def _walked(folder: Path | str) -> Iterator[tuple[str, int, int]]:
    """The same unsorted. Thousands of files are looked at every few seconds: no object is made of each."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walked(entry.path)
            elif entry.name.endswith(_ENDS):
                facts = entry.stat()
                yield (entry.path, facts.st_mtime_ns, facts.st_size)
