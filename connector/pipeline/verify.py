"""``gaps --verify``: the server's own count against the ledger, for every proven span."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from connector import identity
from connector.ledger import Interval, Ledger
from connector.ports import EventSource
from connector.types import Cursor, Span

PAGE = 1000


class Verification(msgspec.Struct, frozen=True):
    """One span in which server and ledger differ, or which only a reading of every id could settle.

    ``gap``: the server holds more than the ledger accounts for. ``expired``: it holds less, its retention has passed.
    ``unverifiable``: the server's answer was incomplete, and what it did hold is accounted for.
    """

    span: Span
    kind: Literal["gap", "expired", "unverifiable"]
    server: int
    ledger: int
    by: Literal["count", "ids"]


def verify(name: str, source: EventSource, ledger: Ledger, lookback: int) -> Iterator[Verification]:
    """Compares every proven span of the source's present query; where the server cannot count, id by id."""
    digest = source.query_digest
    for partition in sorted({head.partition for head in source.heads()}):
        for interval in ledger.intervals(name, digest, partition):
            if interval.complete and interval.read_at >= interval.stop + lookback:
                found = _verify(name, source, ledger, interval)
                if found is not None:
                    yield found


def _verify(name: str, source: EventSource, ledger: Ledger, interval: Interval) -> Verification | None:
    span = Span(partition=interval.partition, start=interval.start, stop=interval.stop)
    held = ledger.accounted(name, span.partition, span.start, span.stop)
    server = source.count(span)
    by: Literal["count", "ids"] = "count"
    if server is None:
        by = "ids"
        ids, whole = _ids(source, span)
        server = len(ids)
        missing = len(ids - ledger.known(ids))
        if not missing and not whole:
            return Verification(span, "unverifiable", server, held, by)
        held = server - missing if missing else held
    if server == held:
        return None
    return Verification(span, "gap" if server > held else "expired", server, held, by)


def _ids(source: EventSource, span: Span) -> tuple[set[str], bool]:
    """The ids that the server holds, and whether its answer was complete."""
    found: set[str] = set()
    whole = True
    cursor: Cursor | None = None
    while True:
        batch = source.read(span, cursor, PAGE)
        found.update(identity.event_id(raw.deployment, raw.native_id) for raw in batch.items)
        whole = whole and batch.complete
        if batch.done:
            return found, whole
        cursor = batch.cursor
