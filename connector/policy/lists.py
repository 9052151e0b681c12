"""Allow and block lists: entries by value, each with a reason, an author and an end.

A block entry beats an allow entry: nobody can hide what was blocked behind something that was allowed. Block entries are
looked for in more fields, and in every element of a list; an allow entry never takes one element for the whole.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from connector.errors import ConfigError
from connector.policy.decide import Listed
from connector.policy.facts import ListName
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
"""Elements of a list, digests of a file that are looked at."""

_LABELS: Final = 128
"""Labels at the end of a name that are looked at: DNS has no name with more."""

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
        self._indexes = tuple(
            _Index(kind, of_kind) for kind in FIELDS if (of_kind := [e for e in every if e.kind == kind])
        )
        self._names: tuple[ListName, ...] = ("block", "allow")
        self._sizes = {name: sum(entry.list == name for entry in every) for name in self._names}
        self._ends = {
            name: sorted(entry.expires for entry in every if entry.list == name and entry.expires is not None)
            for name in self._names
        }

    def counts(self, now: datetime) -> Mapping[ListName, tuple[int, int]]:
        """(in force, expired) of each list."""
        expired = {name: bisect_right(ends, now) for name, ends in self._ends.items()}
        return {name: (self._sizes[name] - expired[name], expired[name]) for name in self._names}

    def match(self, ecs: Document, now: datetime) -> Listed | None:
        """The entry that decides of an event: of several the first block entry, else the first allow entry."""
        allowed: Listed | None = None
        for index in self._indexes:
            for value, whole in index.values(ecs):
                for entry in index.find(value):
                    if entry.expires is not None and entry.expires <= now:
                        continue
                    if entry.list == "block":
                        return entry
                    if whole:
                        allowed = allowed or entry
        return allowed


class _Index:
    """The entries of one kind."""

    def __init__(self, kind: Kind, entries: Iterable[Listed]) -> None:
        self._kind = kind
        self._normal = _NORMAL[kind]
        self._entries: dict[str, list[Listed]] = {}
        for entry in entries:
            self._entries.setdefault(entry.value, []).append(entry)
        self._networks = Networks(
            (network(value), entry)
            for value, of_value in self._entries.items()
            for entry in of_value
            if kind == "address"
        )
        blocks = any(entry.list == "block" for of_value in self._entries.values() for entry in of_value)
        only_blocked = ONLY_BLOCKED.get(kind, ()) if blocks else ()
        self._paths = tuple(
            (path, tuple(path.split(".")), path in FIELDS[kind]) for path in (*FIELDS[kind], *only_blocked)
        )

    def find(self, value: str) -> Iterable[Listed]:
        """The entries that a value of an event may fall under."""
        if self._kind == "address":
            return self._networks.find(value)
        value = self._normal(value)
        if self._kind == "domain":
            return [entry for name in _with_parents(value) for entry in self._entries.get(name, ())]
        if self._kind == "host" and "." in value:
            return [*self._entries.get(value, ()), *self._entries.get(value.partition(".")[0], ())]
        return self._entries.get(value, ())

    def values(self, ecs: Document) -> Iterator[tuple[str, bool]]:
        """The texts of an event that an entry may name, and whether an allow entry may."""
        for path, keys, may_allow in self._paths:
            node: Json = ecs
            for key in keys:
                node = node.get(key) if isinstance(node, dict) else None
            if node is None:
                node = ecs.get(path)
            if isinstance(node, str):
                if 0 < len(node) <= _LONGEST:
                    yield node, may_allow
            elif node:
                yield from _texts(node, may_allow=may_allow)
        if self._kind == "user":
            user = ecs.get("user")
            if isinstance(user, dict) and isinstance(user.get("domain"), str) and isinstance(user.get("name"), str):
                yield f"{user['domain']}\\{user['name']}"[:_LONGEST], True


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
    """A domain and those above it; of a name with more labels than DNS has, its end."""
    name = ".".join(name.rsplit(".", _LABELS)[-_LABELS:])
    for _ in range(_LABELS):
        yield name
        _, dot, name = name.partition(".")
        if not dot:
            return


def _texts(value: Json, *, may_allow: bool) -> Iterator[tuple[str, bool]]:
    """The texts in a list, of which one alone is the whole, or in an object of digests, each of which is."""
    whole = isinstance(value, dict) or (isinstance(value, list) and len(value) == 1)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in islice(items, _MOST):
        if isinstance(item, str) and 0 < len(item) <= _LONGEST:
            yield item, may_allow and whole
