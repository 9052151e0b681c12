"""What passed through: each distinct event once, with how often, on how many hosts and days; bounded, and on disk as JSON.

Hosts are kept as keyed hashes, which count and compare and say nothing else. Of an event its canonical form alone is kept:
no host, no user, no time of day.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.models.site import Recurrence
from connector.models.site_store import replace
from connector.types import Event, Json, Pairs

FILE: Final = "gathered.json"
CAPACITY: Final = 30_000
"""Distinct events that are kept: some 20 MB. Beyond it, the half that was seen least and longest ago is forgotten."""

HOSTS: Final = 64
DAYS: Final = 64
"""Hosts and days of one event that are told apart; more than this is many."""

ALL: Final = 100_000
"""Hosts of the whole site that are told apart."""

RECENT: Final = 10_000
"""How many events back novelty is looked at."""

Fires = Callable[[Sequence[Event]], Sequence[bool]]
"""For each event, whether a detection rule fires on it."""


class Kept(msgspec.Struct):
    """One distinct event. ``born`` is how many events had passed when it was first seen."""

    kind: str
    pairs: Pairs
    born: int
    events: int = 0
    hosts: set[str] = msgspec.field(default_factory=set)
    days: set[int] = msgspec.field(default_factory=set)
    fired: bool = False

    @property
    def recurrence(self) -> Recurrence:
        """How often, on how many hosts and days."""
        return Recurrence(self.events, len(self.hosts), len(self.days))


class Gathered(msgspec.Struct):
    """What was gathered so far, as it stands on disk. ``forgotten`` counts distinct events that were dropped again."""

    key: str
    events: int = 0
    forgotten: int = 0
    hosts: set[str] = msgspec.field(default_factory=set)
    days: set[int] = msgspec.field(default_factory=set)
    kept: dict[str, Kept] = msgspec.field(default_factory=dict)


class Baseline:
    """Takes events in as they pass. Several threads may give it some at once."""

    def __init__(self, *, capacity: int = CAPACITY, fires: Fires | None = None, key: str | None = None) -> None:
        self._capacity = capacity
        self._fires = fires
        self._lock = Lock()
        self._all = Gathered(key=key or secrets.token_hex(32))
        self._saved = 0

    @classmethod
    def opened(cls, folder: Path, *, capacity: int = CAPACITY, fires: Fires | None = None) -> Baseline:
        """What a folder holds of earlier days, or an empty one. Raises ``ConfigError`` for a file that is damaged."""
        baseline = cls(capacity=capacity, fires=fires)
        try:
            baseline._all = msgspec.json.decode((folder / FILE).read_bytes(), type=Gathered)
        except FileNotFoundError:
            return baseline
        except (OSError, RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise ConfigError(f"{folder / FILE} is not what was gathered: {error}; delete it to begin anew") from error
        baseline._saved = baseline._all.events
        return baseline

    def save(self, folder: Path) -> None:
        """Writes what was gathered in one step, readable by its owner alone; nothing where nothing came since."""
        with self._lock:
            events = self._all.events
            if events == self._saved:
                return
            body = msgspec.json.encode(self._all, order="deterministic")
        folder.mkdir(parents=True, exist_ok=True)
        replace(folder / FILE, body, mode=0o600)
        self._saved = events

    def adopt(self, other: Baseline) -> None:
        """Goes on with what another one gathered."""
        found = other.frozen()
        with self._lock:
            self._all = found

    def take(self, events: Sequence[Event]) -> None:
        """Counts these events in."""
        if not events:
            return
        fired = self._fires(events) if self._fires is not None else (False,) * len(events)
        with self._lock:
            for event, alarm in zip(events, fired, strict=True):
                self._count(event, fired=alarm)
            if len(self._all.kept) > self._capacity:
                self._forget()

    def frozen(self) -> Gathered:
        """A copy that the stream does not change any more."""
        with self._lock:
            return msgspec.json.decode(msgspec.json.encode(self._all), type=Gathered)

    def _count(self, event: Event, *, fired: bool) -> None:
        everything = self._all
        kept = everything.kept.get(event.fingerprint)
        if kept is None:
            kept = Kept(event.kind, event.canonical, everything.events)
            everything.kept[event.fingerprint] = kept
        everything.events += 1
        kept.events += 1
        kept.fired |= fired
        if host := _host(event.ecs):
            hashed = hmac.digest(everything.key.encode(), host.lower().encode("utf-8", "replace"), hashlib.sha256).hex()
            _add(kept.hosts, hashed[:16], HOSTS)
            _add(everything.hosts, hashed[:16], ALL)
        if (day := _day(event.ecs.get("@timestamp"))) is not None:
            _add(kept.days, day, DAYS)
            _add(everything.days, day, DAYS * DAYS)

    def _forget(self) -> None:
        """Drops what was seen least, of equals what was first seen longest ago, until half of the room is free."""
        ranked = sorted(self._all.kept.items(), key=lambda item: (-item[1].events, -item[1].born, item[0]))
        self._all.forgotten += len(ranked) - self._capacity // 2
        self._all.kept = dict(ranked[: self._capacity // 2])


def gathered(streams: Iterable[Sequence[Event]], *, fires: Fires | None = None, key: str | None = None) -> Gathered:
    """What a finite stream of batches shows."""
    baseline = Baseline(fires=fires, key=key)
    for events in streams:
        baseline.take(events)
    return baseline.frozen()


def novelty(found: Gathered) -> float:
    """The share of the last :data:`RECENT` events whose like had not been seen before."""
    last = min(RECENT, found.events)
    return sum(kept.born >= found.events - last for kept in found.kept.values()) / last if last else 1.0


def _add(known: set[str] | set[int], value: str | int, most: int) -> None:
    if len(known) < most:
        known.add(value)  # type: ignore[arg-type]


def _host(ecs: Mapping[str, Json]) -> str | None:
    """The name of the host that logged the event."""
    node: Json = ecs.get("host")
    name: Json = (node.get("name") or node.get("hostname")) if isinstance(node, dict) else ecs.get("host.name")
    return name if isinstance(name, str) and name else None


def _day(value: Json) -> int | None:
    """The UTC day of a timestamp as a number; None where it is none."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo is None else moment.astimezone(UTC)).date().toordinal()
    except (ValueError, OverflowError):
        return None


def day_name(day: int) -> str:
    """The date of a day's number."""
    return date.fromordinal(day).isoformat()
