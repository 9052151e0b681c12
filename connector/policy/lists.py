"""Allow and block lists: entries by value, each with a reason, an author and an end.

A block entry beats an allow entry: nobody can hide what was blocked behind something that was allowed. Block entries are
looked for in more fields, and in every element of a list; an allow entry never takes one element for the whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from connector.errors import ConfigError
from connector.policy.decide import Listed, ListName
from connector.policy.networks import Networks, network
from connector.policy.tables import checked, rows
from connector.settings import Section
from connector.types import Document, Json

Kind: TypeAlias = Literal["hash", "domain", "address", "url", "process", "command_line", "user", "host"]

FIELDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "hash": ("process.hash", "file.hash", "dll.hash"),
    "domain": ("dns.question.name", "url.domain", "destination.domain", "tls.client.server_name"),
    "address": ("source.ip", "destination.ip", "client.ip", "server.ip"),
    "url": ("url.full", "url.original"),
    "process": ("process.executable",),
    "command_line": ("process.command_line",),
    "user": ("user.name", "user.id", "user.email"),
    "host": ("host.name", "host.hostname"),
}
"""Where the values of each kind stand in an event."""

ONLY_BLOCKED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "hash": ("process.parent.hash", "related.hash"),
    "domain": ("source.domain",),
    "address": ("dns.resolved_ip", "related.ip"),
    "process": ("process.parent.executable",),
    "command_line": ("process.parent.command_line",),
    "user": ("user.target.name", "user.target.id", "user.effective.name", "related.user"),
}
"""Where block entries are looked for as well."""

_MOST: Final = 64
"""Elements of a list, labels of a name, digests of a file that are looked at."""

_LONGEST: Final = 1 << 15
"""A longer text is in no list."""

_DIGESTS: Final = frozenset({32, 40, 56, 64, 96, 128})
_EXACT: Final = frozenset({"url", "command_line"})


def _end(value: Any) -> Any:
    """``never`` as None, a day as its end in UTC; anything else is left to pydantic."""
    if value == "never":
        return None
    if isinstance(value, str) and len(value) == 10:
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC) + timedelta(days=1)
    return value


class EntryRow(Section):
    """One row of a list."""

    list: ListName
    kind: Kind
    value: str = Field(min_length=1, max_length=_LONGEST)
    reason: str = Field(min_length=1)
    author: str = Field(min_length=1)
    expires: Annotated[datetime | None, BeforeValidator(_end)]


class Lists:
    """The entries of all lists. Matching costs a dict look-up a value."""

    def __init__(self, entries: Iterable[Listed] = ()) -> None:
        every = tuple(entries)
        self.size = len(every)
        self._indexes: dict[ListName, dict[Kind, _Index]] = {"block": {}, "allow": {}}
        for entry in every:
            self._indexes[entry.list].setdefault(entry.kind, _Index()).add(entry)  # type: ignore[arg-type]
        self._ends = {
            name: sorted(entry.expires for entry in every if entry.list == name and entry.expires is not None)
            for name in self._indexes
        }
        self._sizes = {name: sum(entry.list == name for entry in every) for name in self._indexes}

    def counts(self, now: datetime) -> Mapping[ListName, tuple[int, int]]:
        """(in force, expired) of each list."""
        expired = {name: bisect_right(ends, now) for name, ends in self._ends.items()}
        return {name: (self._sizes[name] - expired[name], expired[name]) for name in self._indexes}

    def match(self, ecs: Document, now: datetime) -> Listed | None:
        """The entry that decides of an event: of several the first block entry, else the first allow entry."""
        for name, indexes in self._indexes.items():
            for kind, index in indexes.items():
                for value in _values(ecs, kind, name):
                    for entry in index.find(_NORMAL[kind](value)):
                        if entry.expires is None or now < entry.expires:
                            return entry
        return None


class _Index:
    """The entries of one list and kind."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Listed]] = {}
        self._networks: list[tuple[Any, Listed]] = []
        self._compiled: Networks[Listed] | None = None
        self._kind = ""

    def add(self, entry: Listed) -> None:
        self._kind = entry.kind
        if entry.kind == "address":
            self._networks.append((network(entry.value), entry))
        else:
            self._entries.setdefault(entry.value, []).append(entry)

    def find(self, value: str) -> Iterator[Listed]:
        if self._kind == "address":
            self._compiled = self._compiled or Networks(self._networks)
            yield from self._compiled.find(value)
        elif self._kind == "domain":
            for name in _with_parents(value):
                yield from self._entries.get(name, ())
        elif self._kind == "host":
            for name in dict.fromkeys((value, value.partition(".")[0])):
                yield from self._entries.get(name, ())
        else:
            yield from self._entries.get(value, ())


