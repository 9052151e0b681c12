"""A person's word by the API: the same as by the command, and on record."""

from __future__ import annotations

import pytest

from connector import wiring
from tests.api.house import event, opened


@pytest.fixture
def waiting(tmp_path):
    """A house with one playbook run that waits for approval, and its key."""
    with opened(tmp_path) as house:
        policy = house.site.dir / "policy.toml"
        policy.write_text(policy.read_text().replace('"auto"', '"approve"'))
        house.app.policy = wiring.load_policy(house.app.settings)
        house.push({"id": "a", "data": event(1)})
        ((action, _),) = house.app.ledger.waiting()
        yield house, action.key


def decide(house, key, word, body=None, token="chief"):
    return house.call("POST", f"/v1/actions/{key}/{word}", body, token=token)


def test_what_waits_is_listed_with_its_reason(waiting):
    house, key = waiting
    (listed,) = house.call("GET", "/v1/actions", token="chief").json["actions"]
    assert (listed["key"], listed["rule"], listed["playbook"]) == (key, "everything", "notify-on-call")


@pytest.mark.parametrize(("word", "state"), [("approve", "approved"), ("reject", "rejected")])
def test_the_word_is_recorded_with_who_said_it_and_why(waiting, word, state):
    house, key = waiting
    answer = decide(house, key, word, {"reason": "seen on screen"})
    assert answer.status == 200
    assert (answer.json["state"], answer.json["who"], answer.json["reason"]) == (state, "api:chief", "seen on screen")
    (approval,) = house.app.ledger.approvals(state)
    assert approval.key == key


def test_an_approval_lets_the_run_start_and_a_rejection_never(waiting):
    house, key = waiting
    house.app.acts["dryrun"].drain()
    assert house.site.runs() == {}
    decide(house, key, "approve", {"hours": 2})
    house.app.acts["dryrun"].drain()
    assert list(house.site.runs()) == [key]


def test_the_first_word_stands(waiting):
    house, key = waiting
    decide(house, key, "reject")
    answer = decide(house, key, "approve", b"")
    assert (answer.status, answer.json["state"]) == (409, "rejected")


@pytest.mark.parametrize("key", ["nobody", "00000000-0000-5000-8000-000000000000", "%2e%2e", "x" * 500])
def test_what_does_not_wait_cannot_be_decided(waiting, key):
    house, _ = waiting
    assert decide(house, key, "approve").status == 404
    assert house.app.ledger.approvals() == []


@pytest.mark.parametrize(
    "body", [{"hours": 0}, {"hours": 1e9}, {"hours": "x"}, {"who": "me"}, b"{", {"reason": "x" * 3000}]
)
def test_a_word_of_another_form_is_refused(waiting, body):
    house, key = waiting
    assert decide(house, key, "approve", body).status == 400
    assert house.app.ledger.approvals() == []
