"""Which bundle is in production, and every change of it: who, when, why, and what the gate said.

``production.json`` is replaced in one step and holds its newest change; ``history.jsonl`` only grows. A change counts once
``production.json`` names it, and whoever changes next writes down in the history what a kill kept out of it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from connector.errors import ConfigError

PRODUCTION: Final = "production.json"
HISTORY: Final = "history.jsonl"


class Change(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One promotion or roll-back. ``gate`` is the SHA-256 of the report that let it pass; None: nothing did.

    ``override``: it was put in production against the gate, or without it, for the reason in ``why``.
    """

    number: int
    action: Literal["promote", "rollback"]
    bundle: str
    before: str | None
    at: datetime
    who: str = ""
    why: str = ""
    gate: str | None = None
    override: bool = False


class Production(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What ``production.json`` says. ``previous`` is where a roll-back goes; ``change`` is how it came to be."""

    bundle: str
    previous: str | None
    change: Change | None = None


class Promotions:
    """The two files of a store."""

    def __init__(self, store: Path) -> None:
        self._path = store

    def production(self) -> Production | None:
        """What is in production; None where nothing was promoted. Raises ``ConfigError``."""
        path = self._path / PRODUCTION
        try:
            return msgspec.json.decode(path.read_bytes(), type=Production)
        except FileNotFoundError:
            return None
        except (OSError, RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise ConfigError(f"{path} does not name the bundle in production: {error}") from error

    def history(self) -> list[Change]:
        """Every change, oldest first, the one that ``production.json`` alone knows among them. Raises ``ConfigError``."""
        written = self._written()
        state = self.production()
        newest = None if state is None else state.change
        known = written[-1].number if written else 0
        return [*written, newest] if newest is not None and newest.number > known else written

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One process at a time, and nothing of an earlier change is missing from the history. Raises ``ConfigError``."""
        try:
            with (self._path / HISTORY).open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._catch_up()
                yield
                self._catch_up()
        except OSError as error:
            raise ConfigError(f"what is in production in {self._path} cannot be changed: {error.strerror}") from error

    def put(self, state: Production) -> None:
        """Puts a bundle in production in one step; inside :meth:`changing`."""
        fresh = self._path / f"{PRODUCTION}.new"
        with fresh.open("wb") as file:
            file.write(msgspec.json.encode(state) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path / PRODUCTION)

    def _catch_up(self) -> None:
        """Appends what the history lacks, over what a kill left of a line."""
        path = self._path / HISTORY
        whole = path.read_bytes().rpartition(b"\n")
        missing = self.history()[len(self._written()) :]
        if whole[2] or missing:
            with path.open("r+b") as file:
                file.seek(len(whole[0]) + len(whole[1]))
                file.truncate()
                for change in missing:
                    file.write(msgspec.json.encode(change) + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def _written(self) -> list[Change]:
        """The whole lines of the history; what follows the last line break was never finished."""
        path = self._path / HISTORY
        try:
            lines = path.read_bytes().rpartition(b"\n")[0].splitlines()
            return [msgspec.json.decode(line, type=Change) for line in lines]
        except FileNotFoundError:
            return []
        except (OSError, RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise ConfigError(f"{path} is no history of promotions: {error}") from error


def promoted(state: Production | None, history: list[Change]) -> list[str]:
    """The bundles in production one upon the other, the present one last: a roll-back takes the last away.

    What another release put in production without a history is known from the change after it.
    """
    stack: list[str] = []
    for change in history:
        if change.before is not None and (not stack or stack[-1] != change.before):
            stack.append(change.before)
        if change.action == "rollback":
            stack.pop()
            while change.bundle in stack[:-1] and stack[-1] != change.bundle:
                stack.pop()
        if not stack or stack[-1] != change.bundle:
            stack.append(change.bundle)
    if state is not None and (not stack or stack[-1] != state.bundle):  # another release wrote it, without a history
        stack = [name for name in (state.previous, state.bundle) if name is not None]
    return stack
