"""Promise 2: records reach their target at least once, each with its own outcome, and nothing is dropped silently."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.errors import ConfigError, PermanentError, TransientError
from connector.identity import event_id
from connector.pipeline.deliver import LONGEST_WAIT, backoff
from connector.types import Delivery

SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning"}


def filled(house, count=10, **options):
    made = house(source=SOURCE, **options)
    made.put(*(f"{n}.exe" for n in range(count)))
    made.run(60)
    return made


def settle(house, minutes=30):
    for _ in range(minutes * 4):
        house.clock.advance(15)
        house.deliver.drain()


def test_a_rejected_record_is_a_dead_letter_with_the_servers_reason_and_the_rest_arrives(house):
    house = filled(house)
    house.siem.answer_write(event_id("lab", "3.exe"), Delivery(outcome="rejected", reason="mapping"))
    settle(house, 1)
    assert len(house.verdicts()) == 9
    assert [letter.reason for letter in house.ledger.dead_letters()] == ["mapping"]


def test_a_call_that_fails_as_a_whole_is_made_again(house):
    house = filled(house)
    house.siem.faults.add("write", times=4)
    house.siem.faults.add("write", error=lambda: TransientError("cut off", sent=True))
    settle(house)
    assert len(house.verdicts()) == 10
    assert house.ledger.pending("siem") == 0


def test_a_call_that_is_refused_as_a_whole_is_cut_until_the_culprit_is_alone(house):
    house = filled(house, count=16)
    real = house.deliver.writer.write
    bad = event_id("lab", "5.exe")

    def write(records):
        if any(record.record_id == bad for record in records):
            raise PermanentError("too large")
        return real(records)

    house.deliver.writer.write = write
    settle(house, 1)
    assert len(house.verdicts()) == 15
    assert [letter.subject for letter in house.ledger.dead_letters()] == [bad]


def test_an_unknown_outcome_is_sent_again_under_the_same_id(house):
    house = filled(house, count=1)
    record = event_id("lab", "0.exe")
    house.siem.answer_write(record, Delivery(outcome="unknown"), takes_effect=True)
    settle(house, 2)
    assert house.siem.deliveries[record] == 2
    assert house.verdicts() == {"0.exe": 1}


def test_a_record_that_never_arrives_ends_as_a_dead_letter_that_can_be_replayed(house):
    house = filled(house, count=1, target={"max_attempts": 3})
    house.siem.answer_write(event_id("lab", "0.exe"), Delivery(outcome="retry", reason="busy"), times=3)
    settle(house)
    (letter,) = house.ledger.dead_letters()
    assert house.verdicts() == {}
    house.ledger.replay([letter.id], "ana")
    settle(house, 1)
    assert house.verdicts() == {"0.exe": 1}
    assert house.ledger.dead_letters() == []


def test_an_outage_of_hours_kills_no_record_and_ends_by_itself(house):
    house = filled(house, count=20, target={"max_attempts": 2, "batch": 8})
    house.siem.faults.add("write", times=10_000)
    settle(house, 180)
    assert house.ledger.dead_letters() == []
    house.siem.faults._waiting.clear()
    settle(house, 10)
    assert len(house.verdicts()) == 20


def test_a_target_that_is_down_is_asked_once_a_drain_and_ever_more_seldom(house):
    house = filled(house, count=20, target={"batch": 2})
    house.siem.faults.add("write", times=1000)
    calls = []
    real = house.deliver.writer.write
    house.deliver.writer.write = lambda records: calls.append(len(records)) or real(records)
    house.deliver.drain()
    assert len(calls) == 1
    settle(house, 60)
    assert len(calls) < 30


def test_a_record_that_breaks_every_call_is_left_behind_by_the_others(house):
    house = filled(house, count=16)
    bad = event_id("lab", "5.exe")
    real = house.deliver.writer.write

    def write(records):
        if any(record.record_id == bad for record in records):
            raise TransientError("timed out", sent=True)
        return real(records)

    house.deliver.writer.write = write
    settle(house, 60)
    assert len(house.verdicts()) == 15
    assert house.ledger.pending("siem") == 1


def test_a_target_that_refuses_us_is_told_and_counts_against_no_record(house):
    house = filled(house, target={"max_attempts": 1})
    house.siem.faults.add("write", error=lambda: ConfigError("the token has expired"))
    with pytest.raises(ConfigError):
        house.deliver.drain()
    settle(house, 1)
    assert len(house.verdicts()) == 10


@pytest.mark.parametrize("bug", ["raises", "answers too little"])
def test_a_record_on_which_the_writer_has_a_bug_dies_alone(house, bug):
    house = filled(house, target={"max_attempts": 5})
    bad = event_id("lab", "5.exe")
    real = house.deliver.writer.write

    def write(records):
        if any(record.record_id == bad for record in records):
            if bug == "raises":
                raise KeyError("a field that nobody expected")
            return real(records[:-1]) if len(records) > 1 else []
        return real(records)

    house.deliver.writer.write = write
    for _ in range(12):
        house.clock.advance(61)
        try:
            house.deliver.drain()
        except (KeyError, ValueError):
            continue
    assert [letter.subject for letter in house.ledger.dead_letters()] == [bad]
    assert len(house.verdicts()) >= 9
    assert house.ledger.pending("siem") == 0


def test_waits_double_up_to_a_limit_and_differ():
    assert backoff(1) < backoff(4) < backoff(8)
    assert max(backoff(n) for n in range(1, 60)) <= LONGEST_WAIT
    assert len({backoff(5) for _ in range(20)}) > 10
