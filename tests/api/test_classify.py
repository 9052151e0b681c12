"""Verdicts on demand: one document an event, in order, whatever the events hold; nothing is kept of them."""

from __future__ import annotations

import hashlib
import json

import pytest

from connector import identity
from tests.api.house import event
from tests.models.members import Counting, Fixed


def classify(house, *events, **more):
    answer = house.call("POST", "/v1/classify", {"events": events, **more}, token="search")
    assert answer.status == 200, answer.body
    return answer.json["verdicts"]


def body_of(*data: bytes) -> bytes:
    return b'{"events":[' + b",".join(b'{"data":' + one + b"}" for one in data) + b"]}"


def test_a_document_for_each_event_in_order(shared):
    rows = classify(shared, *({"data": event(n), "id": f"{n}"} for n in range(50)))
    assert [row["triaged"]["source"]["id"] for row in rows] == [f"{n}" for n in range(50)]
    assert {row["triaged"]["model"]["name"] for row in rows} == {"tiny"}


def test_an_event_that_cannot_be_read_gets_an_error_row_and_the_others_their_verdicts(shared):
    rows = classify(shared, {"data": event(1)}, {"data": 7}, {"data": ""}, {"data": "a line"})
    assert [row["triaged"]["verdict"] is None for row in rows] == [False, True, True, False]
    assert rows[1]["triaged"]["error"] == {
        "reason": "not an event: a JSON number where an object is needed",
        "place": "events[1]",
    }


HOSTILE = {
    "deeper than any decoder goes": b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    "deeper than any log goes": b'{"a":' * 200 + b"1" + b"}" * 200,
    "a lone surrogate": b'{"a":"\\ud800"}',
    "bytes that are no UTF-8": b'{"a":"\xff"}',
    "a number of thousands of digits": b'{"a":' + b"9" * 10_000 + b"}",
    "brackets and quotes in a string": b'"\\"]}[{\\\\\\""',
    "a NUL": b'{"a":"\\u0000"}',
    "no number": b'{"a":NaN}',
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_whatever_an_event_holds_it_costs_no_other_event_its_verdict(shared, data):
    good = json.dumps(event(1)).encode()
    answer = shared.call("POST", "/v1/classify", body_of(good, data, good), token="search")
    assert answer.status == 200, answer.body
    first, hostile, last = answer.json["verdicts"]
    assert first["triaged"]["verdict"] is not None
    assert first == last
    assert hostile["triaged"]["verdict"] is not None or hostile["triaged"]["error"]["reason"]


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_pushed_event_holds_it_ends_in_the_ledger_beside_the_others(shared, data):
    good = json.dumps(event(1)).encode()
    name = hashlib.sha256(data).hexdigest().encode()
    body = b'{"events":[{"id":"%b","data":%b},{"key":"%b","data":%b}]}' % (name, good, name, data)
    answer = shared.call("POST", "/v1/events", body, token="push")
    assert answer.status == 202, answer.body
    assert answer.json["verdicts"] + answer.json["dead_letters"] == 2
    assert answer.json["verdicts"] >= 1


BROKEN = [
    b"",
    b"nonsense",
    b"[]",
    b"{}",
    b'{"events":',
    b'{"events":{}}',
    b'{"events":[{"data":1}',
    b'{"events":[{"data":1}}]',
    b'{"events":[{"data":"open]}',
    b'{"events":[{"data":1 "id":"x"}]}',
    b'{"events":[{"id":"no data"}]}',
    b'{"events":[{"data":1,"id":2}]}',
    b'{"events":[{"data":1,"what":2}]}',
    b'{"events":[{"data":1,"data":"\\ud800"}]}',
    b'{"events":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}",
    b'{"events":[],"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"events":[{"data":1}],"deployment":3}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("body", BROKEN, ids=[str(body[:40]) for body in BROKEN])
def test_what_is_no_request_is_told_so(shared, body):
    answer = shared.call("POST", "/v1/classify", body, token="search")
    assert answer.status == 400
    assert answer.json["error"]


def test_nothing_is_kept_and_nothing_is_started(house):
    before = house.app.ledger.status()
    classify(house, {"data": event(1), "id": "a"}, {"data": 7}, deployment="lab")
    assert house.app.ledger.status() == before
    assert house.app.ledger.waiting() == []
    assert house.push({"id": "a", "data": event(1)}).json["verdicts"] == 1


def test_the_verdict_is_the_one_that_the_daemon_stores_but_for_its_mark(house):
    (told,) = classify(house, {"data": event(1), "id": "a", "index": "main"}, deployment="lab")
    house.push({"id": "a", "index": "main", "data": event(1)})
    stored = house.call("GET", f"/v1/verdicts/{told['event']['id']}", token="search").json
    assert told["event"]["id"] == identity.event_id("lab", "a")
    assert stored["triaged"].pop("origin")
    assert told["triaged"].pop("origin") is None
    assert told == stored


def test_an_event_without_an_id_is_known_by_its_content(shared):
    first, second, third = classify(shared, {"data": "x"}, {"data": "x"}, {"data": "y"})
    assert first == second
    assert first["event"]["id"] != third["event"]["id"]


def test_stored_verdicts_are_looked_up_one_by_one_or_many_in_order(house):
    ids = house.push(*({"id": f"{n}", "data": event(n)} for n in range(3))).json["ids"]
    unknown = identity.event_id("lab", "never seen")
    asked = [ids[2], "nobody", ids[0].upper(), unknown, ids[2]]
    found = house.call("POST", "/v1/verdicts", {"ids": asked}, token="search").json["verdicts"]
    assert [row and row["event"]["id"] for row in found] == [ids[2], None, ids[0], None, ids[2]]
    for nobody in ("nobody", unknown, "%00" * 36):
        missing = house.call("GET", f"/v1/verdicts/{nobody}", token="search")
        assert missing.status == 404
        assert missing.json["error"].startswith("no verdict on event")
    first = house.call("GET", f"/v1/verdicts/{ids[0]}?revision=1", token="search")
    assert first.json == found[2]
    assert house.call("GET", f"/v1/verdicts/{ids[0]}?revision=2", token="search").status == 404
    assert house.call("GET", f"/v1/verdicts/{ids[0]}?revision=x", token="search").status == 400
    assert house.call("GET", f"/v1/verdicts/{ids[0]}?revision=0", token="search").status == 400


def test_a_member_that_needs_state_has_no_view(house, monkeypatch):
    from connector.models import Bundle

    manifest = house.app.bundle.manifest
    stateful = Counting("sequence")
    monkeypatch.setattr(house.app, "bundle", Bundle(manifest, [Fixed("text", 0.7), stateful]))
    for _ in range(2):
        (row,) = classify(house, {"data": event(1)})
        assert row["triaged"]["members"]["sequence"] is None
        assert row["triaged"]["members"]["text"] is not None
    assert stateful.scored == []
