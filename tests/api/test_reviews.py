"""Questions to analysts by the API: for the scope ``review`` alone, and an answer the same as by the command."""

from __future__ import annotations

import pytest

from tests.api.house import House, event, opened

MORE = """
[api.tokens.desk]
token = "desk-token-of-at-least-32-characters"
scopes = ["review"]
"""
DESK = "desk-token-of-at-least-32-characters"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    queue = "[retention]\nsnapshot_share = 1.0\n[review]\nbudget = 9\n"
    with opened(tmp_path_factory.mktemp("house"), change=lambda text: text + MORE + queue) as found:
        found.push(*({"id": f"e{n}", "data": event(name)} for n, name in enumerate(("one", "two", "three", "four"))))
        found.app.review.run()
        yield found


def asked(house: House):
    return house.call("GET", "/v1/reviews", token=DESK).json["reviews"]


def answer(house: House, key: str, body, token: str = DESK):
    return house.call("POST", f"/v1/reviews/{key}/answer", body, token=token)


def test_open_questions_come_with_their_verdicts_and_one_with_its_event(house):
    for one in asked(house):
        assert one["verdict"]["event"]["id"] == one["event_id"]
        whole = house.call("GET", f"/v1/reviews/{one['id']}", token=DESK)
        assert whole.status == 200
        assert whole.json["event"]["host"]["name"] == "ws-01"
        assert whole.json["text"]


def test_an_answer_is_taken_once_in_the_name_of_who_gave_it(house):
    key = asked(house)[0]["id"]
    body = {"disposition": "false_positive", "cause": "administration", "techniques": ["T1105"], "analyst": "ana"}
    for _ in range(2):
        taken = answer(house, key, body)
        assert (taken.status, taken.json["state"], taken.json["analyst"]) == (200, "answered", "ana")
    (change,) = (one for one in house.app.ledger.dispositions("review") if one.alert_id == key)
    assert (change.analyst, change.disposition, change.tags) == ("ana", "false_positive", ("cause:administration",))
    assert key not in {one["id"] for one in asked(house)}
    (entry,) = (one for one in house.app.ledger.audit_entries() if key in one.detail)
    assert (entry.actor, entry.what) == ("api:desk", "review answered")


def test_who_is_not_named_answers_as_the_token(house):
    key = asked(house)[0]["id"]
    assert answer(house, key, {"disposition": "other"}, token="boss").json["analyst"] == "boss"


@pytest.mark.parametrize("token", ["search", "push", "chief", "reader"])
def test_other_scopes_see_nothing_and_say_nothing(house, token):
    key = asked(house)[0]["id"]
    assert house.call("GET", "/v1/reviews", token=token).status == 403
    assert house.call("GET", f"/v1/reviews/{key}", token=token).status == 403
    assert answer(house, key, {"disposition": "other"}, token=token).status == 403
    assert house.app.ledger.review(key).state == "open"
    assert house.call("GET", "/v1/reviews").status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        {},
        {"disposition": "harmless"},
        {"disposition": "false_positive", "cause": "bad luck"},
        {"disposition": "false_positive", "techniques": ["T0000"]},
        {"disposition": "true_positive", "cause": "test"},
        {"disposition": "other", "analyst": " "},
        {"disposition": "other", "analyst": "triaged"},
        {"disposition": "other", "comment": "x" * 3000},
        {"disposition": "other", "state": "open"},
    ],
)
def test_an_answer_of_another_form_is_refused(house, body):
    key = asked(house)[0]["id"]
    assert answer(house, key, body).status == 400
    assert house.app.ledger.review(key).state == "open"


@pytest.mark.parametrize("key", ["nobody", "00000000-0000-5000-8000-000000000000", "%2e%2e", "x" * 500])
def test_a_question_that_nobody_asked_is_not_found(house, key):
    assert house.call("GET", f"/v1/reviews/{key}", token=DESK).status == 404
    assert answer(house, key, {"disposition": "other"}).status == 404


def test_a_withdrawn_question_takes_no_answer(house):
    key = asked(house)[-1]["id"]
    house.app.ledger.withdraw_reviews({key: "labelled in the SIEM"})
    refused = answer(house, key, {"disposition": "false_positive"})
    assert (refused.status, refused.json["state"], refused.json["outcome"]) == (
        409, "withdrawn", "labelled in the SIEM",
    )  # fmt: skip
