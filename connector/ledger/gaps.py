"""Gaps: stretches for which it is not proven that every event got its verdict.

An interval is **proven** when it was read completely at or after its end plus the lookback: only then can no event
become searchable in it any more. Of one that was read completely but earlier, the part is proven for which the same
holds. A gap is a stretch that no proven part covers, or an interval in which fewer sighted events have an outcome than
it matched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import msgspec
import sqlalchemy as sa

from connector.ledger.intervals import HAS_OUTCOME, from_row
from connector.ledger.readers import HISTORY, from_row as reader_row
from connector.ledger.room import Room
from connector.ledger.rows import Gap, Interval, Reader
from connector.ledger.schema import cursors, intervals, sightings, streams
from connector.types import Position

UNREAD = "never read"
EARLY = "not read again since its lookback ended"

Stretch = tuple[int, int]


def proven(interval: Interval, lookback_us: int) -> bool:
    """Whether all of the interval was read completely, and late enough."""
    return interval.complete and interval.read_at >= interval.stop + lookback_us


def proven_stop(interval: Interval, lookback_us: int) -> int:
    """Up to where the interval is proven: its start where nothing of it is, its stop where all is."""
    reach = interval.read_at - lookback_us if interval.complete else interval.start
    return max(interval.start, min(interval.stop, reach))


def uncovered(start: int, stop: int, covers: Iterable[Stretch]) -> Iterator[Stretch]:
    """The parts of ``start <= offset < stop`` that lie in none of the covers."""
    at = start
    for first, last in sorted(covers):
        if first >= stop:
            break
        if first > at:
            yield at, first
        at = max(at, last)
    if at < stop:
        yield at, stop


def unproven(read: Sequence[Interval], lookback_us: int, start: int, stop: int, partition: str) -> list[Gap]:
    """The gaps of one partition between two offsets, each with its reason; neighbours of one reason are one gap."""
    good = [(entry.start, proven_stop(entry, lookback_us)) for entry in read]
    weak = [entry for entry in read if not proven(entry, lookback_us)]
    found: list[Gap] = []
    for first, last in uncovered(start, stop, good):
        inside = {edge for entry in weak for edge in (entry.start, entry.stop) if first < edge < last}
        for left, right in pairwise(sorted({first, last} | inside)):
            gap = Gap(partition=partition, start=left, stop=right, reason=_reason(weak, left, right))
            if found and found[-1].stop == gap.start and found[-1].reason == gap.reason:
                gap = msgspec.structs.replace(gap, start=found.pop().start)
            found.append(gap)
    return found


def _reason(weak: Iterable[Interval], start: int, stop: int) -> str:
    covering = [entry for entry in weak if entry.start < stop and entry.stop > start]
    if not covering:
        return UNREAD
    newest = max(covering, key=lambda entry: entry.read_at)
    return EARLY if newest.complete else f"incomplete: {newest.reason or 'no reason given'}"


class Gaps(Room):
    """Where the promise is not proven."""

    def gaps(self, source: str, digest: str, lookback_us: int, heads: Sequence[Position]) -> list[Gap]:
        """Gaps of a source under one query, by partition and offset.

        Unproven stretches are looked for from the first offset that the ledger knows to ``head - lookback``; without a
        lookback to where the forward reader stands, since what a file has gained since then is no gap yet. In a
        partition without a head (a file that is gone) they are looked for up to the last offset that was read or begun.
        """
        read = self._read(source, digest)
        readers = self._readers(source, digest)
        limits = {head.partition: head.offset - lookback_us for head in heads}
        found: list[Gap] = []
        for partition in sorted(read.keys() | readers.keys()):
            known, mine = read.get(partition, []), readers.get(partition, [])
            offsets = [entry.start for entry in known] + [reader.offset for reader in mine]
            stop = limits.get(partition)
            if stop is None:
                ends = [reader.offset if reader.span_stop is None else reader.span_stop for reader in mine]
                stop = max([entry.stop for entry in known] + ends)
            elif not lookback_us:
                stop = min([stop] + [reader.offset for reader in mine if reader.purpose == "forward"])
            found += unproven(known, lookback_us, min(offsets), stop, partition)
        found += self._lost(source, digest, lookback_us)
        return sorted(found, key=lambda gap: (gap.partition, gap.start, gap.stop))

    def _read(self, source: str, digest: str) -> dict[str, list[Interval]]:
        query = (
            sa.select(intervals, streams.c.source, streams.c.partition)
            .join(streams, streams.c.id == intervals.c.stream)
            .where(streams.c.source == source, intervals.c.digest == digest)
            .order_by(intervals.c.start)
        )
        found: dict[str, list[Interval]] = {}
        with self._db.read() as tx:
            for row in tx.execute(query):
                found.setdefault(row.partition, []).append(from_row(row))
        return found

    def _readers(self, source: str, digest: str) -> dict[str, list[Reader]]:
        """All readers by partition, those of past stretches too: what one has begun and not ended is not proven."""
        query = sa.select(cursors).where(
            cursors.c.source == source, cursors.c.digest == digest, cursors.c.purpose != HISTORY
        )
        found: dict[str, list[Reader]] = {}
        with self._db.read() as tx:
            for row in tx.execute(query):
                found.setdefault(row.partition, []).append(reader_row(row))
        return found

    def _lost(self, source: str, digest: str, lookback_us: int) -> list[Gap]:
        accounted = sa.func.count(sa.case((HAS_OUTCOME, sightings.c.event_id)).distinct())
        in_span = sa.and_(
            sightings.c.stream == intervals.c.stream,
            sightings.c.position >= intervals.c.start,
            sightings.c.position < intervals.c.stop,
        )
        query = (
            sa.select(streams.c.partition, intervals.c.start, intervals.c.stop, intervals.c.matched, accounted)
            .select_from(intervals.join(streams, streams.c.id == intervals.c.stream).outerjoin(sightings, in_span))
            .where(streams.c.source == source, intervals.c.digest == digest, intervals.c.complete)
            .where(intervals.c.read_at > intervals.c.start + lookback_us, intervals.c.matched > 0)
            .group_by(intervals.c.id, streams.c.partition)
            .having(accounted < intervals.c.matched)
        )
        with self._db.read() as tx:
            return [
                Gap(
                    partition=partition,
                    start=start,
                    stop=stop,
                    reason=f"{matched - left} of {matched} events sighted here have no verdict, dead letter or tombstone",
                )
                for partition, start, stop, matched, left in tx.execute(query)
            ]
