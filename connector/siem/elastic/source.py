"""Reads events from Elasticsearch and OpenSearch by ingest time, exactly as the server holds them.

A span is read from a point in time with ``search_after``. The order within a millisecond holds in that point in time
alone; where it is lost (it expired, the server was restarted, a shard failed), a new one is opened and reading goes on
from the last millisecond, inclusively: the ledger knows what it has seen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal, NamedTuple

import msgspec
from pydantic import Field, field_validator

from connector.errors import ConfigError
from connector.ports import Clock
from connector.settings import Every, SourceSettings
from connector.siem.elastic.alerts import alert_id
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.faults import GoneError
from connector.siem.elastic.hits import Hit
from connector.siem.elastic.identity import native_id
from connector.siem.elastic.query import FALLBACK, Asked, Floor, Missing
from connector.siem.elastic.reader import Reader
from connector.types import Batch, Cursor, Position, RawEvent, SourceRef, Span

_CHECK_S: Final = 300.0
_BATCH_BYTES: Final = 64 << 20
_MOST_LOSSES: Final = 3
"""How often a point in time may be lost in one millisecond before reading goes on within it, incompletely."""


class ElasticSourceConfig(SourceSettings, Connection):
    """Which cluster, which indices, and which of their documents."""

    type: Literal["elastic"] = "elastic"
    index: tuple[str, ...] = Field(min_length=1, description="indices, data streams, aliases, patterns (`logs-*`)")
    query: dict[str, Any] | str | None = Field(
        None, description="Query DSL, or a Lucene query string; absent: everything"
    )
    time_field: str = Field("event.ingested", min_length=1, description="the field that holds the time of ingest")
    missing: Missing = Field(
        "timestamp",
        description="documents without the time field: read by `@timestamp`, or not at all, and every span is incomplete",
    )
    identity: Literal["document", "event.id"] = Field(
        "document", description="what makes an event the same: index and id, or `event.id` where an event has it"
    )
    exclude: tuple[str, ...] = Field(
        ("triaged-*",), description="indices that are left out: those that Triaged's role alone may write"
    )
    page: int = Field(1000, ge=1, le=10_000, description="hits a page; fewer where documents are large")
    slices: int = Field(1, ge=1, le=16, description="searches at once that a page is asked for with")
    keep_alive: Every = Field(timedelta(minutes=5), description="how long a point in time outlives its last search")

    @field_validator("index")
    @classmethod
    def _names_indices(cls, index: tuple[str, ...]) -> tuple[str, ...]:
        for name in index:
            if not name or name.startswith("-") or set(name) & set(' ,"\\/|<>?#'):
                raise ValueError(f"{name!r} names no index: give each name or pattern an entry of its own")
        return index


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A cursor's token: the point in time, the sort values to go on after, and where to begin without them.

    ``lacks`` says what the point in time has lacked since it was opened, ``losses`` how often one was lost here.
    """

    pit: str
    lacks: str = ""
    after: tuple[int | str | None, ...] = ()
    floor: Floor | None = None
    losses: int = 0


_PLACE: Final = msgspec.json.Decoder(Place)


class Page(NamedTuple):
    """What one search found, and where reading stands after it."""

    hits: tuple[Hit, ...]
    place: Place
    ended: bool
    reason: str


