"""Admission: counted once, never against itself, and locked against everybody else."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta
from typing import Literal

import msgspec
import pytest

from connector.errors import TriagedError
from connector.ledger import Ledger, Renewal, open_ledger
from connector.types import RunRef
from tests.ledger.make import MINUTE, TTL, FakeClock, action, action_row, batch, events, note_row

SCOPES = ("cooldown:rule:host:h1", "rate:isolate")


def queue(ledger: Ledger, count: int, first: int = 0) -> list[str]:
    """Queues actions, each caused by an event of its own; returns their keys."""
    ids = events(count, first)
    actions = [action(f"{first}-{number}", cause=one) for number, one in enumerate(ids)]
    ledger.commit(batch(ids, start=first, outbox=[action_row(entry, cause=entry.cause) for entry in actions]))
    return [entry.key for entry in actions]


def test_an_action_counts_once_however_often_it_is_claimed(ledger: Ledger, clock: FakeClock) -> None:
    (key,) = queue(ledger, 1)
    for attempt in (1, 2, 3):
        with ledger.claiming("dryrun", "w", TTL, 10) as admission:
            (row,) = admission.rows
            assert (row.attempt, row.doubts) == (attempt, attempt - 1)
            assert admission.count("rate:isolate", clock.now - timedelta(days=1), key) == 0
            assert admission.last("rate:isolate", key) is None
            admission.run(row, SCOPES)
        clock.advance(TTL)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        assert (
            admission.count("rate:isolate", clock.now - timedelta(days=1), "00000000-0000-5000-8000-000000000000") == 1
        )


def test_others_count_from_the_given_time_on(ledger: Ledger, clock: FakeClock) -> None:
    first, second = queue(ledger, 2)
    began = clock.now
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        admission.run(admission.rows[0], SCOPES)
    clock.advance(MINUTE)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        other = second if admission.rows[0].record_id == second else first
        assert admission.last("cooldown:rule:host:h1", other) == began
        assert admission.count("rate:isolate", began, other) == 1
        assert admission.count("rate:isolate", began + timedelta(microseconds=1), other) == 0
        assert admission.count("rate:another", began, other) == 0


def test_an_action_that_comes_back_is_counted_when_it_may_act_at_last(ledger: Ledger, clock: FakeClock) -> None:
    first, second = queue(ledger, 2)
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        (row,) = admission.rows
        admission.run(row, SCOPES)
    ledger.settle("dryrun", [(row, "untried", "a switch was thrown", clock.now)])
    clock.advance(30 * MINUTE)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        admission.run(next(claim for claim in admission.rows if claim.record_id == row.record_id), SCOPES)
        other = second if row.record_id == first else first
        assert admission.count("rate:isolate", clock.now - MINUTE, other) == 1
        assert admission.last("cooldown:rule:host:h1", other) == clock.now


def test_a_waiting_action_comes_back_with_no_attempt_counted(ledger: Ledger, clock: FakeClock) -> None:
    queue(ledger, 1)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        admission.wait(admission.rows[0], clock.now + MINUTE, "kill switch")
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        assert admission.rows == ()
    clock.advance(MINUTE)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        (row,) = admission.rows
        assert (row.attempt, row.doubts) == (1, 0)


def test_doubt_survives_waiting(ledger: Ledger, clock: FakeClock) -> None:
    queue(ledger, 1)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        admission.run(admission.rows[0], SCOPES)
    clock.advance(TTL)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        admission.wait(admission.rows[0], clock.now, "kill switch")
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        assert admission.rows[0].doubts == 1


def test_a_refusal_is_final_and_recorded(ledger: Ledger) -> None:
    (key,) = queue(ledger, 1)
    (cause,) = events(1)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        admission.refuse(admission.rows[0], "too old", [note_row(cause)])
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        assert admission.rows == ()
    row = ledger.run_of(key)
    assert row is not None
    assert (row.state, row.detail, row.run_id) == ("refused", "too old", None)
    assert ledger.pending("siem") == 1


def told(ledger: Ledger) -> list[tuple[str, str]]:
    return [(entry.actor, entry.what) for entry in ledger.audit_entries()]


def test_the_audit_log_tells_once_of_a_cool_down_and_of_each_other_refusal(ledger: Ledger) -> None:
    keys = queue(ledger, 7)
    tooth = {key: f"cool-down: rests until {number}" for number, key in enumerate(keys)}
    tooth |= {keys[2]: "silenced (*)", keys[3]: "silenced (*)"}
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        for number, row in enumerate(admission.rows):
            if number == 4:
                admission.run(row, SCOPES)
            else:
                admission.refuse(row, tooth[row.record_id])
    refused, admitted = ("policy", "action refused"), ("policy", "action admitted")
    assert told(ledger) == [refused, refused, refused, admitted, refused]
    assert [ledger.run_of(key).state for key in keys if key != keys[4]] == ["refused"] * 6


def test_actions_that_are_parked_are_told_by_rule_and_entity_and_a_replay_with_its_person(ledger: Ledger) -> None:
    ids = events(3)
    actions = [action(n, cause=one, entity_key=f"host:h{n // 2}") for n, one in enumerate(ids)]
    rows = [msgspec.structs.replace(action_row(a, cause=a.cause), parked="full") for a in actions]
    for _ in range(2):
        ledger.commit(batch(ids, outbox=rows))
    details = [json.loads(entry.detail) for entry in ledger.audit_entries()]
    assert [(d["key"], d["count"]) for d in details] == [(actions[0].key, 2), (actions[2].key, 1)]
    ledger.replay([letter.id for letter in ledger.dead_letters()], "ana")
    assert told(ledger) == [("policy", "action parked")] * 2 + [("ana", "action replayed")] * 3


def test_an_action_that_cannot_be_read_is_told_and_so_is_its_replay(ledger: Ledger) -> None:
    (one,) = events(1)
    broken = msgspec.structs.replace(action_row(action(1, cause=one), cause=one), payload=b"{")
    ledger.commit(batch([one], outbox=[broken]))
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        assert admission.rows == ()
    ledger.replay([letter.id for letter in ledger.dead_letters()], "ana")
    assert told(ledger) == [("policy", "action unreadable"), ("ana", "action replayed")]
    assert {json.loads(entry.detail)["key"] for entry in ledger.audit_entries()} == {broken.record_id}


def test_a_refusal_ends_the_dead_letter_of_a_replayed_action(ledger: Ledger, clock: FakeClock) -> None:
    queue(ledger, 1)
    (claim,) = ledger.claim("dryrun", "w", 1, TTL)
    ledger.settle("dryrun", [(claim, "rejected", "no such playbook", None)])
    (letter,) = ledger.dead_letters()
    ledger.replay([letter.id], "ana")
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        admission.refuse(admission.rows[0], "too old")
    assert ledger.dead_letters() == []


@pytest.mark.parametrize(("outcome", "counted"), [("rejected", 0), ("dead", 1)])
def test_an_action_that_certainly_did_not_run_is_not_counted(
    ledger: Ledger, clock: FakeClock, outcome: Literal["rejected", "dead"], counted: int
) -> None:
    queue(ledger, 2)
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        (row,) = admission.rows
        admission.run(row, SCOPES)
    ledger.settle("dryrun", [(row, outcome, "why", None)])
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        assert admission.count("rate:isolate", clock.now - MINUTE, admission.rows[0].record_id) == counted


def test_what_is_refused_after_it_was_counted_is_not_counted(ledger: Ledger, clock: FakeClock) -> None:
    queue(ledger, 2)
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        (row,) = admission.rows
        admission.run(row, SCOPES)
    ledger.settle("dryrun", [(row, "untried", "the kill switch is on", clock.now)])
    with ledger.claiming("dryrun", "w", TTL, 2) as admission:
        other = next(claim for claim in admission.rows if claim.record_id != row.record_id)
        assert admission.count("rate:isolate", clock.now - MINUTE, other.record_id) == 1
        admission.refuse(next(claim for claim in admission.rows if claim.record_id == row.record_id), "too old")
        assert admission.count("rate:isolate", clock.now - MINUTE, other.record_id) == 0


COOLING = SCOPES[0]


def acted(ledger: Ledger) -> str:
    """An action that was let through now; what it cools down knows no other."""
    (key,) = queue(ledger, 1)
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        admission.run(admission.rows[0], SCOPES)
    return key


def last(ledger: Ledger, scope: str = COOLING) -> datetime | None:
    with ledger.claiming("nobody", "w", TTL, 1) as admission:
        return admission.last(scope, "00000000-0000-5000-8000-000000000000")


def renew(ledger: Ledger, number: int, window: timedelta = 2 * MINUTE, **more: str) -> None:
    (cause,) = events(1, first=number)
    again = Renewal(cause=more.get("cause", cause), scope=COOLING, window=window)
    ledger.commit(batch([cause], start=number, renewals=[again]))


def test_a_cool_down_begins_anew_only_while_it_lasts(ledger: Ledger, clock: FakeClock) -> None:
    acted(ledger)
    began = clock.now
    clock.advance(MINUTE)
    renew(ledger, 1)
    assert last(ledger) == clock.now
    assert last(ledger, "rate:isolate") == began
    clock.advance(2 * MINUTE)
    renew(ledger, 2)
    assert last(ledger) == clock.now - 2 * MINUTE


def test_a_batch_that_is_read_again_renews_nothing(ledger: Ledger, clock: FakeClock) -> None:
    acted(ledger)
    clock.advance(MINUTE)
    renew(ledger, 1)
    renewed = clock.now
    clock.advance(MINUTE)
    renew(ledger, 1)
    renew(ledger, 2, cause="a verdict that is not in this batch")
    assert last(ledger) == renewed


def test_what_never_acted_has_no_cool_down_to_renew(ledger: Ledger) -> None:
    renew(ledger, 1)
    assert last(ledger) is None


def test_a_grouped_action_is_queued_once_and_counts_each_verdict_once(ledger: Ledger) -> None:
    ids = events(3)
    grouped = [action("group", cause=one) for one in ids]
    rows = [msgspec.structs.replace(action_row(entry, cause=entry.cause), grouped=True) for entry in grouped]
    for again in range(2):
        for part in ([0, 1], [2]):
            chosen = [ids[number] for number in part]
            ledger.commit(batch(chosen, start=part[0] + 10 * again, outbox=[rows[number] for number in part]))
    (key,) = {entry.key for entry in grouped}
    assert ledger.joined([key, "another"]) == {key: 3}
    ((waiting, _),) = ledger.waiting()
    assert waiting.cause == ids[0]


def test_replicas_that_queue_the_same_groups_in_opposite_orders_never_deadlock(
    ledger: Ledger, url: str, clock: FakeClock
) -> None:
    other = open_ledger(url, clock)
    start = threading.Barrier(2)
    failed: list[Exception] = []

    def replica(mine: Ledger, number: int) -> None:
        try:
            for turn in range(2):
                (cause,) = events(1, 100 * number + turn)
                rows = [
                    msgspec.structs.replace(action_row(action(f"{turn}-{n}"), cause=cause), grouped=True)
                    for n in range(300)
                ]
                # what is parked is inserted row by row
                rows = [msgspec.structs.replace(row, parked="full" if turn % 2 else "") for row in rows]
                start.wait(30)
                mine.commit(
                    batch([cause], reader=None, interval=None, sightings=[], outbox=rows[:: 1 if number else -1])
                )
        except (TriagedError, threading.BrokenBarrierError) as error:
            failed.append(error)
            start.abort()

    threads = [threading.Thread(target=replica, args=pair) for pair in ((ledger, 0), (other, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    other.close()
    assert failed == []


def test_a_row_that_nobody_decided_stays_as_it_was(ledger: Ledger) -> None:
    queue(ledger, 1)
    for _ in range(2):
        with ledger.claiming("dryrun", "w", TTL, 10) as admission:
            (row,) = admission.rows
            assert (row.attempt, row.doubts) == (1, 0)


def test_an_exception_undoes_the_whole_admission(ledger: Ledger, clock: FakeClock) -> None:
    keys = queue(ledger, 2)

    def fails() -> None:
        with ledger.claiming("dryrun", "w", TTL, 10) as admission:
            admission.run(admission.rows[0], SCOPES)
            admission.refuse(admission.rows[1], "no")
            raise KeyError("a bug in the policy")

    with pytest.raises(KeyError):
        fails()
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        assert {row.record_id for row in admission.rows} == set(keys)
        assert admission.count("rate:isolate", clock.now - MINUTE, keys[0]) == 0


def test_writing_inside_an_admission_fails_instead_of_waiting_for_itself(ledger: Ledger) -> None:
    with ledger.claiming("dryrun", "w", TTL, 10), pytest.raises(RuntimeError, match="inside an open transaction"):
        ledger.set_switch("kill", on=True, who="ana")
    ledger.set_switch("kill", on=True, who="ana")


def test_an_admitted_claim_is_settled_by_its_fence(ledger: Ledger, clock: FakeClock) -> None:
    queue(ledger, 1)
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        (stale,) = admission.rows
        admission.run(stale, SCOPES)
    clock.advance(TTL)
    with ledger.claiming("dryrun", "v", TTL, 10) as admission:
        (fresh,) = admission.rows
        admission.run(fresh, SCOPES)
    assert not ledger.start_run(stale, RunRef(soar="dryrun", run_id="a"))
    assert ledger.start_run(fresh, RunRef(soar="dryrun", run_id="b"))


def test_switches_silences_and_approvals_are_read_inside(ledger: Ledger, clock: FakeClock) -> None:
    (key,) = queue(ledger, 1)
    ledger.set_switch("kill", on=True, who="ana")
    ledger.add_silence("rule:rule", clock.now + MINUTE, "ana", "maintenance")
    ledger.set_approval(key, "approved", "ben", reason="seen")
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        assert admission.switches() == {"kill": True}
        assert [entry.scope for entry in admission.silences(clock.now)] == ["rule:rule"]
        assert admission.silences(clock.now + MINUTE) == ()
        approval = admission.approval(key)
        assert approval is not None
        assert (approval.state, approval.who, approval.reason) == ("approved", "ben", "seen")


def test_a_cap_holds_while_replicas_race(ledger: Ledger, url: str, clock: FakeClock) -> None:
    queue(ledger, 12)
    other = open_ledger(url, clock)

    def replica(mine: Ledger, name: str) -> None:
        for _ in range(12):
            with mine.claiming("dryrun", name, TTL, 1) as admission:
                for row in admission.rows:
                    if admission.count("rate:isolate", admission.now - MINUTE, row.record_id) < 3:
                        admission.run(row, SCOPES)
                    else:
                        admission.wait(row, admission.now + MINUTE, "full")

    threads = [threading.Thread(target=replica, args=(one, name)) for one, name in ((ledger, "w"), (other, "v"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    with ledger.claiming("nobody", "w", TTL, 1) as admission:
        assert admission.count("rate:isolate", clock.now, "00000000-0000-5000-8000-000000000000") == 3
    assert len(ledger.waiting()) == 12
    other.close()


def test_a_switch_waits_for_an_open_admission(ledger: Ledger, url: str, clock: FakeClock) -> None:
    queue(ledger, 1)
    other = open_ledger(url, clock)
    thrown = threading.Thread(target=other.set_switch, args=("kill",), kwargs={"on": True, "who": "ana"})
    with ledger.claiming("dryrun", "w", TTL, 10) as admission:
        thrown.start()
        thrown.join(timeout=0.3)
        assert thrown.is_alive()
        assert admission.switches() == {}
    thrown.join(timeout=30)
    assert ledger.switches() == {"kill": True}
    other.close()


def test_two_admissions_on_one_ledger_come_one_after_the_other(ledger: Ledger, url: str, clock: FakeClock) -> None:
    queue(ledger, 2)
    other = open_ledger(url, clock)
    seen: list[int] = []

    def admit() -> None:
        with other.claiming("dryrun", "v", TTL, 1) as admission:
            seen.append(admission.count("rate:isolate", began, admission.rows[0].record_id))
            moments.append(admission.now)

    began, moments = clock.now, []
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        thread = threading.Thread(target=admit)
        thread.start()
        thread.join(timeout=0.3)
        assert seen == []
        admission.run(admission.rows[0], SCOPES)
        clock.advance(MINUTE)
    thread.join(timeout=30)
    assert seen == [1]
    assert moments == [began + MINUTE]  # read after the wait: from an earlier moment it would look back too little
    other.close()
