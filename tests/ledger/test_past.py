"""The past is read in its order, within its bounds, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.ledger import Commit, Ledger, past
from connector.types import DispositionChange
from tests.ledger.make import MINUTE, TTL, FakeClock, action, action_row, event, verdict


def decide(ledger: Ledger, clock: FakeClock, *numbers: int) -> None:
    """Verdicts on these events, a minute apart."""
    for number in numbers:
        ledger.commit(Commit(source="s", digest="", verdicts=[verdict(event(number))]))
        clock.advance(MINUTE)


def test_verdicts_come_oldest_first_from_a_time_on_and_up_to_another(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "_PAGE", 3)
    begin = clock.now
    decide(ledger, clock, *range(20))
    for first, stop in ((0, 20), (5, 12), (19, 20), (7, 7), (-9, 2)):
        within = ledger.verdicts_in(begin + first * MINUTE, begin + stop * MINUTE)
        wanted = [(begin + n * MINUTE, event(n)) for n in range(max(first, 0), stop)]
        assert [(at, one.event_id) for at, one in within] == wanted


def test_an_empty_ledger_has_no_past(ledger: Ledger, clock: FakeClock) -> None:
    begin, end = clock.now - TTL, clock.now + TTL
    assert list(ledger.verdicts_in(begin, end)) == []
    assert (ledger.actions_queued(begin, end), ledger.switchings(), ledger.past_silences()) == (0, [], [])
    assert (ledger.decided_by_analysts(), ledger.past_actions("dryrun", [action(1).key])) == ({}, {})


def test_what_became_of_actions_is_told_by_key_and_number(ledger: Ledger, clock: FakeClock) -> None:
    actions = [action(number) for number in range(3)]
    verdicts = [verdict(event(number)) for number in range(3)]
    rows = [action_row(one) for one in actions]
    ledger.commit(Commit(source="s", digest="", verdicts=verdicts, outbox=rows))
    with ledger.claiming("dryrun", "w", TTL, 3) as admission:
        first, second, third = admission.rows
        admission.run(first, ["rate:p"])
        admission.refuse(second, "a silence")
        admission.wait(third, clock.now + MINUTE, "rate cap")
    (counted,) = ledger.counted_in(clock.now, clock.now + TTL)
    assert (counted.scope, counted.key, counted.at) == ("rate:p", first.record_id, clock.now)
    assert list(ledger.counted_in(clock.now - TTL, clock.now)) == []
    ledger.settle("dryrun", [(first, "rejected", "no such playbook", None)])
    told = ledger.past_actions("dryrun", [one.key for one in actions])
    states = [(told[claim.record_id].state, told[claim.record_id].reason) for claim in (second, third)]
    assert states == [("refused", "a silence"), ("waiting", "rate cap")]
    assert told[first.record_id].state == "failed"
    assert sorted(told, key=lambda key: told[key].number) == [one.key for one in actions]
    assert ledger.actions_queued(clock.now, clock.now + TTL) == 3
    assert ledger.past_actions("elsewhere", told) == {}


def test_what_people_set_is_told_with_its_beginning_and_its_end(ledger: Ledger, clock: FakeClock) -> None:
    begin = clock.now
    ledger.set_switch("kill", on=True, who="ana")
    silence = ledger.add_silence("*", begin + timedelta(hours=1), "ben", "noisy")
    clock.advance(MINUTE)
    ledger.set_switch("kill", on=False, who="ana")
    ledger.end_silence(silence.id, "ben")
    assert [(one.on, one.at) for one in ledger.switchings()] == [(True, begin), (False, clock.now)]
    assert [(one.since, one.silence.until) for one in ledger.past_silences()] == [(begin, clock.now)]


def test_analysts_last_word_counts_and_a_machines_never(
    ledger: Ledger, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "_PAGE", 2)

    def said(alert: str, disposition: str | None, minutes: int, *ids: str, machine: bool = False) -> DispositionChange:
        at = clock.now + minutes * MINUTE
        more = {"changed_at": at, "observed_at": at, "machine": machine, "event_ids": ids}
        return DispositionChange(alert_id=alert, status="closed", disposition=disposition, **more)

    changes = [
        said("a", "false_positive", 1, "e1", "e2"),
        said("a", "true_positive", 2, "e1", "e2"),
        said("b", "true_positive", 1, "e3"),
        said("b", None, 2, "e3"),
        said("c", "true_positive", 1, "e4", machine=True),
        said("d", "benign_positive", 3, "e2"),
    ]
    ledger.record_dispositions("h", changes, None)
    assert ledger.decided_by_analysts() == {"e1": "true_positive", "e2": "benign_positive"}


def test_looking_reads_what_an_admission_would_and_leaves_nothing(ledger: Ledger, clock: FakeClock) -> None:
    ledger.set_switch("kill", on=True, who="ana")
    ledger.set_approval(action(1).key, "approved", "ana")
    with ledger.looking() as books:
        assert (books.now, books.switches(), books.rows) == (clock.now, {"kill": True}, ())
        assert books.approval(action(1).key).state == "approved"
        assert (books.last("rate:p", action(1).key), books.count("rate:p", clock.now - TTL, action(1).key)) == (None, 0)
