"""The pipeline's choice of spans reads every event that becomes searchable within the lookback, and proves it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.ledger import Interval, Reader, proven
from connector.pipeline import spans
from connector.types import Position

SECOND = 1_000_000
LOOKBACK = 3600 * SECOND


class Simulation:
    """Readers and intervals as the ledger would keep them, with every read complete unless told otherwise."""

    def __init__(self, start: int, lookback: int) -> None:
        self.lookback = lookback
        head = Position(partition="", offset=start)
        self.start = start
        self.readers = {r.purpose: r for r in spans.first_readers("s", "d", head, lookback, from_start=False)}
        self.reads: list[tuple[int, spans.Task]] = []
        self.intervals: list[Interval] = []

    def poll(self, now: int, *, broken: tuple[int, int] | None = None) -> None:
        head = Position(partition="", offset=now)
        for reader in spans.caught_up(self.readers[spans.FORWARD], head, self.lookback) or ():
            self.readers[reader.purpose] = reader
        weak = sorted((i for i in self.intervals if not proven(i, self.lookback)), key=lambda i: i.start)
        for task in spans.plan(list(self.readers.values()), weak, head, self.lookback):
            self._read(now, task, broken)

    def _read(self, now: int, task: spans.Task, broken: tuple[int, int] | None) -> None:
        self.reads.append((now, task))
        complete = broken is None or task.span.stop <= broken[0] or broken[1] <= task.span.start
        new = Interval(
            source="s", digest="d", partition="", start=task.span.start, stop=task.span.stop,
            read_at=task.read_at, complete=complete,
        )  # fmt: skip
        self.intervals = [part for old in self.intervals for part in self._outside(old, new)] + [new]
        if task.reader.purpose != spans.REPAIR:
            done = msgspec.structs.replace(task.reader, offset=task.span.stop, span_stop=None)
            self.readers[task.reader.purpose] = done

    def _outside(self, old: Interval, new: Interval) -> list[Interval]:
        """What of an interval stands once a newer one is written, as the ledger keeps it."""
        if old.complete and not (new.complete and old.read_at <= new.read_at):
            return [old]
        parts = [(old.start, min(old.stop, new.start)), (max(old.start, new.stop), old.stop)]
        return [msgspec.structs.replace(old, start=a, stop=b) for a, b in parts if a < b]

    def read_after(self, position: int, searchable_at: int) -> bool:
        return any(task.span.start <= position < task.span.stop and now >= searchable_at for now, task in self.reads)


gaps_between_polls = st.lists(st.integers(SECOND, 900 * SECOND), min_size=20, max_size=80)


@settings(max_examples=60, deadline=None)
@given(gaps_between_polls, st.data())
def test_an_event_searchable_within_the_lookback_is_read_however_irregular_the_polls(gaps, data):
    simulation = Simulation(10**15, LOOKBACK)
    now = simulation.start
    for gap in gaps:
        now += gap
        simulation.poll(now)
    for _ in range(30):  # let the last stretches reach their proof
        now += 300 * SECOND
        simulation.poll(now)
    proven_until = spans.proof_due(Position(partition="", offset=now), LOOKBACK).offset - LOOKBACK
    position = data.draw(st.integers(simulation.start, proven_until - 1))
    delay = data.draw(st.integers(0, LOOKBACK - 1))
    assert simulation.read_after(position, position + delay)


def test_a_stretch_is_read_a_fixed_number_of_times_however_long_the_daemon_runs():
    simulation = Simulation(10**15, LOOKBACK)
    now = simulation.start
    for _ in range(4000):
        now += 10 * SECOND
        simulation.poll(now)
    position = simulation.start + 3600 * SECOND
    times = sum(task.span.start <= position < task.span.stop for _, task in simulation.reads)
    assert times == 1 + len(spans.ages(LOOKBACK))
    assert len(simulation.reads) < 4000 * 1.75


def test_only_reads_that_begin_after_the_lookback_may_prove_a_stretch():
    simulation = Simulation(10**15, LOOKBACK)
    now = simulation.start
    for _ in range(1000):
        now += 10 * SECOND
        simulation.poll(now)
    for now_, task in simulation.reads:
        assert task.read_at <= now_
        if task.reader.purpose != "reread-0":
            assert task.read_at < task.span.stop + LOOKBACK


def test_a_stretch_that_stays_incomplete_is_repaired_at_doubling_ages_and_stops_nothing_else():
    simulation = Simulation(10**15, LOOKBACK)
    broken = (simulation.start + 100 * SECOND, simulation.start + 110 * SECOND)
    now = simulation.start
    while now < simulation.start + 20 * LOOKBACK:
        now += 60 * SECOND
        simulation.poll(now, broken=broken)
    repairs = [
        n
        for n, task in simulation.reads
        if task.reader.purpose == spans.REPAIR and task.span.start < broken[1] and broken[0] < task.span.stop
    ]
    unproven = [i for i in simulation.intervals if not proven(i, LOOKBACK) and i.stop < now - 2 * LOOKBACK]
    assert sum(i.stop - i.start for i in unproven) < 1000 * SECOND
    assert 2 <= len(repairs) <= 6
    assert simulation.readers["reread-0"].offset > simulation.start + 18 * LOOKBACK
    later = now + 40 * LOOKBACK
    while now < later:
        now += 600 * SECOND
        simulation.poll(now)
    assert all(i.complete for i in simulation.intervals)


def test_without_a_lookback_the_forward_read_is_the_only_one():
    simulation = Simulation(0, 0)
    simulation.poll(500)
    simulation.poll(900)
    assert [(t.reader.purpose, t.span.start, t.span.stop) for _, t in simulation.reads] == [
        (spans.FORWARD, 0, 500),
        (spans.FORWARD, 500, 900),
    ]


@pytest.mark.parametrize("purpose", [spans.FORWARD, "reread-0", spans.BACKFILL + "x"])
def test_an_unfinished_span_is_finished_before_a_new_one_is_begun(purpose):
    readers = spans.first_readers("s", "d", Position(partition="", offset=0), LOOKBACK, from_start=True)
    others = [r for r in readers if r.purpose != purpose]
    unfinished = Reader(source="s", digest="d", partition="", purpose=purpose, offset=5, span_stop=50, token="t")
    tasks = list(spans.plan([*others, unfinished], [], Position(partition="", offset=10 * LOOKBACK), LOOKBACK))
    mine = [t for t in tasks if t.reader.purpose == purpose]
    assert [(t.span.start, t.span.stop, t.reader.token) for t in mine] == [(5, 50, "t")]


def test_after_a_long_absence_the_newest_is_read_first_and_the_rest_is_proven_by_one_read():
    simulation = Simulation(10**15, LOOKBACK)
    simulation.poll(simulation.start + 60 * SECOND)
    now = simulation.start + 100 * LOOKBACK
    simulation.poll(now)
    first, second = [(t.reader.purpose, t.span.start) for _, t in simulation.reads][1:3]
    assert first == (spans.FORWARD, now - LOOKBACK)
    assert second[0].startswith(spans.SETTLED)
    times = [t for _, t in simulation.reads if t.span.start <= now - 50 * LOOKBACK < t.span.stop]
    assert len(times) == 1
    assert all(proven(i, LOOKBACK) for i in simulation.intervals if i.start <= now - 50 * LOOKBACK < i.stop)


def test_a_source_read_from_its_beginning_is_read_once_and_not_hour_by_hour():
    head = Position(partition="", offset=10**15)
    readers = spans.first_readers("s", "d", head, LOOKBACK, from_start=True)
    split = spans.caught_up(readers[0], head, LOOKBACK)
    assert split is not None
    tasks = list(spans.plan([*split, *readers[1:]], [], head, LOOKBACK))
    assert [(t.span.start, t.span.stop) for t in tasks] == [
        (head.offset - LOOKBACK, head.offset),
        (0, head.offset - LOOKBACK),
    ]


@pytest.mark.parametrize("purpose", ["reread-0", spans.REPAIR, spans.SETTLED + "5-50"])
def test_an_unfinished_span_claims_no_age_that_it_cannot_have(purpose):
    readers = spans.first_readers("s", "d", Position(partition="", offset=0), LOOKBACK, from_start=True)
    others = [r for r in readers if r.purpose != purpose]
    unfinished = Reader(source="s", digest="d", partition="", purpose=purpose, offset=5, span_stop=50, token="t")
    early = Position(partition="", offset=LOOKBACK + 49)
    (mine,) = (t for t in spans.plan([*others, unfinished], [], early, LOOKBACK) if t.reader.purpose == purpose)
    assert mine.read_at == 50
    late = Position(partition="", offset=LOOKBACK + 50)
    (mine,) = (t for t in spans.plan([*others, unfinished], [], late, LOOKBACK) if t.reader.purpose == purpose)
    assert mine.read_at == LOOKBACK + 50


def test_under_a_longer_lookback_past_stretches_that_are_half_read_are_begun_anew():
    forward = Reader(source="s", digest="d", partition="", purpose=spans.FORWARD, offset=5, span_stop=50, token="t")
    half = msgspec.structs.replace(forward, purpose="reread-0", complete=False)
    done = msgspec.structs.replace(forward, purpose="reread-1", span_stop=None, token=None)
    assert list(spans.begun_anew([forward, half, done])) == [
        msgspec.structs.replace(half, token=None, complete=True),
    ]


def test_another_query_begins_where_the_one_before_had_proven_everything_and_takes_its_backfills_over():
    head = Position(partition="", offset=10**15)
    old = spans.first_readers("s", "d", head, LOOKBACK, from_start=False)
    forward = msgspec.structs.replace(old[0], offset=head.offset + LOOKBACK)
    left = spans.backfill(old[0], 0, 100, head, LOOKBACK)
    later = Position(partition="", offset=head.offset + 2 * LOOKBACK)
    fresh = spans.inherited([forward, *old[1:], left], "e", later, LOOKBACK)
    assert {r.offset for r in fresh if r.span_stop is None} == {head.offset}
    assert [(r.offset, r.span_stop) for r in fresh if r.span_stop is not None] == [(0, 100)]
    assert {r.digest for r in fresh} == {"e"}
    assert not spans.inherited([forward, *old[1:], left], "d", later, LOOKBACK)


def test_a_backfill_ends_where_it_is_safe_to_read_and_refuses_the_future():
    head = Position(partition="", offset=1000)
    forward = spans.first_readers("s", "d", head, 10, from_start=False)[0]
    assert spans.backfill(forward, 500, 2000, head, 10).span_stop == 1000
    for start, stop in ((1000, 2000), (700, 600)):
        with pytest.raises(ConfigError):
            spans.backfill(forward, start, stop, head, 10)
