"""A SIEM in memory: late, partial, duplicated and failing wherever a test wants it so, and exact in what it holds."""

from __future__ import annotations

import hashlib
import random
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, Self, get_args

import msgspec

from connector.policy import record_document
from connector.ports import Clock, SiemPlugin
from connector.settings import HistorySettings, SourceSettings, TargetSettings
from connector.testing.clock import ManualClock, micros
from connector.testing.faults import Faults
from connector.types import (
    Batch,
    Cursor,
    Delivery,
    DispositionChange,
    Document,
    Position,
    RawEvent,
    Record,
    SourceRef,
    Span,
)

INDEX = "events"


class Stored(msgspec.Struct, frozen=True):
    """An event as the server holds it: when it was ingested, and from when on a search finds it (microseconds)."""

    ingested: int
    native_id: str
    searchable: int
    document: Document
    alert: bool = False


def _ingested(event: Stored) -> int:
    return event.ingested


class Partial(msgspec.Struct):
    """A span that is answered incompletely for so many reads: every event of it, or the named ones, are left out."""

    start: int
    stop: int
    reads: int
    hidden: frozenset[str] | None


class MemorySiem:
    """The server. Adapters find it by its name (``MemorySiem.named``); a test holds it and arranges what happens.

    ``faults.add("heads" | "read" | "count" | "write" | "dispositions", times=n)`` makes calls fail. ``repeat`` delivers
    the last event of a page again at the start of the next one; ``shuffled`` delivers each page out of order.
    """

    _named: ClassVar[dict[str, MemorySiem]] = {}

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.faults = Faults()
        self.repeat = False
        self.shuffled: random.Random | None = None
        self.countable = True
        self.documents: dict[str, Mapping[str, Any]] = {}
        self.deliveries: Counter[str] = Counter()
        self.accept_per_call: int | None = None
        self.changes: list[DispositionChange] = []
        self._events: list[Stored] = []
        self._partial: list[Partial] = []
        self._answers: dict[str, list[tuple[Delivery, bool]]] = {}
        self._mutex = threading.RLock()

    @classmethod
    def named(cls, name: str) -> MemorySiem:
        """The server of this name, made at its first use."""
        return cls._named.setdefault(name, cls())

    def serve(self, name: str) -> Self:
        """Puts this server where adapters look for the name."""
        self._named[name] = self
        return self

    @classmethod
    def forget(cls, name: str) -> None:
        """Drops the server of this name, so that the next use makes a new one."""
        cls._named.pop(name, None)

    # what a test arranges

    def put(
        self,
        documents: Iterable[Document],
        *,
        at: datetime | None = None,
        searchable_at: datetime | None = None,
        ids: Sequence[str] | None = None,
        alerts: bool = False,
    ) -> tuple[str, ...]:
        """Ingests events at a time (default: now), found from ``searchable_at`` on (default: at once). Their ids.

        ``alerts``: they are alerts of this server, which a source says of each.
        """
        with self._mutex:
            ingested = micros(at or self.clock())
            searchable = micros(searchable_at) if searchable_at else ingested
            named = tuple(documents)
            chosen = ids or [f"m{len(self._events) + index:09d}" for index in range(len(named))]
            for native, document in zip(chosen, named, strict=True):
                self._events.append(Stored(ingested, native, searchable, document, alerts))
            self._events.sort(key=lambda event: (event.ingested, event.native_id))
            return tuple(chosen)

    def answer_partially(
        self, start: datetime, stop: datetime, *, reads: int = 1, hide: Iterable[str] | None = None
    ) -> None:
        """The next ``reads`` reads that touch the stretch are incomplete, and leave out the events (all, or named)."""
        hidden = None if hide is None else frozenset(hide)
        self._partial.append(Partial(micros(start), micros(stop), reads, hidden))

    def answer_write(self, record_id: str, delivery: Delivery, *, times: int = 1, takes_effect: bool = False) -> None:
        """The next writes of a record are answered so; ``takes_effect``: the document is there all the same."""
        self._answers.setdefault(record_id, []).extend([(delivery, takes_effect)] * times)

    def change_alert(
        self,
        alert_id: str,
        event_ids: Sequence[str],
        status: str,
        disposition: str | None = None,
        *,
        analyst: str | None = "analyst",
        comment: str = "",
        tags: tuple[str, ...] = (),
    ) -> None:
        """Somebody opens, closes or re-opens an alert, now."""
        now = self.clock()
        self.changes.append(
            DispositionChange(
                alert_id=alert_id,
                event_ids=tuple(event_ids),
                status=status,
                disposition=disposition,
                changed_at=now,
                observed_at=now,
                analyst=analyst,
                comment=comment,
                tags=tags,
            )
        )

    # what the server does

    def search(self, start: int, stop: int) -> list[Stored]:
        """The events ingested in the stretch that a search finds now, in order."""
        now = self.clock.micros()
        with self._mutex:
            first, last = (bisect_left(self._events, edge, key=_ingested) for edge in (start, stop))
            return [event for event in self._events[first:last] if event.searchable <= now]

    def hidden(self, start: int, stop: int) -> tuple[frozenset[str], bool]:
        """Which events this read must leave out, and whether it is incomplete; it uses up one partial answer."""
        with self._mutex:
            for partial in self._partial:
                if partial.reads > 0 and start < partial.stop and partial.start < stop:
                    partial.reads -= 1
                    if partial.hidden is not None:
                        return partial.hidden, True
                    touched = self.search(partial.start, partial.stop)
                    return frozenset(event.native_id for event in touched), True
        return frozenset(), False

    def index(self, record: Record) -> Delivery:
        """Stores one record under its id, or answers as a test has arranged."""
        with self._mutex:
            self.deliveries[record.record_id] += 1
            waiting = self._answers.get(record.record_id)
            delivery, takes_effect = waiting.pop(0) if waiting else (Delivery(outcome="delivered"), True)
            if takes_effect:
                self.documents[record.record_id] = record_document(record)
            return delivery