class ElasticSource:
    """Events of one query. An event's native id is ``<index>/<id>``, or its ``event.id``."""

    Config: ClassVar[type[SourceSettings]] = ElasticSourceConfig

    def __init__(self, name: str, config: ElasticSourceConfig, _: Clock) -> None:
        self.name = name
        self.deployment = config.deployment
        self._config = config
        self._asked = Asked(config.query, config.time_field, config.missing, config.exclude)
        self._cluster = Cluster(config)
        self._reader = Reader(
            self._cluster,
            config.index,
            page=config.page,
            keep_alive=max(1, int(config.keep_alive.total_seconds())),
            slices=config.slices,
        )
        self._settle = config.settle // timedelta(microseconds=1)
        self._checked: float | None = None
        self._unplaced = ""
        self._mutex = threading.RLock()

    @property
    def query_digest(self) -> str:
        """Of the indices, the query, and what decides an event's position and identity."""
        return self._asked.digest(self._config.index, self._config.identity)

    def heads(self) -> Sequence[Position]:
        """The server's clock minus settle; nothing while no index matches the patterns.

        Raises ``ConfigError`` for a named index that is missing, and for a time field that is no date.
        """
        now = self._reader.now()
        if now is None:
            return ()
        self._check()
        return (Position(partition="", offset=now * 1000 - self._settle),)

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        """At most ``limit`` events, and no more than fit into a bound of bytes.

        A shard that fails, or a search that the server ends early, makes the batch incomplete.
        """
        with self._mutex:
            self._check()
            place = _place(after) or Place(*self._reader.open())
            items: dict[str, RawEvent] = {}
            reason, size, ended, retried = self._unplaced, 0, False, False
            while not ended and len(items) < limit and size < _BATCH_BYTES:
                page = self._page(span, place, limit - len(items), retry=not retried)
                retried = retried or page.place.pit != place.pit
                place, ended = page.place, page.ended
                reason = reason or page.reason
                for raw in self._events(page.hits, span):
                    items.setdefault(raw.native_id, raw)
                    size += len(raw.data)
            if ended:
                self._reader.give_up(place.pit)
        token = msgspec.json.encode(place).decode()
        return Batch(
            items=tuple(items.values()), cursor=Cursor(token=token), done=ended, complete=not reason, reason=reason
        )

    def count(self, span: Span) -> int | None:
        """The server's count; None where a shard failed, or where identities are not what the server counts."""
        if self._config.identity != "document":
            return None
        values: dict[str, Any] = {"field": {"value_count": {"field": self._asked.time_field}}}
        if self._asked.has_fallback:
            lacking = {"bool": {"must_not": [{"exists": {"field": self._asked.time_field}}]}}
            values["fallback"] = {
                "filter": lacking,
                "aggs": {"values": {"value_count": {"field": FALLBACK}}},
            }
        reply = self._reader.count(self._asked.within(span), **values)
        if reply.shards.lacks() or reply.timed_out or reply.hits.total is None:
            return None
        told = reply.aggregations
        times = told["field"]["value"] + told.get("fallback", {}).get("values", {}).get("value", 0) if told else 0
        return reply.hits.total.value if times == reply.hits.total.value else None  # else a document has several times

    def close(self) -> None:
        """Closes points in time that are no longer needed, and the connections."""
        self._reader.close()
        self._cluster.close()

    def _page(self, span: Span, place: Place, wanted: int, *, retry: bool) -> Page:
        """The next page; where the point in time is gone or broken, of a new one."""
        try:
            page = self._searched(span, place, wanted)
            if not page.reason or not retry or place.lacks:
                return page
        except GoneError:
            if not retry:
                raise
        fresh, reason = self._reopened(span, place)
        page = self._searched(span, fresh, wanted)
        lasting = msgspec.structs.replace(page.place, lacks=page.reason)  # a third one would lack the same
        return page._replace(place=lasting, reason=page.reason or reason)

    def _searched(self, span: Span, place: Place, wanted: int) -> Page:
        reply, last = self._reader.page(place.pit, self._body(span, place), wanted)
        found = reply.hits.hits
        moved = msgspec.structs.replace(place, pit=reply.pit_id or place.pit)
        if found:
            moved = msgspec.structs.replace(moved, after=found[-1].sort)
        return Page(found, moved, last, reply.lacks() or place.lacks)

    def _body(self, span: Span, place: Place) -> dict[str, Any]:
        body: dict[str, Any] = {
            "query": self._asked.within(span, place.floor),
            "sort": self._asked.sort(self._cluster.flavour.ties),
        }
        if place.after:
            body["search_after"] = list(place.after)
        if self._config.identity == "event.id":
            body["fields"] = ["event.id"]
        return body

    def _reopened(self, span: Span, place: Place) -> tuple[Place, str]:
        """A new point in time, from the last millisecond on.

        Where that makes no headway, since the points in time are lost faster than one millisecond can be read, it goes
        on within the millisecond by an order that the new one need not share, and says so.
        """
        self._reader.give_up(place.pit)
        pit, lacks = self._reader.open()
        if not place.after:
            return msgspec.structs.replace(place, pit=pit, lacks=lacks), ""
        floor = self._asked.floor_at(place.after, span.start)
        losses = place.losses + 1 if floor == place.floor else 0
        if losses < _MOST_LOSSES:
            return Place(pit, lacks, (), floor, losses), ""
        reason = f"the point in time was lost {losses} times among the events of one millisecond"
        return Place(pit, lacks, place.after, floor, losses), reason

    def _events(self, hits: Sequence[Hit], span: Span) -> Iterator[RawEvent]:
        for hit in hits:
            moment = self._asked.time_of(hit.sort)
            offset = 0 if moment is None else moment * 1000
            if moment is None or not span.start <= offset < span.stop:
                continue  # it has several times, and its first one lies in another span
            source = bytes(hit.source)
            yield RawEvent(
                deployment=self.deployment,
                native_id=self._identity(hit),
                ref=SourceRef(siem=self.deployment, index=hit.index, id=hit.id, alert=alert_id(hit.index, hit.id)),
                data=source,
                position=Position(partition=span.partition, offset=offset),
                place=f"{hit.index}/{hit.id}",
                error=None if source else hit.fault or "the index keeps no _source",
            )

    def _identity(self, hit: Hit) -> str:
        named = hit.fields.get("event.id") if self._config.identity == "event.id" else None
        if named:
            return str(named[0])
        return native_id(hit.index, hit.id)

    def _check(self) -> None:
        """From time to time: that the mappings fit, that the query is one, and that every document has a time."""
        now = time.monotonic()
        if self._checked is not None and now - self._checked < _CHECK_S:
            return
        names = (self._asked.time_field, FALLBACK) if self._asked.has_fallback else (self._asked.time_field,)
        for name, kinds in self._reader.fields(*names).items():
            _must_be_date(name, kinds)
        lost = self._reader.count(self._asked.without_place()).hits.total
        self._unplaced = self._told(lost.value) if lost and lost.value else ""
        self._checked = now

    def _told(self, lost: int) -> str:
        time_field = self._asked.time_field
        fields = f"{time_field} and {FALLBACK}" if self._asked.has_fallback else time_field
        return (
            f"{lost} documents that the query matches cannot be read, since they lack {fields}, or have it before 1970 or "
            "more than a day ahead. Give them one at ingest, or leave them out in the query"
        )


def _place(after: Cursor | None) -> Place | None:
    """Where a cursor stands; None for none, and for one that nobody of ours wrote: the ledger knows what it has seen."""
    if after is None:
        return None
    try:
        return _PLACE.decode(after.token)
    except msgspec.MsgspecError:
        return None


def _must_be_date(name: str, kinds: Mapping[str, Any]) -> None:
    for kind, told in kinds.items():
        if kind in {"date", "date_nanos", "unmapped"}:
            if (told.get("searchable", True) and told.get("aggregatable", True)) or kind == "unmapped":
                continue
            raise ConfigError(f"{name} is a date that cannot be searched and sorted{_where(told)}: map it with both")
        raise ConfigError(
            f"{name} is mapped as {kind}{_where(told)}, and a time must be a date: map it as `date`, name another "
            "`time_field`, or leave those indices out"
        )


def _where(told: Mapping[str, Any]) -> str:
    named = told.get("indices") or told.get("non_searchable_indices") or told.get("non_aggregatable_indices") or ()
    names = [named] if isinstance(named, str) else list(named)
    return f" in {', '.join(names[:3])}{' and others' if len(names) > 3 else ''}" if names else ""
