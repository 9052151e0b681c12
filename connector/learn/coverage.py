"""How well a corpus is normalised: which events go through a normaliser of their own, which do not, and what they give."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from connector import events
from connector.errors import PermanentError
from connector.events.families import family_of
from connector.types import Document, Event, Json, RawEvent

MOST_NAMES: Final = 10_000
"""Names that are told apart; corpora choose them, and a tally must stay small."""

OTHERS: Final = "(others)"
PLACES: Final = 3
"""Places that are named of each reason."""

_NUMBERS: Final = re.compile(r"\[[^\[\]]*\]|\b[0-9A-F]*[0-9][0-9A-Fa-f]*\b")
_LONGEST: Final = 200
_KEYS: Final = 12

GIVES: Final[Mapping[str, tuple[str, ...]]] = {
    "command_line": ("process.command_line",),
    "hash": ("process.hash", "file.hash", "dll.hash", "related.hash"),
    "user": (
        "user.name",
        "user.id",
        "user.email",
        "user.full_name",
        "user.target.name",
        "client.user.email",
        "client.user.id",
        "client.user.name",
    ),
    "address": ("source.ip", "destination.ip", "client.ip", "server.ip"),
}
"""What an analyst looks for in an event, and where ECS has it."""


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """Why records could not be read. Numbers and lists in a reason are ``#``, so that the like count together."""

    reason: str
    events: int
    places: tuple[str, ...]


class Unknown(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of event without a normaliser of its own, and where one stands."""

    kind: str
    events: int
    place: str


class Gives(msgspec.Struct, frozen=True, kw_only=True):
    """A family's events, and how many of them have each thing that :data:`GIVES` names."""

    family: str
    events: int
    command_line: int
    hash: int
    user: int
    address: int


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a corpus. ``kinds``: how many distinct kinds; shares are of all records, dead ones too."""

    corpus: str
    files: int
    events: int
    kinds: int
    specific: int
    generic: int
    dead: int
    specific_share: float
    generic_share: float
    dead_share: float
    dead_reasons: tuple[Dead, ...]
    unknown_kinds: tuple[Unknown, ...]
    families: tuple[Gives, ...]


class Tally:
    """Counts events of one corpus, or of several. Its size does not grow with them."""

    def __init__(self) -> None:
        self._kinds: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        self._families: Counter[str] = Counter()
        self._gives: Counter[tuple[str, str]] = Counter()
        self._places: dict[str, list[str]] = {}

    def take(self, raw: RawEvent) -> None:
        """Normalises one event, as the daemon does, and counts what came of it."""
        try:
            event = events.normalise(raw)
        except PermanentError as error:
            self._count(self._dead, "dead:", _NUMBERS.sub("#", str(error)[:_LONGEST]), raw.place)
            return
        family = family_of(event.kind, event.ecs)
        kind = kind_name(event, family)
        self._count(self._kinds, "", kind, "")
        if family is None:
            self._count(self._unknown, "unknown:", kind, raw.place)
            return
        self._families[family] += 1
        for what, paths in GIVES.items():
            if any(_says(event.ecs, path) for path in paths):
                self._gives[family, what] += 1

    def _count(self, counter: Counter[str], prefix: str, name: str, place: str) -> None:
        if name not in counter and len(counter) >= MOST_NAMES:
            name = OTHERS
        counter[name] += 1
        places = self._places.setdefault(prefix + name, []) if place else []
        if place and len(places) < PLACES:
            places.append(place)

    def add(self, other: Tally) -> None:
        """Takes in what another tally counted."""
        for mine, theirs, prefix in (
            (self._kinds, other._kinds, ""),
            (self._unknown, other._unknown, "unknown:"),
            (self._dead, other._dead, "dead:"),
        ):
            for name, count in theirs.items():
                known = name if name in mine or len(mine) < MOST_NAMES else OTHERS
                mine[known] += count
                if prefix:
                    places = self._places.setdefault(prefix + known, [])
                    places += other._places[prefix + name][: PLACES - len(places)]
        self._families.update(other._families)
        self._gives.update(other._gives)

    def coverage(self, corpus: str, files: int, top: int) -> Coverage:
        """What was counted; of reasons and unknown kinds the ``top`` most frequent."""
        specific, generic, dead = self._families.total(), self._unknown.total(), self._dead.total()
        records = specific + generic + dead
        return Coverage(
            corpus=corpus,
            files=files,
            events=records,
            kinds=len(self._kinds),
            specific=specific,
            generic=generic,
            dead=dead,
            specific_share=_share(specific, records),
            generic_share=_share(generic, records),
            dead_share=_share(dead, records),
            dead_reasons=tuple(
                Dead(reason=name, events=count, places=tuple(self._places[f"dead:{name}"]))
                for name, count in _most(self._dead, top)
            ),
            unknown_kinds=tuple(
                Unknown(kind=name, events=count, place=self._places[f"unknown:{name}"][0])
                for name, count in _most(self._unknown, top)
            ),
            families=tuple(
                Gives(family=name, events=count, **{what: self._gives[name, what] for what in GIVES})
                for name, count in _most(self._families, len(self._families))
            ),
        )


def measured(raws: Iterable[RawEvent]) -> Tally:
    """The tally of a stream of events."""
    tally = Tally()
    for raw in raws:
        tally.take(raw)
    return tally


def kind_name(event: Event, family: str | None) -> str:
    """What an event is called here: its canonical kind, its Windows log and code, its dataset, or its keys."""
    if event.kind not in {"windows", "generic"}:
        return event.kind
    ecs = event.ecs
    winlog = ecs.get("winlog")
    if isinstance(winlog, dict):
        code = _at(ecs, "event.code") or winlog.get("event_id")
        return _short(f"{winlog.get('channel') or '-'} / {winlog.get('provider_name') or '-'} / {code or '-'}")
    dataset = _at(ecs, "event.dataset")
    if family is not None or isinstance(dataset, str):
        return _short(f"{dataset or family} / {_at(ecs, 'event.action') or '-'}" if family else f"dataset {dataset}")
    return _short(_shape(ecs))


def _shape(ecs: Document) -> str:
    """The keys of a record in nobody's schema; a line of text has none."""
    original = _at(ecs, "event.original")
    row: Json = ecs
    if isinstance(original, str):
        if not original.startswith("{"):
            return "text"
        row = msgspec.json.decode(original)
    return "keys " + " ".join(sorted(row)[:_KEYS])


def _at(ecs: Document, path: str) -> Json:
    """The value of a path, nested or as one dotted key."""
    node: Any = ecs
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return ecs.get(path) if node is None else node


def _says(ecs: Document, path: str) -> bool:
    return _at(ecs, path) not in (None, "", "-", [], {})


def _short(text: str) -> str:
    return " ".join(text[:_LONGEST].split())


def _most(counter: Counter[str], top: int) -> list[tuple[str, int]]:
    """The most frequent, equal ones by name: the same whatever the order of events was."""
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:top]


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