class MemorySourceConfig(SourceSettings):
    """Which server, and which query."""

    type: Literal["memory"] = "memory"
    instance: str
    query: str = "*"


class MemorySource:
    """Reads a :class:`MemorySiem` by ingest time; pages by (ingest time, id)."""

    Config: ClassVar[type[SourceSettings]] = MemorySourceConfig

    def __init__(self, name: str, config: MemorySourceConfig, _: Clock) -> None:
        self.name = name
        self.deployment = config.deployment
        self.query_digest = hashlib.sha256(config.query.encode()).hexdigest()
        self._settle = config.settle // timedelta(microseconds=1)
        self._siem = MemorySiem.named(config.instance)

    def heads(self) -> Sequence[Position]:
        """The server's clock minus settle."""
        self._siem.faults.meet("heads")
        return (Position(partition="", offset=self._siem.clock.micros() - self._settle),)

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        """One page. The cursor is the sort key of its last event."""
        siem = self._siem
        siem.faults.meet("read")
        found = siem.search(span.start, span.stop)
        if after is not None:
            ingested, _, native = after.token.partition(":")
            found = [event for event in found if (event.ingested, event.native_id) > (int(ingested), native)]
        page = found[:limit]
        hidden, incomplete = siem.hidden(span.start, span.stop)
        items = [self._raw(event) for event in page if event.native_id not in hidden]
        if siem.repeat and items:
            items.append(items[-1])
        if siem.shuffled is not None:
            siem.shuffled.shuffle(items)
        return Batch(
            items=tuple(items),
            cursor=Cursor(token=f"{page[-1].ingested}:{page[-1].native_id}") if page else after,
            done=len(page) == len(found),
            complete=not incomplete,
            reason="a shard did not answer" if incomplete else "",
        )

    def count(self, span: Span) -> int | None:
        """How many events the server holds there now; None where it was told not to know."""
        self._siem.faults.meet("count")
        if not self._siem.countable:
            return None
        return len({event.native_id for event in self._siem.search(span.start, span.stop)})

    def _raw(self, event: Stored) -> RawEvent:
        return RawEvent(
            deployment=self.deployment,
            native_id=event.native_id,
            ref=SourceRef(
                siem=self.deployment,
                index=INDEX,
                id=event.native_id,
                alert=event.native_id if event.alert else None,
            ),
            data=event.document,
            position=Position(partition="", offset=event.ingested),
            place=f"{INDEX}/{event.native_id}",
        )


class MemoryWriterConfig(TargetSettings):
    """Which server."""

    type: Literal["memory"] = "memory"
    instance: str


class MemoryWriter:
    """Writes to a :class:`MemorySiem`, which keys documents by record id.

    Delivery is at least once, storage exactly once. Past ``accept_per_call`` records of one call the server is busy,
    and those come back as ``retry``.
    """

    Config: ClassVar[type[TargetSettings]] = MemoryWriterConfig
    accepts: frozenset[type[Record]] = frozenset(get_args(Record))

    def __init__(self, name: str, config: MemoryWriterConfig, _: Clock) -> None:
        self.name = name
        self._siem = MemorySiem.named(config.instance)

    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        """One outcome a record."""
        self._siem.faults.meet("write")
        most = self._siem.accept_per_call
        taken = records if most is None else records[:most]
        busy = [Delivery(outcome="retry", reason="the server is busy")] * (len(records) - len(taken))
        return [self._siem.index(record) for record in taken] + busy


class MemoryHistoryConfig(HistorySettings):
    """Which server."""

    type: Literal["memory"] = "memory"
    instance: str


class MemoryHistory:
    """Reads the alert changes of a :class:`MemorySiem`; the cursor counts them."""

    Config: ClassVar[type[HistorySettings]] = MemoryHistoryConfig

    def __init__(self, name: str, config: MemoryHistoryConfig, _: Clock) -> None:
        self.name = name
        self._siem = MemorySiem.named(config.instance)

    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        """The next changes, in the order in which they were made."""
        self._siem.faults.meet("dispositions")
        start = int(after.token) if after is not None else 0
        items = tuple(self._siem.changes[start : start + limit])
        reached = start + len(items)
        return Batch(items=items, cursor=Cursor(token=str(reached)), done=reached == len(self._siem.changes))


memory_siem_plugin = SiemPlugin(
    source=MemorySource, writer=MemoryWriter, history=MemoryHistory, testbed="connector.testing:MemorySiemTestbed"
)
"""The in-memory SIEM as a plug-in; a test registers it without an entry point."""
