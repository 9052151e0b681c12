"""Intervals and sightings: which stretches were read, and which events were seen in them.

An interval is **matched** against the distinct events sighted in it when it is written, and **accounted** for by those
of them that have a verdict, a dead letter or a tombstone now. The two differ only where the ledger lost something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from connector.ledger import bulk
from connector.ledger.database import Tx, insert
from connector.ledger.room import Room
from connector.ledger.rows import Interval
from connector.ledger.schema import dead_letters, intervals, sightings, streams, tombstones, verdicts

_STREAM = sa.select(streams.c.id).where(
    streams.c.source == sa.bindparam("source"), streams.c.partition == sa.bindparam("partition")
)
_IN_SPAN = (
    sightings.c.stream == sa.bindparam("stream"),
    sightings.c.position >= sa.bindparam("start"),
    sightings.c.position < sa.bindparam("stop"),
)
_MATCHED = sa.select(sa.func.count(sightings.c.event_id.distinct())).where(*_IN_SPAN)

HAS_OUTCOME = sa.or_(
    sa.exists().where(verdicts.c.record_id == sightings.c.event_id),
    sa.exists().where(dead_letters.c.subject == sightings.c.event_id, dead_letters.c.outbox_id.is_(None)),
    sa.exists().where(tombstones.c.subject == sightings.c.event_id),
)
"""A sighted event has its verdict (whose id at revision 1 is the event's), its dead letter or its tombstone."""


def stream(tx: Tx, source: str, partition: str) -> int:
    """The number of a source partition, given at its first use."""
    key = {"source": source, "partition": partition}
    found = tx.execute(_STREAM, key).scalar()
    if found is None:
        tx.execute(insert(tx, streams).on_conflict_do_nothing(), key)
        found = tx.execute(_STREAM, key).scalar_one()
    return int(found)


def sight(tx: Tx, source: str, seen: Sequence[tuple[str, str, int]]) -> None:
    """Records sightings (event id, partition, offset). The same event at two offsets is two sightings."""
    numbers = {partition: stream(tx, source, partition) for partition in {entry[1] for entry in seen}}
    rows = sorted((numbers[partition], offset, event_id) for event_id, partition, offset in seen)
    if rows:
        bulk.insert(tx, sightings, dict(zip(("stream", "position", "event_id"), zip(*rows, strict=True), strict=True)))


def record(tx: Tx, interval: Interval, now: int) -> None:
    """Writes an interval over those that it contains, counting what it matched.

    An incomplete reading replaces only incomplete ones: it never takes back what a whole answer has proven. For the
    same reason a reading replaces no whole one that is younger than itself. What it may replace and only overlaps is
    cut back to the part outside, so that stretches that were read again do not stand as weaker ones for ever.
    """
    number = stream(tx, interval.source, interval.partition)
    replaced = sa.not_(intervals.c.complete)
    if interval.complete:
        replaced = sa.or_(replaced, intervals.c.read_at <= interval.read_at)
    here = (intervals.c.stream == number, intervals.c.digest == interval.digest, replaced)
    inside = (intervals.c.start >= interval.start, intervals.c.stop <= interval.stop)
    tx.execute(sa.delete(intervals).where(*here, *inside, intervals.c.start <= interval.stop))
    behind = (intervals.c.start > interval.start, intervals.c.start < interval.stop, intervals.c.stop > interval.stop)
    for row in tx.execute(sa.select(intervals).where(*here, *behind)).all():
        _cut(tx, row, kept=(interval.stop, row.stop), away=(row.start, interval.stop))
    before = (intervals.c.start < interval.start, intervals.c.stop > interval.start, intervals.c.stop < interval.stop)
    for row in tx.execute(sa.select(intervals).where(*here, *before)).all():
        _cut(tx, row, kept=(row.start, interval.start), away=(interval.start, row.stop))
    span = {"stream": number, "start": interval.start, "stop": interval.stop}
    values = {
        **span,
        "digest": interval.digest,
        "read_at": interval.read_at,
        "complete": interval.complete,
        "reason": interval.reason,
        "matched": tx.execute(_MATCHED, span).scalar_one(),
        "recorded_at": now,
    }
    tx.execute(sa.insert(intervals), values)


def _cut(tx: Tx, row: Any, *, kept: tuple[int, int], away: tuple[int, int]) -> None:
    """Shrinks an interval. What it matched and what neither part holds any more stays missed in the part that is kept."""

    def sighted(start: int, stop: int) -> int:
        span = {"stream": row.stream, "start": start, "stop": stop}
        return int(tx.execute(_MATCHED, span).scalar_one())

    matched = max(sighted(*kept), row.matched - sighted(*away))
    cut = sa.update(intervals).where(intervals.c.id == row.id)
    tx.execute(cut.values(start=kept[0], stop=kept[1], matched=matched))


def from_row(row: Any) -> Interval:
    """An interval as a row of intervals joined with streams holds it."""
    return Interval(
        source=row.source,
        digest=row.digest,
        partition=row.partition,
        start=row.start,
        stop=row.stop,
        read_at=row.read_at,
        complete=row.complete,
        reason=row.reason,
        matched=row.matched,
    )


class Intervals(Room):
    """What was read, and what was seen in it."""

    def intervals(self, source: str, digest: str, partition: str | None = None) -> list[Interval]:
        """What one query has read of a partition (None: of all partitions), by start."""
        query = (
            sa.select(intervals, streams.c.source, streams.c.partition)
            .join(streams, streams.c.id == intervals.c.stream)
            .where(streams.c.source == source, intervals.c.digest == digest)
            .order_by(streams.c.partition, intervals.c.start, intervals.c.stop)
        )
        if partition is not None:
            query = query.where(streams.c.partition == partition)
        with self._db.read() as tx:
            return [from_row(row) for row in tx.execute(query)]

    def weak(self, source: str, digest: str, lookback_us: int) -> list[Interval]:
        """What was not read completely since its lookback ended, by partition and start: it has to be read again."""
        query = (
            sa.select(intervals, streams.c.source, streams.c.partition)
            .join(streams, streams.c.id == intervals.c.stream)
            .where(streams.c.source == source, intervals.c.digest == digest)
            .where(sa.or_(sa.not_(intervals.c.complete), intervals.c.read_at < intervals.c.stop + lookback_us))
            .order_by(streams.c.partition, intervals.c.start, intervals.c.stop)
        )
        with self._db.read() as tx:
            return [from_row(row) for row in tx.execute(query)]

    def accounted(self, source: str, partition: str, start: int, stop: int) -> int:
        """How many distinct events sighted in the span have a verdict, a dead letter or a tombstone."""
        return len(self.sighted(source, partition, start, stop, accounted=True))

    def sighted(self, source: str, partition: str, start: int, stop: int, *, accounted: bool = False) -> frozenset[str]:
        """The ids of the distinct events sighted in the span; with ``accounted`` only those with an outcome."""
        query = sa.select(sightings.c.event_id).distinct().where(*_IN_SPAN)
        if accounted:
            query = query.where(HAS_OUTCOME)
        with self._db.read() as tx:
            number = tx.execute(_STREAM, {"source": source, "partition": partition}).scalar()
            if number is None:
                return frozenset()
            return frozenset(tx.execute(query, {"stream": number, "start": start, "stop": stop}).scalars())
