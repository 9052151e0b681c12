"""One transaction a batch: what is in it, what a second one changes, and who may write it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from connector.errors import LostLeaseError, TransientError
from connector.ledger import DeadLetter, Ledger, open_ledger
from connector.types import StateChange
from tests.ledger.make import (
    TTL,
    FakeClock,
    action,
    action_row,
    batch,
    event,
    events,
    interval,
    note_row,
    own_row,
    reader,
    verdict,
)


def letter(event_id: str, reason: str = "cannot be parsed") -> DeadLetter:
    return DeadLetter(subject=event_id, source="src", reason=reason, payload=b'{"raw": 1}', place="f:1")


def test_a_batch_writes_verdicts_outbox_sightings_interval_and_cursor(ledger: Ledger) -> None:
    ids = events(3)
    committed = ledger.commit(batch(ids, snapshots={ids[0]: b"{}"}))
    assert committed.inserted == set(ids)
    assert ledger.known([*ids, event("other")]) == set(ids)
    assert ledger.pending("siem") == 3
    assert ledger.reader("src", "q1", "", "forward") == reader(3)
    assert ledger.intervals("src", "q1", "") == [interval(0, 3, matched=3)]
    assert ledger.accounted("src", "", 0, 3) == 3
    assert ledger.snapshots(ids) == {ids[0]: b"{}"}
    assert {entry.event_id for entry in ledger.verdicts()} == set(ids)


def test_a_batch_that_comes_again_changes_nothing(ledger: Ledger) -> None:
    ids = events(5)
    again = batch(ids, snapshots={ids[0]: b"{}"}, dead=[letter(event("poison"))])
    ledger.commit(again)
    before = ledger.status()
    second = ledger.commit(again)
    assert (second.inserted, second.dead) == (frozenset(), frozenset())
    assert ledger.status() == before


def test_rows_hang_on_verdicts_that_were_really_inserted(ledger: Ledger) -> None:
    old, new = events(2)
    ledger.commit(batch([old], outbox=[]))
    rows = [own_row(old), own_row(new), note_row(old), note_row(new)]
    committed = ledger.commit(batch([old, new], outbox=rows, snapshots={old: b"1", new: b"2"}))
    assert committed.inserted == {new}
    claims = ledger.claim("siem", "w", 10, TTL)
    assert {claim.record_id for claim in claims} == {new, note_row(new).record_id}
    assert ledger.snapshots([old, new]) == {new: b"2"}


def test_a_later_poll_after_a_model_swap_keeps_the_first_verdict(ledger: Ledger) -> None:
    (one,) = events(1)
    ledger.commit(batch([one]))
    ledger.commit(batch([one], verdicts=[verdict(one, verdict="malicious")]))
    assert [entry.verdict for entry in ledger.verdicts()] == ["benign"]


def test_a_new_revision_is_a_second_verdict(ledger: Ledger) -> None:
    (one,) = events(1)
    ledger.commit(batch([one]))
    second = verdict(one, 2, verdict="malicious", supersedes=one)
    committed = ledger.commit(batch([one], verdicts=[second], outbox=[]))
    assert committed.inserted == {one}
    assert ledger.verdict(one) == second
    assert ledger.verdict(one, 1) == verdict(one)


def test_the_newest_verdicts_of_many_events_are_found_at_once(ledger: Ledger) -> None:
    one, two, three = events(3)
    ledger.commit(batch([one, two]))
    second = verdict(one, 2, verdict="malicious", supersedes=one)
    ledger.commit(batch([one], verdicts=[second], outbox=[]))
    assert ledger.newest([three, two, one, two]) == {one: second, two: verdict(two)}
    assert ledger.newest([]) == {}


def test_a_verdict_whose_id_is_not_derived_is_refused(ledger: Ledger) -> None:
    wrong = verdict(event(1), record_id=event(2))
    with pytest.raises(ValueError, match="is not revision 1"):
        ledger.commit(batch([event(1)], verdicts=[wrong]))
    assert ledger.known([event(1), event(2)]) == frozenset()


def test_an_event_gets_a_verdict_or_a_dead_letter_never_both(ledger: Ledger) -> None:
    judged, poison = events(2)
    ledger.commit(batch([judged]))
    committed = ledger.commit(batch([], dead=[letter(judged), letter(poison)]))
    assert committed.dead == {poison}
    assert [entry.subject for entry in ledger.dead_letters()] == [poison]
    assert ledger.known([poison]) == {poison}


def test_a_verdict_resolves_the_dead_letter_of_its_event(ledger: Ledger) -> None:
    (one,) = events(1)
    ledger.commit(batch([], dead=[letter(one)]))
    (dead,) = ledger.dead_letters()
    assert (dead.reason, dead.payload, dead.place) == ("cannot be parsed", b'{"raw": 1}', "f:1")
    assert ledger.replay([dead.id], "ana").push[0].subject == one
    assert ledger.known([one]) == frozenset()
    ledger.commit(batch([one]))
    assert ledger.dead_letters() == []
    assert ledger.dead_letters(resolved=True)[0].resolved_at is not None


def test_a_replayed_event_that_dies_again_waits_again(ledger: Ledger) -> None:
    (one,) = events(1)
    ledger.commit(batch([], dead=[letter(one)]))
    assert ledger.commit(batch([], dead=[letter(one, "again")])).dead == frozenset()
    ledger.replay([ledger.dead_letters()[0].id], "ana")
    assert ledger.commit(batch([], dead=[letter(one, "again")])).dead == {one}
    (dead,) = ledger.dead_letters()
    assert (dead.reason, dead.attempts, dead.replayed_at) == ("again", 2, None)
    assert ledger.known([one]) == {one}


def test_our_own_records_are_known_by_a_tombstone(ledger: Ledger) -> None:
    (one,) = events(1)
    ledger.commit(batch([], own=[one], sightings=[(one, "", 5)], interval=interval(0, 10)))
    assert ledger.known([one]) == {one}
    assert ledger.accounted("src", "", 0, 10) == 1
    assert ledger.commit(batch([one])).inserted == frozenset()


def test_an_attempt_is_on_record_before_the_batch_is_scored(ledger: Ledger, url: str, clock: FakeClock) -> None:
    lease = ledger.acquire("src", "w", TTL)
    begun = ledger.begin(lease, reader(7, token="t"))
    assert begun.attempts == 1
    other = open_ledger(url, clock)
    assert other.reader("src", "q1", "", "forward") == begun
    other.close()
    assert ledger.begin(lease, begun).attempts == 2


def test_a_stale_fence_writes_nothing(ledger: Ledger, clock: FakeClock) -> None:
    stale = ledger.acquire("src", "first", TTL)
    clock.advance(2 * TTL)
    fresh = ledger.acquire("src", "second", TTL)
    with pytest.raises(LostLeaseError):
        ledger.commit(batch(events(2), lease=stale))
    with pytest.raises(LostLeaseError):
        ledger.begin(stale, reader(1))
    assert ledger.known(events(2)) == frozenset()
    assert ledger.readers("src", "q1") == []
    assert ledger.commit(batch(events(2), lease=fresh)).inserted == set(events(2))


def test_an_expired_lease_that_nobody_took_still_writes(ledger: Ledger, clock: FakeClock) -> None:
    lease = ledger.acquire("src", "first", TTL)
    clock.advance(2 * TTL)
    assert ledger.commit(batch(events(1), lease=lease)).inserted == set(events(1))


def test_state_moves_with_its_batch_or_takes_the_batch_down(ledger: Ledger) -> None:
    first = {"sequence": StateChange(rows={"h1": (0, b"a"), "h2": (0, b"b")})}
    ledger.commit(batch(events(1), state=first))
    assert ledger.member_state("sequence", ["h1", "h2", "h3"]) == {"h1": (1, b"a"), "h2": (1, b"b")}
    ledger.commit(batch(events(1, 1), state={"sequence": StateChange(rows={"h1": (1, b"c")})}))
    for stale in ({"h1": (1, b"x")}, {"h1": (0, b"x")}, {"h9": (4, b"x")}, {"h1": (2, b"x"), "h2": (0, b"x")}):
        with pytest.raises(TransientError, match="sequence"):
            ledger.commit(batch(events(1, 2), start=2, state={"sequence": StateChange(rows=stale)}))
    assert ledger.member_state("sequence", ["h1", "h2", "h9"]) == {"h1": (2, b"c"), "h2": (1, b"b")}
    assert ledger.known(events(1, 2)) == frozenset()
    assert ledger.reader("src", "q1", "", "forward") == reader(1)


def test_an_action_key_is_queued_once_for_ever(ledger: Ledger) -> None:
    proposed = action("window")
    first, second, third = events(3)
    ledger.commit(
        batch([first, second], outbox=[action_row(proposed, cause=first), action_row(proposed, cause=second)])
    )
    assert ledger.pending("dryrun") == 1
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        admission.refuse(admission.rows[0], "silenced")
    ledger.commit(batch([third], outbox=[action_row(proposed, cause=third)]))
    assert ledger.pending("dryrun") == 0


def test_a_parked_row_is_a_dead_letter_with_replay(ledger: Ledger) -> None:
    ids = events(2)
    ledger.commit(batch(ids, outbox=[own_row(ids[0], parked="siem is full"), own_row(ids[1])]))
    assert ledger.pending("siem") == 1
    (dead,) = ledger.dead_letters(source="siem", kind="delivery")
    assert (dead.subject, dead.reason) == (ids[0], "siem is full")
    assert ledger.replay([dead.id], "ana").requeued == 1
    claims = ledger.claim("siem", "w", 10, TTL)
    assert {claim.record_id for claim in claims} == set(ids)
    ledger.settle("siem", [(claim, "delivered", "", None) for claim in claims])
    assert ledger.dead_letters() == []


@pytest.mark.parametrize("size", [1, 7, 300])
def test_a_commit_takes_the_same_number_of_statements_at_any_size(ledger: Ledger, size: int) -> None:
    ledger.commit(batch(events(2, 10_000), start=10_000))
    statements: list[str] = []
    engine = ledger._db._writer
    sa.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    ledger.commit(batch(events(size), snapshots={event(0): b"{}"}))
    assert len(statements) <= 16


def test_ids_must_be_derived(ledger: Ledger) -> None:
    if ledger._db.is_sqlite:
        with pytest.raises(ValueError, match="not a UUID"):
            ledger.known(["e1"])


def test_a_reader_of_another_query_starts_anew(ledger: Ledger) -> None:
    ledger.put_reader(reader(5))
    changed = reader(0, digest="q2", purpose="backfill-1", span_stop=9, token="t", complete=False)
    ledger.put_reader(changed)
    assert ledger.readers("src", "q1") == [reader(5)]
    assert ledger.readers("src", "q2") == [changed]
    assert len(ledger.readers("src")) == 2
    ledger.delete_reader(changed)
    assert ledger.delete_readers("src") == 1
    assert ledger.readers("src") == []


def test_a_full_disk_or_closed_server_is_transient(ledger: Ledger) -> None:
    with pytest.raises(TransientError, match="did not answer"), ledger._db.write():
        raise sa.exc.OperationalError("INSERT", {}, Exception("disk full"))
    assert ledger.commit(batch(events(1))).inserted == set(events(1))
