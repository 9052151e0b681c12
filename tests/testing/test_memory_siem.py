"""The in-memory SIEM does what a test arranges, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.errors import TransientError
from connector.testing import MemorySiem, examples
from connector.testing.clock import START, micros
from connector.testing.siem import MemoryHistory, MemorySource, MemoryWriter
from connector.types import Cursor, Delivery, RawEvent, Span

SECOND = timedelta(seconds=1)


@pytest.fixture
def siem(tmp_path: Path) -> Iterator[MemorySiem]:
    yield MemorySiem.named(str(tmp_path))
    MemorySiem.forget(str(tmp_path))


@pytest.fixture
def source(siem: MemorySiem, tmp_path: Path) -> MemorySource:
    config: Any = MemorySource.Config.model_validate(
        {"type": "memory", "deployment": "d", "instance": str(tmp_path), "settle": 5}
    )
    return MemorySource("s", config, siem.clock)


def whole(source: MemorySource) -> Span:
    return Span(partition="", start=0, stop=source.heads()[0].offset)


def drain(source: MemorySource, span: Span, limit: int) -> list[RawEvent]:
    found: list[RawEvent] = []
    after: Cursor | None = None
    while True:
        batch = source.read(span, after, limit)
        found += batch.items
        if batch.done:
            return found
        after = batch.cursor


def test_a_late_event_is_found_only_when_it_is_searchable(siem: MemorySiem, source: MemorySource) -> None:
    siem.put([{"n": 1}], at=START, searchable_at=START + 60 * SECOND)
    siem.clock.advance(30)
    assert (source.read(whole(source), None, 10).items, source.count(whole(source))) == ((), 0)
    siem.clock.advance(30)
    (late,) = source.read(whole(source), None, 10).items
    assert late.position is not None
    assert late.position.offset == micros(START)
    assert source.count(whole(source)) == 1


def test_a_partial_answer_is_incomplete_for_as_many_reads_as_arranged(siem: MemorySiem, source: MemorySource) -> None:
    one, two, three = siem.put([{"n": n} for n in range(3)])
    siem.clock.advance(60)
    siem.answer_partially(START, START + SECOND, reads=2, hide=[two])
    for _ in range(2):
        batch = source.read(whole(source), None, 10)
        assert (batch.complete, [raw.native_id for raw in batch.items]) == (False, [one, three])
    assert source.count(whole(source)) == 3
    assert source.read(whole(source), None, 10).complete


def test_a_partial_answer_elsewhere_touches_nothing(siem: MemorySiem, source: MemorySource) -> None:
    siem.put([{"n": 1}])
    siem.clock.advance(60)
    siem.answer_partially(START - 9 * SECOND, START)
    assert source.read(Span(partition="", start=micros(START), stop=micros(START) + 1), None, 10).complete


def test_repeats_and_disorder_are_delivered_when_asked_for(siem: MemorySiem, source: MemorySource) -> None:
    ids = siem.put([{"n": n} for n in range(9)])
    siem.clock.advance(60)
    siem.repeat = True
    siem.shuffled = random.Random(1)
    found = [raw.native_id for raw in drain(source, whole(source), 4)]
    assert set(found) == set(ids)
    assert len(found) > len(ids)
    assert found != sorted(found)


def test_a_fault_fails_as_many_calls_as_arranged(siem: MemorySiem, source: MemorySource) -> None:
    siem.faults.add("read", times=2)
    span = whole(source)
    for _ in range(2):
        with pytest.raises(TransientError):
            source.read(span, None, 1)
    assert source.read(span, None, 1).done


@pytest.fixture
def writer(siem: MemorySiem, tmp_path: Path) -> MemoryWriter:
    config: Any = MemoryWriter.Config.model_validate({"type": "memory", "instance": str(tmp_path)})
    return MemoryWriter("w", config, siem.clock)


def test_a_busy_server_takes_what_it_can_in_order(siem: MemorySiem, writer: MemoryWriter) -> None:
    siem.accept_per_call = 2
    verdicts = [examples.verdict(n) for n in range(3)]
    assert [delivery.outcome for delivery in writer.write(verdicts)] == ["delivered", "delivered", "retry"]
    assert list(siem.documents) == [verdict.record_id for verdict in verdicts[:2]]


def test_an_unknown_outcome_may_have_taken_effect(siem: MemorySiem, writer: MemoryWriter) -> None:
    one, two = examples.verdict(1), examples.verdict(2)
    siem.answer_write(one.record_id, Delivery(outcome="unknown"), takes_effect=True)
    siem.answer_write(two.record_id, Delivery(outcome="rejected", reason="mapping"))
    assert [delivery.outcome for delivery in writer.write([one, two])] == ["unknown", "rejected"]
    assert list(siem.documents) == [one.record_id]
    assert [delivery.outcome for delivery in writer.write([one, two])] == ["delivered", "delivered"]
    assert siem.deliveries == {one.record_id: 2, two.record_id: 2}


def test_opening_closing_and_reopening_are_changes_of_their_own(siem: MemorySiem, tmp_path: Path) -> None:
    config: Any = MemoryHistory.Config.model_validate({"type": "memory", "instance": str(tmp_path)})
    history = MemoryHistory("h", config, siem.clock)
    for status in ("open", "closed", "open"):
        siem.change_alert("a", ["e"], status, "false_positive" if status == "closed" else None)
    first = history.dispositions(None, 2)
    assert [change.status for change in first.items] == ["open", "closed"]
    assert [change.status for change in history.dispositions(first.cursor, 2).items] == ["open"]
