"""Intervals and gaps: what is proven, what a later reading may replace, and what was lost."""

from __future__ import annotations

from itertools import pairwise

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.ledger import Gap, Interval, Ledger
from connector.ledger.gaps import proven, uncovered, unproven
from connector.ledger.schema import intervals, sightings, verdicts
from connector.types import Position
from tests.ledger.make import batch, events, interval, own_row, reader, verdict

LOOKBACK = 10


def read(ledger: Ledger, *spans: Interval) -> None:
    for span in spans:
        ledger.commit(batch([], reader=reader(0), interval=span))


def head(offset: int, partition: str = "") -> list[Position]:
    return [Position(partition=partition, offset=offset)]


def gap(start: int, stop: int, reason: str) -> Gap:
    return Gap(partition="", start=start, stop=stop, reason=reason)


def test_an_interval_is_proven_only_when_it_was_read_whole_after_its_lookback() -> None:
    assert proven(interval(0, 50, 60), LOOKBACK)
    assert not proven(interval(0, 50, 59), LOOKBACK)
    assert not proven(interval(0, 50, 60, complete=False), LOOKBACK)


def test_a_stretch_that_was_never_read_is_a_gap(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 100), interval(70, 90, 100))
    assert ledger.gaps("src", "q1", LOOKBACK, head(100)) == [gap(50, 70, "never read")]


def test_what_lies_inside_the_lookback_is_no_gap_yet(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 60), interval(50, 60, 60))
    assert ledger.gaps("src", "q1", LOOKBACK, head(60)) == []


def test_a_stretch_not_read_again_after_its_lookback_is_a_gap(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 50))
    assert ledger.gaps("src", "q1", LOOKBACK, head(100)) == [
        gap(40, 50, "not read again since its lookback ended"),
        gap(50, 90, "never read"),
    ]


def test_a_partial_answer_is_a_gap_with_its_reason(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 100), interval(50, 90, 100, complete=False, reason="shard 3 failed"))
    assert ledger.gaps("src", "q1", LOOKBACK, head(100)) == [gap(50, 90, "incomplete: shard 3 failed")]


def test_an_incomplete_reading_never_takes_a_proof_back(ledger: Ledger) -> None:
    read(ledger, interval(20, 40, 100), interval(0, 90, 200, complete=False, reason="peer down"))
    assert [(gap.start, gap.stop) for gap in ledger.gaps("src", "q1", LOOKBACK, head(100))] == [(0, 20), (40, 90)]


def test_a_whole_reading_replaces_what_it_contains_and_cuts_what_it_overlaps(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 50), interval(50, 90, 90, complete=False, reason="x"), interval(80, 120, 120))
    read(ledger, interval(0, 90, 130))
    assert [(one.start, one.stop) for one in ledger.intervals("src", "q1", "")] == [(0, 90), (90, 120)]


def test_a_loss_is_not_forgotten_where_an_overlapping_reading_cuts_its_interval(ledger: Ledger) -> None:
    ids = events(6)
    ledger.commit(batch(ids, interval=interval(0, 6, 100)))
    with ledger._db.write() as tx:
        tx.execute(sa.delete(sightings).where(sightings.c.event_id == ids[1]))
    again = [(event_id, "", place) for place, event_id in enumerate(ids)][3:]
    ledger.commit(batch([], sightings=again, interval=interval(3, 9, 100)))
    assert [(one.start, one.stop) for one in ledger.gaps("src", "q1", LOOKBACK, head(19))] == [(0, 3)]


def test_another_query_proves_nothing_for_this_one(ledger: Ledger) -> None:
    read(ledger, interval(0, 90, 100))
    ledger.commit(batch([], reader=reader(0, digest="q2"), interval=interval(20, 30, 100, digest="q2")))
    assert ledger.gaps("src", "q1", LOOKBACK, head(100)) == []
    assert ledger.gaps("src", "q2", LOOKBACK, head(100)) == [gap(0, 20, "never read"), gap(30, 90, "never read")]


def test_what_a_reader_began_and_never_ended_is_a_gap(ledger: Ledger) -> None:
    ledger.put_reader(reader(30))
    assert ledger.gaps("src", "q1", LOOKBACK, head(100)) == [gap(30, 90, "never read")]


def test_a_file_that_is_gone_is_judged_by_what_was_read_of_it(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 0, partition="old", complete=False, reason="truncated"))
    assert ledger.gaps("src", "q1", 0, head(10, "new")) == [
        Gap(partition="old", start=0, stop=50, reason="incomplete: truncated")
    ]


def test_a_file_that_went_away_while_it_was_read_is_a_gap_up_to_where_the_span_was_to_end(ledger: Ledger) -> None:
    ledger.put_reader(reader(0, partition="old", span_stop=50, token="7"))
    assert ledger.gaps("src", "q1", 0, []) == [Gap(partition="old", start=0, stop=50, reason="never read")]


