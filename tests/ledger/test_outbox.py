"""Claims: who holds a row, when it comes back, and who may settle it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
import sqlalchemy as sa

from connector.ledger import Ledger
from connector.ledger.schema import outbox, verdicts
from connector.types import Note, Verdict
from tests.ledger.make import MINUTE, TTL, FakeClock, action, action_row, batch, event, events, note_row, own_row


def test_a_claim_carries_the_verdict_that_was_stored_once(ledger: Ledger) -> None:
    ids = events(3)
    ledger.commit(batch(ids, outbox=[own_row(one, payload=b"a copy that is not kept") for one in ids]))
    claims = ledger.claim("siem", "w", 10, TTL)
    assert [claim.record_id for claim in claims] == ids
    assert all(isinstance(claim.record, Verdict) and claim.record.event_id == claim.record_id for claim in claims)
    assert {(claim.attempt, claim.doubts, claim.fence) for claim in claims} == {(1, 0, 1)}
    with ledger._db.read() as tx:
        assert tx.execute(sa.select(sa.func.count(outbox.c.payload))).scalar() == 0


def test_a_claimed_row_is_not_claimed_again_while_it_is_held(ledger: Ledger) -> None:
    ledger.commit(batch(events(3)))
    assert len(ledger.claim("siem", "a", 2, TTL)) == 2
    assert len(ledger.claim("siem", "b", 2, TTL)) == 1
    assert ledger.claim("other", "b", 2, TTL) == []
    assert ledger.pending("siem") == 3


def test_a_claim_that_expired_while_open_comes_back_doubtful(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(1)))
    ledger.claim("siem", "a", 1, TTL)
    clock.advance(TTL)
    (again,) = ledger.claim("siem", "b", 1, TTL)
    assert (again.attempt, again.doubts) == (2, 1)


def test_a_lost_claim_settles_nothing_and_starts_no_follow_up(ledger: Ledger, clock: FakeClock) -> None:
    lost_one, kept_one = events(2)
    ledger.commit(batch([lost_one, kept_one]))
    first = {claim.record_id: claim for claim in ledger.claim("siem", "a", 2, TTL)}
    clock.advance(TTL)
    ledger.claim("siem", "b", 1, TTL)
    settled = ledger.settle(
        "siem",
        [(claim, "delivered", "", None) for claim in first.values()],
        [note_row(lost_one), note_row(kept_one)],
    )
    assert settled == {first[kept_one].id}
    assert ledger.pending("siem") == 2
    clock.advance(TTL)
    assert {claim.record_id for claim in ledger.claim("siem", "c", 9, TTL)} == {lost_one, note_row(kept_one).record_id}


def test_a_retry_waits_for_its_time_and_is_not_doubtful(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(1)))
    (claim,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(claim, "retry", "busy", clock.now + MINUTE)])
    assert ledger.claim("siem", "a", 1, TTL) == []
    clock.advance(MINUTE)
    (again,) = ledger.claim("siem", "a", 1, TTL)
    assert (again.attempt, again.doubts) == (2, 0)


def test_an_attempt_that_sent_nothing_does_not_count(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(1)))
    (claim,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(claim, "untried", "down", clock.now + MINUTE)])
    assert ledger.claim("siem", "a", 1, TTL) == []
    clock.advance(MINUTE)
    (again,) = ledger.claim("siem", "a", 1, TTL)
    assert (again.attempt, again.doubts, again.fence) == (1, 0, 2)


def test_an_unknown_outcome_stays_doubtful_through_later_retries(ledger: Ledger, clock: FakeClock) -> None:
    ledger.commit(batch(events(1)))
    (claim,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(claim, "unknown", "answer lost", clock.now)])
    (again,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(again, "retry", "busy", clock.now)])
    (third,) = ledger.claim("siem", "a", 1, TTL)
    assert third.doubts == 1


@pytest.mark.parametrize(
    ("outcome", "reason", "told"),
    [
        ("rejected", "mapping conflict", "mapping conflict"),
        ("dead", "too many attempts", "too many attempts"),
        ("unknown", "answer lost", "outcome unknown: answer lost"),
    ],
)
def test_what_cannot_be_delivered_is_a_dead_letter_that_can_be_replayed(
    ledger: Ledger, outcome: str, reason: str, told: str
) -> None:
    (one,) = events(1)
    ledger.commit(batch([one]))
    (claim,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(claim, outcome, reason, None)])  # type: ignore[list-item]
    assert ledger.pending("siem") == 0
    (dead,) = ledger.dead_letters()
    assert (dead.kind, dead.subject, dead.source, dead.reason) == ("delivery", one, "siem", told)
    replayed = ledger.replay([dead.id], "ana")
    assert (replayed.push, replayed.requeued) == ((), 1)
    (again,) = ledger.claim("siem", "a", 1, TTL)
    assert again.attempt == 1
    ledger.settle("siem", [(again, "rejected", "again", None)])
    (dead,) = ledger.dead_letters()
    assert (dead.reason, dead.attempts) == ("again", 2)


def test_a_delivered_record_leaves_the_outbox(ledger: Ledger) -> None:
    ledger.commit(batch(events(2)))
    ledger.settle("siem", [(claim, "delivered", "", None) for claim in ledger.claim("siem", "a", 2, TTL)])
    with ledger._db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(outbox)).scalar() == 0


def test_an_old_claim_never_settles_a_new_row(ledger: Ledger) -> None:
    ledger.commit(batch(events(1)))
    (old,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(old, "delivered", "", None)])
    ledger.commit(batch(events(1, 1), start=1))
    ledger.claim("siem", "b", 1, TTL)
    assert ledger.settle("siem", [(old, "delivered", "", None)]) == frozenset()
    assert ledger.pending("siem") == 1


def test_a_follow_up_is_a_record_of_its_own(ledger: Ledger) -> None:
    (one,) = events(1)
    ledger.commit(batch([one]))
    (claim,) = ledger.claim("siem", "a", 1, TTL)
    ledger.settle("siem", [(claim, "delivered", "", None)], [note_row(one), note_row(one)])
    (note,) = ledger.claim("siem", "a", 9, TTL)
    assert isinstance(note.record, Note)


def test_a_row_whose_record_cannot_be_read_is_a_dead_letter_and_blocks_nobody(ledger: Ledger) -> None:
    bad, good = events(2)
    broken = msgspec.structs.replace(note_row(bad), payload=b"{")
    ledger.commit(batch([bad, good], outbox=[own_row(bad), broken, own_row(good)]))
    with ledger._db.write() as tx:
        tx.execute(sa.delete(verdicts).where(verdicts.c.record_id == bad))
    assert [claim.record_id for claim in ledger.claim("siem", "a", 9, TTL)] == [good]
    assert (
        sorted(dead.reason.partition(":")[0] for dead in ledger.dead_letters())
        == ["the stored record cannot be read"] * 2
    )


def test_rows_are_given_in_the_order_in_which_they_became_due(ledger: Ledger, clock: FakeClock) -> None:
    first, second, third = events(3)
    later = clock.now + timedelta(seconds=1)
    rows = [own_row(first, available_at=later), own_row(second), own_row(third)]
    ledger.commit(batch([first, second, third], outbox=rows))
    clock.advance(MINUTE)
    assert [claim.record_id for claim in ledger.claim("siem", "a", 9, TTL)] == [second, third, first]


def test_a_started_run_is_written_with_what_follows_from_it(ledger: Ledger, clock: FakeClock) -> None:
    from connector.types import RunRef, RunStatus

    (one,) = events(1)
    proposed = action(1, cause=one)
    ledger.commit(batch([one], outbox=[action_row(proposed, cause=one)]))
    (claim,) = ledger.claim("dryrun", "a", 1, TTL)
    assert ledger.start_run(claim, RunRef(soar="dryrun", run_id="r1"), [note_row(one, "started")])
    assert not ledger.start_run(claim, RunRef(soar="dryrun", run_id="r2"), [note_row(one, "twice")])
    (run,) = ledger.open_runs("dryrun", 10)
    assert (run.action, run.ref.run_id, run.started_at) == (proposed, "r1", clock.now)
    status = RunStatus(
        record_id=event("status"), cause=one, action_key=proposed.key, playbook="isolate", state="running",
        detail="step 1", at=clock.now,
    )  # fmt: skip
    assert ledger.finish_run(status)
    done = msgspec.structs.replace(status, state="succeeded", detail="isolated")
    assert ledger.finish_run(done, [note_row(one, "done")])
    assert not ledger.finish_run(done, [note_row(one, "told twice")])
    assert ledger.open_runs("dryrun", 10) == []
    row = ledger.run_of(proposed.key)
    assert row is not None
    assert (row.state, row.detail, row.run_id) == ("succeeded", "isolated", "r1")
    texts = {claim.record.text for claim in ledger.claim("siem", "a", 9, TTL) if isinstance(claim.record, Note)}
    assert texts == {"started", "done"}


def test_runs_that_were_looked_at_longest_ago_come_first(ledger: Ledger, clock: FakeClock) -> None:
    from connector.types import RunRef, RunStatus

    ids = events(2)
    actions = [action(number, cause=one) for number, one in enumerate(ids)]
    ledger.commit(batch(ids, outbox=[action_row(entry, cause=entry.cause) for entry in actions]))
    for claim in ledger.claim("dryrun", "a", 2, TTL):
        ledger.start_run(claim, RunRef(soar="dryrun", run_id=claim.record_id))
    clock.advance(MINUTE)
    (first,) = ledger.open_runs("dryrun", 1)
    ledger.finish_run(
        RunStatus(
            record_id=event("s"),
            cause=first.action.cause,
            action_key=first.action.key,
            playbook="isolate",
            state="running",
            detail="",
            at=clock.now,
        )
    )
    (other,) = ledger.open_runs("dryrun", 1)
    assert other.action.key != first.action.key
