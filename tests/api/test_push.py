"""Pushed events: in the ledger once when the answer is 202, however often they are sent, and known to polls."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from connector import identity
from tests.api.house import event, opened


def test_a_202_means_that_every_event_is_in_the_ledger(house):
    answer = house.push({"id": "a", "data": event(1)}, {"key": "b", "data": "a line of text"})
    assert answer.status == 202
    told = answer.json
    assert (told["taken"], told["verdicts"], told["known"], told["dead_letters"]) == (2, 2, 0, 0)
    assert all(house.app.ledger.verdict(event_id) for event_id in told["ids"])


def test_an_event_is_known_by_its_own_identity_to_polls_and_inlets_of_its_deployment(house):
    answer = house.push({"id": "main~1~2", "index": "main", "data": event(1)})
    assert answer.json["ids"] == [identity.event_id("lab", "main~1~2")]
    verdict = house.app.ledger.verdict(answer.json["ids"][0])
    assert (verdict.source.siem, verdict.source.index, verdict.source.id) == ("lab", "main", "main~1~2")


@pytest.mark.parametrize("field", ["id", "key"])
def test_the_same_event_sent_again_is_one_event(house, field):
    first = house.push({field: "x", "data": event(1)})
    again = house.push({field: "x", "data": event(1)}, {field: "x", "data": event(2)})
    assert (again.json["verdicts"], again.json["known"]) == (0, 2)
    assert again.json["ids"] == first.json["ids"] * 2
    assert house.stored() == 1


def test_a_request_with_an_idempotency_key_may_be_sent_again_whole(house):
    events = [{"data": event(n)} for n in range(5)]
    first, again = (house.push(*events, **{"Idempotency-Key": "request-1"}) for _ in range(2))
    assert (first.json["verdicts"], again.json["verdicts"]) == (5, 0)
    assert first.json["ids"] == again.json["ids"]
    assert house.stored() == 5


def test_keys_of_two_clients_never_meet(house):
    house.push({"key": "1", "data": event(1)})
    assert house.push({"key": "1", "data": event(2)}, token="other").json["verdicts"] == 1


def test_a_key_for_an_event_and_a_key_for_a_request_never_meet(house):
    house.push({"key": "k:0", "data": event(1)})
    assert house.push({"data": event(2)}, **{"Idempotency-Key": "k"}).json["verdicts"] == 1


def test_an_event_that_could_enter_twice_is_refused_and_nothing_of_its_request_is_taken(house):
    answer = house.push({"id": "a", "data": event(1)}, {"data": event(2)})
    assert answer.status == 400
    assert "events[1] has neither" in answer.json["error"]
    assert house.stored() == 0


def test_no_client_can_take_another_ones_key_by_naming_its_id(house):
    answer = house.push({"id": "idempotency-key:other:event:1", "data": event(1)})
    assert answer.status == 400
    assert house.stored() == 0


def test_an_event_that_cannot_be_read_is_a_dead_letter_that_can_be_replayed(house):
    answer = house.push({"id": "a", "data": [1, 2]}, {"id": "b", "data": event(1)})
    assert (answer.status, answer.json["dead_letters"], answer.json["verdicts"]) == (202, 1, 1)
    (letter,) = house.app.ledger.dead_letters()
    assert (letter.source, letter.subject) == ("push", answer.json["ids"][0])
    assert "push" in house.app.ways_in


def test_pushed_events_reach_the_targets_and_the_policy_as_polled_ones_do(house):
    house.push({"id": "a", "data": event(1)})
    assert house.app.ledger.pending("out") == 1
    ((action, _),) = house.app.ledger.waiting()
    assert action.rule == "everything"


def test_clients_that_push_the_same_at_once_make_it_one_event(house):
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda n: house.push({"id": "same", "data": event(1)}, {"id": f"{n}", "data": event(n)}), range(8))
        )
    assert {answer.status for answer in answers} == {202}
    assert sum(answer.json["verdicts"] for answer in answers) == 9
    assert house.stored() == 9


def test_a_full_target_is_told_and_nothing_is_taken(tmp_path):
    with opened(tmp_path, change=lambda text: text.replace("batch = 15", "batch = 15\nmax_pending = 1")) as house:
        first, second = (house.push({"id": f"{n}", "data": event(n)}) for n in range(2))
        health = house.call("GET", "/services/collector/health")
        assert (first.status, second.status, house.stored()) == (202, 503, 1)
        assert int(second.headers["retry-after"]) >= 1
        assert (health.status, health.json["code"]) == (503, 18)