def test_a_backfill_that_was_begun_and_not_ended_is_a_gap(ledger: Ledger) -> None:
    read(ledger, interval(60, 100, 200))
    ledger.put_reader(reader(100))
    ledger.put_reader(reader(20, purpose="backfill-20-60", span_stop=60))
    assert ledger.gaps("src", "q1", LOOKBACK, head(110)) == [gap(20, 60, "never read")]


def test_what_a_file_has_gained_since_it_was_last_read_is_no_gap(ledger: Ledger) -> None:
    read(ledger, interval(0, 50, 50))
    ledger.put_reader(reader(50))
    assert ledger.gaps("src", "q1", 0, head(80)) == []


@pytest.mark.parametrize("table", [verdicts, sightings])
def test_rows_that_were_lost_are_a_gap_where_they_lay(ledger: Ledger, table: sa.Table) -> None:
    ids = events(6)
    ledger.commit(batch(ids[:3], interval=interval(0, 3, 100)))
    ledger.commit(batch(ids[3:], start=3, interval=interval(3, 6, 100)))
    assert ledger.gaps("src", "q1", LOOKBACK, head(16)) == []
    key = "record_id" if table is verdicts else "event_id"
    with ledger._db.write() as tx:
        tx.execute(sa.delete(table).where(table.c[key] == ids[4]))
    assert ledger.gaps("src", "q1", LOOKBACK, head(16)) == [
        gap(3, 6, "1 of 3 events sighted here have no verdict, dead letter or tombstone")
    ]
    ledger.commit(batch(ids[3:], start=3, interval=interval(3, 6, 200)))
    assert ledger.gaps("src", "q1", LOOKBACK, head(16)) == []


def test_an_event_at_two_offsets_counts_in_both_spans_and_once_in_each(ledger: Ledger) -> None:
    one, two = events(2)
    seen = [(one, "", 0), (one, "", 1), (two, "", 1), (one, "", 7)]
    ledger.commit(batch([one, two], sightings=seen, interval=interval(0, 5, 100)))
    ledger.commit(batch([one], sightings=[(one, "", 7)], interval=interval(5, 9, 100)))
    assert [one.matched for one in ledger.intervals("src", "q1", "")] == [2, 1]
    assert (ledger.accounted("src", "", 0, 5), ledger.accounted("src", "", 5, 9)) == (2, 1)
    assert ledger.sighted("src", "", 0, 9) == {one, two}
    assert ledger.sighted("src", "elsewhere", 0, 9) == frozenset()


def test_a_sighting_without_an_outcome_is_sighted_and_not_accounted(ledger: Ledger) -> None:
    one, two = events(2)
    ledger.commit(batch([one, two], verdicts=[verdict(one)], outbox=[own_row(one)], interval=interval(0, 2, 100)))
    assert ledger.accounted("src", "", 0, 2) == 1
    assert len(ledger.gaps("src", "q1", LOOKBACK, head(12))) == 1


spans = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(spans, max_size=8), spans)
def test_covers_and_what_they_leave_make_up_the_whole(covers: list[tuple[int, int]], whole: tuple[int, int]) -> None:
    left = [offset for start, stop in uncovered(*whole, covers) for offset in range(start, stop)]
    covered = {offset for start, stop in covers for offset in range(start, stop)}
    assert left == [offset for offset in range(*whole) if offset not in covered]


readings = st.lists(st.tuples(spans, st.booleans(), st.integers(0, 60)), max_size=10)


def offsets(gaps: list[Gap]) -> set[int]:
    return {offset for one in gaps for offset in range(one.start, one.stop)}


def as_intervals(drawn: list[tuple[tuple[int, int], bool, int]]) -> list[Interval]:
    return [interval(*span, read_at, complete=complete, reason="r") for span, complete, read_at in drawn]


@given(readings)
def test_gaps_are_exactly_the_offsets_that_no_proven_reading_covers(
    drawn: list[tuple[tuple[int, int], bool, int]],
) -> None:
    known = as_intervals(drawn)
    good = {
        offset
        for one in known
        for offset in range(one.start, one.stop)
        if one.complete and one.read_at >= offset + 1 + LOOKBACK
    }
    found = unproven(known, LOOKBACK, 0, 45, "")
    assert offsets(found) == set(range(45)) - good
    assert all(one.stop <= two.start for one, two in pairwise(found))
    assert all(one.stop < two.start or one.reason != two.reason for one, two in pairwise(found))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=readings)
def test_what_the_ledger_keeps_of_readings_proves_as_much_as_all_of_them(
    ledger: Ledger, drawn: list[tuple[tuple[int, int], bool, int]]
) -> None:
    with ledger._db.write() as tx:
        tx.execute(sa.delete(intervals))
    known = as_intervals(drawn)
    read(ledger, *known)
    kept = ledger.intervals("src", "q1", "")
    for lookback in (0, LOOKBACK, 30):
        assert offsets(unproven(kept, lookback, 0, 45, "")) == offsets(unproven(known, lookback, 0, 45, ""))
