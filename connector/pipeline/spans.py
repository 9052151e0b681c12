"""Which span to read next: a pure function of where the readers stand and how far it is safe to read.

A partition has several readers, each with a purpose and an offset up to which it is done::

    forward       up to the head: every event's first chance
    backfill-…    a past stretch: what a person asked for, and what lies further back than the lookback when we (re)start
    reread-3 … 0  the same stretch again at ages lookback/64, /16, /4 and lookback, for events that became searchable late
    repair        stretches that the readers above have passed without a complete answer

``reread-0`` reads at an age of the whole lookback, so a complete answer there proves its stretch; so does a backfill of what
was older than the lookback when it was begun. A stretch is read when it is a quarter as wide as its age, so that re-reading
costs a fixed number of passes, spaced exponentially. What is proven already is not read again. Files have no lookback: their
bytes do not arrive late, and the forward read proves them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from connector.errors import ConfigError
from connector.ledger import Interval, Reader
from connector.types import Position, Span

FORWARD = "forward"
REPAIR = "repair"
BACKFILL = "backfill-"
SETTLED = "backfill-settled-"
"""A backfill that was begun after its stretch's lookback had ended."""

SEEN = "seen"
"""No reader: the mark that a source has been looked at. Its offset is the lookback (microseconds) it was read under."""

YOUNGEST_REREAD_US = 15_000_000
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


def seen(source: str, lookback: int) -> Reader:
    """The mark of a source, whatever its query and partitions."""
    return Reader(source=source, digest="", partition="", purpose=SEEN, offset=lookback)


def begun_anew(readers: Sequence[Reader]) -> Iterator[Reader]:
    """Unfinished readings of past stretches, back at their start: their first pages came too early for a longer lookback."""
    for reader in readers:
        if reader.span_stop is not None and reader.purpose not in {FORWARD, SEEN}:
            yield msgspec.structs.replace(reader, token=None, complete=True)


def inherited(readers: Sequence[Reader], digest: str, head: Position, lookback: int) -> list[Reader]:
    """The readers of a partition whose query has changed; none where no other query has read it.

    They begin where the furthest of the old ones had proven everything, and take over what a backfill has left.
    """
    old: dict[str, dict[str, Reader]] = {}
    for reader in readers:
        if reader.partition == head.partition and reader.digest != digest:
            old.setdefault(reader.digest, {})[reader.purpose] = reader
    ended = [mine for mine in old.values() if FORWARD in mine]
    if not ended:
        return []
    last = max(ended, key=lambda mine: mine[FORWARD].offset)
    proven = min(last[FORWARD].offset, last.get("reread-0", last[FORWARD]).offset, head.offset)
    start = msgspec.structs.replace(head, offset=proven)
    left = [
        msgspec.structs.replace(reader, digest=digest, token=None, attempts=0, complete=True)
        for purpose, reader in last.items()
        if purpose.startswith(BACKFILL) and reader.span_stop is not None
    ]
    return first_readers(last[FORWARD].source, digest, start, lookback, from_start=False) + left


def backfill(reader: Reader, start: int, stop: int, head: Position, lookback: int) -> Reader:
    """A reader for a past stretch of another reader's partition, as far as it is safe to read.

    Raises ``ConfigError`` where nothing of the stretch can be read yet.
    """
    stop = min(stop, head.offset)
    if start >= stop:
        raise ConfigError("nothing of this stretch can be read: it ends before it begins, or lies in the future")
    prefix = SETTLED if stop + lookback <= head.offset else BACKFILL
    return msgspec.structs.replace(
        reader, purpose=f"{prefix}{start}-{stop}", offset=start, span_stop=stop, token=None, attempts=0, complete=True
    )


def caught_up(forward: Reader, head: Position, lookback: int) -> tuple[Reader, Reader] | None:
    """Where the forward reader is further behind than the lookback: a backfill for that stretch, and itself moved past it.

    What is new comes first, and what is old is proven by one read.
    """
    recent = head.offset - lookback
    if not lookback or forward.span_stop is not None or forward.offset >= recent:
        return None
    return backfill(forward, forward.offset, recent, head, lookback), msgspec.structs.replace(forward, offset=recent)


def plan(readers: Sequence[Reader], weak: Sequence[Interval], head: Position, lookback: int) -> Iterator[Task]:
    """The tasks of one turn at one partition, in the order in which they matter.

    ``weak`` are the partition's intervals that are not proven, by start; ``head`` is its safe end.
    """
    by_purpose = {reader.purpose: reader for reader in readers}
    forward = by_purpose[FORWARD]
    if forward.span_stop is not None:
        yield _task(forward, forward.offset, forward.span_stop, forward.span_stop)
    elif forward.offset < head.offset:
        yield _task(forward, forward.offset, head.offset, head.offset)
    for purpose, reader in sorted(by_purpose.items()):
        if purpose.startswith(BACKFILL) and reader.span_stop is not None:
            age = lookback if purpose.startswith(SETTLED) else 0
            yield _resumed(reader, age, head)
    for purpose, age in ages(lookback).items():
        if purpose in by_purpose:
            yield from _reread(by_purpose[purpose], age, weak, head)
    yield from _repair(by_purpose, weak, head, lookback)


def _reread(reader: Reader, age: int, weak: Sequence[Interval], head: Position) -> Iterator[Task]:
    """The reader's unfinished span, or the stretch from the first place that is not proven to where it is due."""
    if reader.span_stop is not None:
        yield _resumed(reader, age, head)
        return
    due = head.offset - age
    start, stop = _first_run(weak, reader.offset, due)
    if due - start >= max(1, age // STEP):
        yield _task(reader, start, stop, stop + age)


def _first_run(weak: Sequence[Interval], after: int, due: int) -> tuple[int, int]:
    """The first stretch without a break, between two offsets, that was read and is not proven; empty at ``due``."""
    ahead = [interval for interval in weak if interval.stop > after and interval.start < due]
    if not ahead:
        return due, due
    start = stop = max(ahead[0].start, after)
    for interval in ahead:
        if interval.start > stop:
            break
        stop = max(stop, interval.stop)
    return start, min(stop, due)


def _repair(
    by_purpose: Mapping[str, Reader], weak: Sequence[Interval], head: Position, lookback: int
) -> Iterator[Task]:
    """A stretch that every other reader has passed and that is still not proven, at doubling ages."""
    unfinished = by_purpose.get(REPAIR)
    if unfinished is not None and unfinished.span_stop is not None:
        yield _resumed(unfinished, lookback, head)
        return
    passed = by_purpose.get("reread-0", by_purpose[FORWARD])
    for interval in weak:
        due = interval.stop + max(lookback, 2 * (interval.read_at - interval.stop) if lookback else 0)
        if interval.stop <= passed.offset and due <= head.offset:
            reader = msgspec.structs.replace(passed, purpose=REPAIR, token=None, attempts=0, complete=True)
            yield _task(reader, interval.start, interval.stop, due)
            return


def _resumed(reader: Reader, age: int, head: Position) -> Task:
    """The rest of an unfinished span. It claims its age only if so much time has passed, as after a longer lookback."""
    stop = reader.offset if reader.span_stop is None else reader.span_stop
    return _task(reader, reader.offset, stop, stop + age if stop + age <= head.offset else stop)


def _task(reader: Reader, start: int, stop: int, read_at: int) -> Task:
    complete = reader.complete if reader.span_stop is not None else True
    open_reader = msgspec.structs.replace(reader, offset=start, span_stop=stop, complete=complete)
    return Task(open_reader, Span(partition=reader.partition, start=start, stop=stop), read_at)
