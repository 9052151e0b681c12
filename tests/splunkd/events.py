"""Events as indexers keep them: buckets, addresses, index times, and the fields that a search sees."""

from __future__ import annotations

import json
import re
import threading
import uuid
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from tests.splunkd.faults import Faults

Value = str | list[str]
Row = dict[str, Value]

METADATA = ("host", "source", "sourcetype", "index")
_BUCKET = 4096
_PAIR = re.compile(r'([A-Za-z_][\w.:{}-]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s,;"]+))')


@dataclass
class Event:
    """One event on one indexer. Times are epoch seconds; ``indextime`` is whole, as Splunk's is."""

    raw: str
    time: float
    index: str
    host: str
    source: str
    sourcetype: str
    indextime: int
    peer: str
    bkt: str
    cd: str
    visible_at: float
    indexed: Mapping[str, Value] = field(default_factory=dict)

    @cached_property
    def extracted(self) -> Row:
        """Fields found in the text at search time: JSON, else ``key=value`` pairs; never one that begins with ``_``."""
        found: Row = {}
        if self.raw[:1] == "{":
            try:
                flatten(json.loads(self.raw), "", found)
            except ValueError:
                found = {}
        if not found:
            for name, quoted, bare in _PAIR.findall(self.raw):
                found.setdefault(name, quoted.replace('\\"', '"') or bare)
        return {name: value for name, value in found.items() if not name.startswith("_")}

    @cached_property
    def fields(self) -> Row:
        """All fields by name; what the indexer knows of an event goes before what the event says of itself."""
        own: Row = {
            "_bkt": self.bkt,
            "_cd": self.cd,
            "_indextime": str(self.indextime),
            "_raw": self.raw,
            "_si": [self.peer, self.index],
            "_sourcetype": self.sourcetype,
            "_time": stamp(self.time),
            "host": self.host,
            "index": self.index,
            "linecount": str(self.raw.count("\n") + 1),
            "source": self.source,
            "sourcetype": self.sourcetype,
            "splunk_server": self.peer,
        }
        return {**self.extracted, **self.indexed, **own}


def flatten(value: Any, name: str, into: Row) -> None:
    """JSON as Splunk names it: ``a.b`` for objects, ``a{}`` for arrays; repeated names become multivalue. In place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            flatten(inner, f"{name}.{key}" if name else str(key), into)
    elif isinstance(value, list):
        for inner in value:
            flatten(inner, f"{name}{{}}", into)
    elif value is not None:
        text = value if isinstance(value, str) else str(value) if type(value) is int else json.dumps(value)
        before = into.get(name)
        if before is None:
            into[name] = text
        else:
            into[name] = [*(before if isinstance(before, list) else [before]), text]


def stamp(seconds: float) -> str:
    """``_time`` as results show it: ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


class Indexes:
    """The indexers with what they hold. Safe for threads."""

    def __init__(self, names: Iterable[str], peers: Iterable[str], faults: Faults, clock: Callable[[], float]) -> None:
        self.names = set(names)
        self.peers = tuple(peers)
        self.guids = {peer: str(uuid.uuid5(uuid.NAMESPACE_DNS, peer)).upper() for peer in self.peers}
        self._faults, self._clock = faults, clock
        self._lock = threading.Lock()
        self._by_index: dict[str, list[tuple[int, int, Event]]] = {}
        self._count: dict[tuple[str, str], int] = {}
        self._serial = 0

    def put(
        self,
        raw: str,
        *,
        index: str,
        time: float | None = None,
        indextime: float | None = None,
        host: str = "",
        source: str = "",
        sourcetype: str = "",
        peer: str | None = None,
        indexed: Mapping[str, Value] | None = None,
        delay_s: float | None = None,
        cd: str | None = None,
    ) -> Event:
        """Indexes one event. What is not given is as an indexer would choose it: now, and the indexers in turn."""
        now = self._clock()
        with self._lock:
            self._serial += 1
            peer = peer or self.peers[self._serial % len(self.peers)]
            number = self._count[index, peer] = self._count.get((index, peer), -1) + 1
            bucket = number // _BUCKET
            stamped = now + self._faults.indexer_skew_s.get(peer, 0.0) if indextime is None else indextime
            event = Event(
                raw=raw,
                time=now if time is None else time,
                index=index,
                host=host or peer,
                source=source or "standin",
                sourcetype=sourcetype or "standin",
                indextime=int(stamped),
                peer=peer,
                bkt=f"{index}~{bucket}~{self.guids[peer]}",
                cd=cd or f"{bucket}:{number % _BUCKET * 7 + 4}",
                visible_at=now + (self._faults.search_delay_s if delay_s is None else delay_s),
                indexed=dict(indexed or {}),
            )
            self.names.add(index)
            insort(
                self._by_index.setdefault(index, []), (event.indextime, self._serial, event), key=lambda row: row[:2]
            )
        return event

    def between(self, indexes: Iterable[str], first: int | None, until: int | None) -> Iterator[Event]:
        """The searchable events of these indexes with an index time in the half-open window, on indexers that answer."""
        now = self._clock()
        for index in sorted(indexes):
            with self._lock:
                rows = self._by_index.get(index, [])
                begin = 0 if first is None else bisect_left(rows, first, key=lambda row: row[0])
                end = len(rows) if until is None else bisect_left(rows, until, key=lambda row: row[0])
                chosen = rows[begin:end]
            for _, _, event in chosen:
                if event.visible_at <= now and event.peer not in self._faults.peers_down:
                    yield event

    def all(self) -> list[Event]:
        """Every event in the order of its index time, whether a search would find it or not."""
        with self._lock:
            rows = [row for held in self._by_index.values() for row in held]
        return [event for _, _, event in sorted(rows, key=lambda row: row[:2])]
