"""Which span to read next: a pure function of where the readers stand and how far it is safe to read.

A partition has several readers, each with a purpose and an offset up to which it is done::

    backfill-…    what a person asked for
    forward       up to the head: every event's first chance
    reread-3 … 0  the same stretch again at ages lookback/64, /16, /4 and lookback, for events that became searchable late
    repair        stretches that the readers above have passed without a complete answer

``reread-0`` reads at an age of the whole lookback, so a complete answer there proves its stretch. A stretch is read when it
is a quarter as wide as its age, so that the cost of re-reading is a fixed number of passes, spaced exponentially.
Files have no lookback: their bytes do not arrive late, and the forward read proves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from connector.ledger import Interval, Reader
from connector.types import Position, Span

FORWARD = "forward"
REPAIR = "repair"
BACKFILL = "backfill-"
YOUNGEST_REREAD_US = 15_000_000
LONGEST_SPAN_US = 3_600_000_000
STEP = 4
"""Each re-read age is this many times the one before it, and its stretches are this part of it wide."""


class Task(msgspec.Struct, frozen=True):
    """A span to read for one reader. ``read_at`` is what the interval may claim once the read is complete."""

    reader: Reader
    span: Span
    read_at: int


def ages(lookback: int) -> Mapping[str, int]:
    """Re-read readers and the age (microseconds) at which each reads, oldest first; none without a lookback."""
    found: dict[str, int] = {}
    age = lookback
    while age >= YOUNGEST_REREAD_US:
        found[f"reread-{len(found)}"] = age
        age //= STEP
    if lookback and not found:
        found["reread-0"] = lookback
    return found


def proof_due(head: Position, lookback: int) -> Position:
    """A head moved back by as much as the read that proves a stretch may come after the stretch's lookback."""
    return Position(partition=head.partition, offset=head.offset - lookback // STEP)


def first_readers(source: str, digest: str, head: Position, lookback: int, *, from_start: bool) -> list[Reader]:
    """The readers of a partition that was never read: they begin at its head, or at its start."""
    offset = 0 if from_start else head.offset
    return [
        Reader(source=source, digest=digest, partition=head.partition, purpose=purpose, offset=offset)
        for purpose in (FORWARD, *ages(lookback))
    ]


def plan(readers: Sequence[Reader], intervals: Sequence[Interval], head: Position, lookback: int) -> Iterator[Task]:
    """The tasks of one poll of one partition, in the order in which they matter.

    ``intervals`` are those that are not proven. ``head`` is the partition's safe end.
    """
    by_purpose = {reader.purpose: reader for reader in readers}
    longest = LONGEST_SPAN_US if lookback else None
    forward = by_purpose[FORWARD]
    yield from _advance(forward, head.offset, head.offset, longest, age=0)
    for purpose, reader in sorted(by_purpose.items()):
        if purpose.startswith(BACKFILL) and reader.span_stop is not None:
            settled = reader.token is None and reader.span_stop + lookback <= head.offset
            yield _task(reader, reader.offset, reader.span_stop, reader.span_stop + (lookback if settled else 0))
    for purpose, age in ages(lookback).items():
        reader = by_purpose.get(purpose)
        if reader is not None:
            due = head.offset - age
            wide_enough = due - reader.offset >= age // STEP
            if reader.span_stop is not None or wide_enough:
                yield from _advance(reader, due, head.offset, longest, age=age)
    yield from _repairs(by_purpose, intervals, head, lookback)


def _advance(reader: Reader, due: int, head: int, longest: int | None, *, age: int) -> Iterator[Task]:
    """The reader's unfinished span, or the stretch from where it stands to where it is due."""
    if reader.span_stop is not None:
        yield _task(reader, reader.offset, reader.span_stop, reader.span_stop + age)
        return
    stop = due if longest is None else min(due, reader.offset + longest)
    if reader.offset < stop <= head:
        yield _task(reader, reader.offset, stop, stop + age)


def _repairs(
    by_purpose: Mapping[str, Reader], intervals: Sequence[Interval], head: Position, lookback: int
) -> Iterator[Task]:
    """Stretches that every other reader has passed and that are still not proven, each at doubling ages."""
    passed = by_purpose.get("reread-0", by_purpose[FORWARD]).offset
    unfinished = by_purpose.get(REPAIR)
    if unfinished is not None and unfinished.span_stop is not None:
        yield _task(unfinished, unfinished.offset, unfinished.span_stop, unfinished.span_stop + lookback)
        return
    for interval in intervals:
        age = interval.read_at - interval.stop
        due = interval.stop + max(lookback, 2 * age if lookback else 0)
        if interval.stop <= passed and due <= head.offset:
            reader = Reader(
                source=by_purpose[FORWARD].source,
                digest=by_purpose[FORWARD].digest,
                partition=head.partition,
                purpose=REPAIR,
                offset=interval.start,
            )
            yield _task(reader, interval.start, interval.stop, due)
            return


def _task(reader: Reader, start: int, stop: int, read_at: int) -> Task:
    open_reader = msgspec.structs.replace(reader, offset=start, span_stop=stop)
    return Task(open_reader, Span(partition=reader.partition, start=start, stop=stop), read_at)