def read_lists(paths: Iterable[Path]) -> Iterator[Listed]:
    """The entries of CSV and TOML (``[[entries]]``) files. Raises ``ConfigError`` with the place."""
    for path in paths:
        for place, row in rows(path, "entries"):
            entry = checked(EntryRow, row, place)
            yield Listed(
                list=entry.list,
                kind=entry.kind,
                value=_checked_value(entry, place),
                reason=entry.reason,
                author=entry.author,
                expires=_aware(entry.expires),
            )


def _aware(end: datetime | None) -> datetime | None:
    return end.replace(tzinfo=UTC) if end is not None and end.tzinfo is None else end


def _checked_value(entry: EntryRow, place: str) -> str:
    value = _NORMAL[entry.kind](entry.value)
    if "*" in value and entry.kind not in _EXACT:
        raise ConfigError(f"{place}: value {entry.value!r}: there are no wildcards; a domain covers what is below it")
    if entry.kind == "hash" and (len(value) not in _DIGESTS or not set(value) <= set("0123456789abcdef")):
        raise ConfigError(f"{place}: value {entry.value!r} is no hexadecimal MD5, SHA-1 or SHA-2")
    if entry.kind == "address":
        try:
            return str(network(value))
        except ValueError as error:
            raise ConfigError(f"{place}: {error}") from error
    return value


def _folded(value: str) -> str:
    return " ".join(value.split()).lower()


_NORMAL: Final[Mapping[Kind, Callable[[str], str]]] = {
    "hash": str.lower,
    "domain": lambda value: value.lower().removeprefix("*.").strip("."),
    "address": str.strip,
    "url": str.strip,
    "process": str.lower,
    "command_line": _folded,
    "user": str.lower,
    "host": str.lower,
}


def _with_parents(name: str) -> Iterator[str]:
    """A domain and those above it."""
    for _ in range(_MOST):
        yield name
        _, dot, name = name.partition(".")
        if not dot:
            return


def _values(ecs: Document, kind: Kind, name: ListName) -> Iterator[str]:
    """The texts of an event that an entry of this kind may name."""
    for path in FIELDS[kind]:
        yield from _texts(_at(ecs, path), every=name == "block")
    if kind == "user":
        user = ecs.get("user")
        if isinstance(user, dict) and isinstance(user.get("domain"), str) and isinstance(user.get("name"), str):
            yield f"{user['domain']}\\{user['name']}"[:_LONGEST]
    if name == "block":
        for path in ONLY_BLOCKED.get(kind, ()):
            yield from _texts(_at(ecs, path), every=True)


def _texts(value: Json, *, every: bool) -> Iterator[str]:
    """The texts in a value; of a longer list only where ``every`` element counts. An object is one of digests."""
    if isinstance(value, dict):
        value, every = list(value.values()), True
    if isinstance(value, list):
        for item in value[:_MOST] if every or len(value) == 1 else ():
            if isinstance(item, str) and 0 < len(item) <= _LONGEST:
                yield item
    elif isinstance(value, str) and 0 < len(value) <= _LONGEST:
        yield value


def _at(ecs: Document, path: str) -> Json:
    node: Json = ecs
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return ecs.get(path) if node is None else node
