"""The contract of event sources: everything exactly once, wherever it is cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from connector.ports import EventSource, SiemPlugin
from connector.testing import examples
from connector.testing.contracts.rules import adapter, require, testbed
from connector.types import Batch, Cursor, Position, RawEvent, Span

_LIMITS = (1, 2, 3, 7, 1000)
_FIRST, _SECOND = 17, 12
_MOST_READS = 1000


def check_source(plugin: SiemPlugin, directory: Path) -> None:
    """Puts a source through its contract. Raises ``ContractError`` naming the rule that it broke."""
    require(plugin.source, "the plug-in has a source")
    with testbed(plugin, directory) as bed:
        with adapter(plugin.source, bed.source_config(), bed.clock) as source:
            bed.put(examples.documents(_FIRST))
            bed.settle()
            before = source.heads()
            bed.put(examples.documents(_SECOND, first=_FIRST))
            bed.settle()
            heads = source.heads()
            _heads_wait_for_what_is_late(source, before, heads)
            spans = [Span(partition=head.partition, start=0, stop=head.offset) for head in heads]
            found = [raw for span in spans for raw in _all(source, span, 1000)]
            _every_event_once(found, _FIRST + _SECOND)
            for span in spans:
                _whatever_the_limit(source, span)
                _whatever_the_cut(source, span)
                _half_open(source, span)
                _counted(source, span)
            digest, begun = source.query_digest, [source.read(span, None, 2) for span in spans]
        with adapter(plugin.source, bed.source_config(), bed.clock) as other:
            _after_a_restart(other, digest, dict(zip(spans, begun, strict=True)), found)


def _pages(source: EventSource, span: Span, limit: int, after: Cursor | None = None) -> Iterator[Any]:
    for _ in range(_MOST_READS):
        batch = source.read(span, after, limit)
        require(batch.complete, "an answer that lacks nothing is complete", batch.reason)
        require(len(batch.items) <= limit, f"a read of at most {limit} events gives no more", len(batch.items))
        require(batch.cursor is not None or batch.done, "a read that is not done gives a cursor to go on with")
        yield batch
        if batch.done:
            return
        after = batch.cursor
    require(False, f"a span comes to an end within {_MOST_READS} reads")


def _all(source: EventSource, span: Span, limit: int, after: Cursor | None = None) -> list[RawEvent]:
    return [raw for batch in _pages(source, span, limit, after) for raw in batch.items]


def _ids(raws: Sequence[RawEvent]) -> list[str]:
    return [raw.native_id for raw in raws]


def _heads_wait_for_what_is_late(source: EventSource, before: Sequence[Position], after: Sequence[Position]) -> None:
    old = {head.partition: head.offset for head in before}
    spans = [Span(partition=head.partition, start=old.get(head.partition, 0), stop=head.offset) for head in after]
    fresh = sum(len(_all(source, span, 1000)) for span in spans)
    require(fresh == _SECOND, f"{_SECOND} events put after heads() are found behind those heads", fresh)


def _every_event_once(found: Sequence[RawEvent], put: int) -> None:
    require(len(found) == put, f"{put} events that were put are read", len(found))
    require(len(set(_ids(found))) == put, f"{put} events have {put} native ids", len(set(_ids(found))))
    texts = [str(raw.data) for raw in found]
    for number in range(put):
        holding = sum(f"example-{number:05d}" in text for text in texts)
        require(holding == 1, f"event {number} is read once, whole", holding)
    for raw in found:
        require(raw.error is None, "a sound event has no error", raw.error)
        require(raw.place, "an event says where it stands", raw)
        require(raw.position is not None, "a polled event has a position", raw)


def _whatever_the_limit(source: EventSource, span: Span) -> None:
    whole = _ids(_all(source, span, 1000))
    for limit in _LIMITS:
        pages = list(_pages(source, span, limit))
        paged = [raw.native_id for page in pages for raw in page.items]
        require(paged == whole, f"pages of {limit} give what one page gives, in the same order", paged, whole)
        seen = 0
        for page in pages[:-1]:
            seen += len(page.items)
            rest = _ids(_all(source, span, 1000, page.cursor))
            require(rest == whole[seen:], f"a cursor resumes right after the last of {seen} events", rest)


def _whatever_the_cut(source: EventSource, span: Span) -> None:
    raws = _all(source, span, 1000)
    whole = sorted(_ids(raws))
    offsets = sorted({raw.position.offset for raw in raws if raw.position})
    cuts = {offset + by for offset in offsets for by in (0, 1)} | {(span.start + span.stop) // 2}
    for cut in sorted(cuts & set(range(span.start, span.stop + 1)) if span.stop < 10**6 else cuts):
        parts = [Span(partition=span.partition, start=a, stop=b) for a, b in ((span.start, cut), (cut, span.stop))]
        joined = sorted(raw.native_id for part in parts if part.start < part.stop for raw in _all(source, part, 5))
        require(joined == whole, f"two spans that meet at {cut} give every event once", joined)


def _half_open(source: EventSource, span: Span) -> None:
    for raw in _all(source, span, 1000):
        offset = raw.position.offset if raw.position else -1
        require(raw.position and raw.position.partition == span.partition, "an event is of its span's partition", raw)
        require(span.start <= offset < span.stop, f"an event lies in its span {span}", offset)
        require(raw.deployment == source.deployment, "an event carries its source's deployment", raw.deployment)
    last = max((raw.position.offset for raw in _all(source, span, 1000) if raw.position), default=None)
    if last is not None:
        until = _all(source, Span(partition=span.partition, start=span.start, stop=last), 1000)
        require(all(raw.position and raw.position.offset < last for raw in until), "a span leaves its stop out", last)


def _counted(source: EventSource, span: Span) -> None:
    held = len(set(_ids(_all(source, span, 1000))))
    counted = source.count(span)
    require(counted in {None, held}, f"count gives the {held} events that a read gives, or None", counted)


def _after_a_restart(
    other: EventSource, digest: str, begun: Mapping[Span, Batch[RawEvent]], found: Sequence[RawEvent]
) -> None:
    other.heads()
    require(digest, "a source has a query digest")
    require(digest == other.query_digest, "the same query has the same digest after a restart")
    again = [raw for span in begun for raw in _all(other, span, 5)]
    require(_ids(again) == _ids(found), "a new process reads the same native ids, in the same order")
    for span, first in begun.items():
        whole = _ids(_all(other, span, 1000))
        if not first.done:
            rest = _ids(_all(other, span, 1000, first.cursor))
            require(rest == whole[len(first.items) :], "a cursor outlives the process that it was made in", rest)
