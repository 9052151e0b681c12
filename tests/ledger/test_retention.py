"""Retention: what goes, what stays, and what it leaves behind."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from connector.ledger import DeadLetter, Ledger, retention as room, shadow
from connector.ledger.schema import outbox, sightings, streams
from connector.settings import RetentionSettings
from connector.types import Position, RunRef, StateChange
from tests.ledger.make import TTL, FakeClock, action, action_row, batch, event, events, interval, own_row, reader

DAY = timedelta(days=1)
KEEP = RetentionSettings(
    verdicts=10 * DAY, snapshots=5 * DAY, tombstones=30 * DAY, dead_letters=10 * DAY, every=timedelta(hours=1)
)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_STEP", 3)


def deliver(ledger: Ledger) -> None:
    while claims := ledger.claim("siem", "w", 100, TTL):
        ledger.settle("siem", [(claim, "delivered", "", None) for claim in claims])


def test_a_verdict_goes_and_its_id_still_deduplicates(ledger: Ledger, clock: FakeClock) -> None:
    old, young = events(8), events(2, 8)
    ledger.commit(batch(old))
    clock.advance(11 * DAY)
    ledger.commit(batch(young, start=8))
    deliver(ledger)
    assert ledger.retain(KEEP, clock.now)["verdicts"] == 8
    assert {entry.event_id for entry in ledger.verdicts()} == set(young)
    assert ledger.known([*old, *young]) == {*old, *young}
    assert ledger.commit(batch(old)).inserted == frozenset()
    assert ledger.pending("siem") == 0


def test_a_verdict_that_waits_to_be_delivered_stays(ledger: Ledger, clock: FakeClock) -> None:
    ids = events(5)
    ledger.commit(batch(ids, outbox=[own_row(ids[0]), own_row(ids[1], parked="full")]))
    clock.advance(11 * DAY)
    ledger.retain(KEEP.model_copy(update={"dead_letters": 100 * DAY}), clock.now)
    assert {entry.event_id for entry in ledger.verdicts()} == set(ids[:2])
    assert [claim.record_id for claim in ledger.claim("siem", "w", 10, TTL)] == [ids[0]]


def test_snapshots_have_a_time_of_their_own_and_can_be_redacted(ledger: Ledger, clock: FakeClock) -> None:
    ids = events(4)
    ledger.commit(batch(ids, snapshots=dict.fromkeys(ids, b'{"user": "ana"}')))
    assert ledger.redact_snapshot(ids[0], b'{"user": "u1"}')
    assert not ledger.redact_snapshot(event("other"), b"{}")
    assert ledger.snapshots(ids[:1]) == {ids[0]: b'{"user": "u1"}'}
    clock.advance(6 * DAY)
    assert ledger.retain(KEEP, clock.now)["snapshots"] == 4
    assert ledger.snapshots(ids) == {}
    assert len(list(ledger.verdicts())) == 4


def test_an_expired_dead_letter_leaves_a_tombstone_and_an_entry_in_the_audit(ledger: Ledger, clock: FakeClock) -> None:
    poison, parked = events(2)
    letter = DeadLetter(subject=poison, source="src", reason="cannot be parsed")
    ledger.commit(batch([parked], dead=[letter], outbox=[own_row(parked, parked="full")]))
    clock.advance(9 * DAY)
    assert ledger.retain(KEEP, clock.now)["dead_letters"] == 0
    clock.advance(2 * DAY)
    assert ledger.retain(KEEP, clock.now)["dead_letters"] == 2
    assert ledger.dead_letters(resolved=True) == []
    assert ledger.known([poison]) == {poison}
    (entry,) = ledger.audit_entries()
    assert (entry.what, entry.detail) == ("dead letters expired unresolved", '{"count":{"siem":1,"src":1}}')


def test_tombstones_go_last_and_each_sighting_renews_them(ledger: Ledger, clock: FakeClock) -> None:
    ids = events(6)
    ledger.commit(batch(ids))
    deliver(ledger)
    clock.advance(11 * DAY)
    ledger.retain(KEEP, clock.now)
    clock.advance(29 * DAY)
    ledger.commit(batch([], sightings=[(ids[0], "", 100)], interval=None, reader=reader(101)))
    clock.advance(2 * DAY)
    assert ledger.retain(KEEP, clock.now)["tombstones"] == 5
    assert ledger.known(ids) == {ids[0]}


def test_forgetting_opens_no_gap(ledger: Ledger, clock: FakeClock) -> None:
    """At no time in a year of hourly life does retention alone make a span look unproven or lost."""
    for step in range(60):
        ids = [event(f"{step}-{number}") for number in range(3)]
        start = step * 10
        seen = [(one, "", start + number) for number, one in enumerate(ids)]
        seen.append((event(f"{max(step - 8, 0)}-0"), "", start + 5))
        span = interval(start, start + 10, start + 10)
        ledger.commit(batch(ids, sightings=seen, interval=span, reader=reader(start + 10)))
        deliver(ledger)
        clock.advance(2 * DAY)
        ledger.retain(KEEP, clock.now)
        assert ledger.gaps("src", "q1", 0, [Position(partition="", offset=start + 10)]) == []
    with ledger._db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(sightings)).scalar_one() < 60
    assert len(ledger.intervals("src", "q1", "")) < 10
    assert ledger.status().tombstones < 100


def test_a_stretch_in_the_middle_waits_for_its_elders(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(3), start=10, interval=interval(10, 20, 100)))
    clock.advance(9 * DAY)
    ledger.commit(batch(events(3, 5), start=0, interval=interval(0, 10, 100)))
    deliver(ledger)
    clock.advance(2 * DAY)
    assert ledger.retain(KEEP, clock.now)["intervals"] == 0
    assert ledger.gaps("src", "q1", 0, [Position(partition="", offset=20)]) == []
    clock.advance(9 * DAY)
    assert ledger.retain(KEEP, clock.now)["intervals"] == 2


def test_sightings_of_a_finished_file_go_when_nobody_reads_it(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(5)))
    deliver(ledger)
    clock.advance(11 * DAY)
    ledger.put_reader(reader(5))
    ledger.retain(KEEP, clock.now)
    assert len(ledger.sighted("src", "", 0, 9)) == 5
    clock.advance(11 * DAY)
    ledger.retain(KEEP, clock.now)
    assert ledger.sighted("src", "", 0, 9) == frozenset()


def test_action_keys_counters_and_runs_are_kept_as_long_as_tombstones(ledger: Ledger, clock: FakeClock) -> None:
    (one,) = events(1)
    proposed = action(1, cause=one)
    ledger.commit(batch([one], outbox=[action_row(proposed, cause=one)]))
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        admission.run(admission.rows[0], ["rate:isolate"])
        (claim,) = admission.rows
    ledger.start_run(claim, RunRef(soar="dryrun", run_id="r"))
    clock.advance(29 * DAY)
    ledger.retain(KEEP, clock.now)
    ledger.commit(batch([], outbox=[action_row(proposed)]))
    assert ledger.pending("dryrun") == 0
    clock.advance(2 * DAY)
    gone = ledger.retain(KEEP, clock.now)
    assert (gone["actions"], gone["counters"], gone["runs"]) == (1, 1, 0)
    assert len(ledger.open_runs("dryrun", 9)) == 1
    with ledger._db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(outbox)).scalar() == 0


def test_a_members_state_that_nobody_touched_starts_anew(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(1), state={"sequence": StateChange(rows={"h1": (0, b"a")})}))
    clock.advance(11 * DAY)
    ledger.retain(KEEP, clock.now)
    assert ledger.member_state("sequence", ["h1"]) == {}


def test_a_reader_goes_only_with_its_partition_and_long_after(ledger: Ledger, clock: FakeClock) -> None:
    seen = [(one, "gone", place) for place, one in enumerate(events(5))]
    ledger.commit(batch(events(5), sightings=seen, interval=interval(0, 5, partition="gone"), reader=None))
    for partition in ("gone", "still-there", ""):
        ledger.put_reader(reader(5, partition=partition))
    deliver(ledger)
    present = {"src": {"still-there", ""}}
    clock.advance(29 * DAY)
    assert ledger.retain(KEEP, clock.now, present=present)["readers"] == 0
    clock.advance(2 * DAY)
    assert ledger.retain(KEEP, clock.now)["readers"] == 0
    assert ledger.retain(KEEP, clock.now, present={"other": {"x"}})["readers"] == 0
    assert ledger.retain(KEEP, clock.now, present=present)["readers"] == 1
    assert {one.partition for one in ledger.readers("src")} == {"still-there", ""}
    with ledger._db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(streams)).scalar_one() == 0


def test_a_reader_of_one_stretch_goes_once_it_is_through(ledger: Ledger, clock: FakeClock) -> None:
    done, busy = reader(5, purpose="backfill-0-5"), reader(5, purpose="repair", span_stop=9)
    for one in (done, busy, reader(5)):
        ledger.put_reader(one)
    assert ledger.retain(KEEP, clock.now)["readers"] == 1
    assert {one.purpose for one in ledger.readers("src")} == {"repair", "forward"}


def test_who_stops_waits_for_no_more_than_one_step(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(20)))
    deliver(ledger)
    clock.advance(11 * DAY)
    answers = iter([False, False, *[True] * 99])
    assert ledger.retain(KEEP, clock.now, stopping=lambda: next(answers)) == {"verdicts": 3}
    assert ledger.retain(KEEP, clock.now)["verdicts"] == 17


def test_so_many_of_the_newest_samples_stay_whatever_numbers_were_lost(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "SAMPLES", 3)
    said = shadow.Compared(said="benign", instead="malicious")
    samples = [
        shadow.Disagreement(
            event_id=one, champion="a/1", challenger="a/2", at=clock.now, compared=said,
            confidence=None, instead_confidence=None, passed=(), instead_passed=(),
        )
        for one in events(5)
    ]  # fmt: skip
    for upto in (2, 2, 2, 3):  # PostgreSQL burns a number for each that is there already
        ledger.record_shadow("a/1", "a/2", {}, samples[:upto])
    assert {one.event_id for one in ledger.shadow_samples(9)} == {one.event_id for one in samples[:3]}
    ledger.record_shadow("a/1", "a/2", {}, samples[3:])
    assert {one.event_id for one in ledger.shadow_samples(9)} == {one.event_id for one in samples[2:]}
