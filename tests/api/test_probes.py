"""How it is, what it counts, what it says of itself, and what it says when something is wrong."""

from __future__ import annotations

import json
import re

import pytest

from connector.errors import TransientError
from tests.api.house import event


def outage(*_, **__):
    raise TransientError("the ledger sqlite:///somewhere/secret did not answer")


def test_it_is_alive_and_ready(shared):
    assert shared.call("GET", "/healthz").json == {"status": "ok"}
    ready = shared.call("GET", "/readyz")
    assert (ready.status, ready.json) == (200, {"ready": True, "ledger": True, "bundle": "tiny/1"})


def test_while_the_ledger_does_not_answer_it_is_alive_and_not_ready_and_takes_nothing(house, monkeypatch):
    monkeypatch.setattr(house.app.ledger, "switches", outage)
    monkeypatch.setattr(house.app.ledger, "commit", outage)
    assert house.call("GET", "/healthz").status == 200
    ready = house.call("GET", "/readyz")
    assert (ready.status, ready.json["ledger"]) == (503, False)
    pushed = house.push({"id": "a", "data": event(1)})
    assert (pushed.status, pushed.headers["retry-after"]) == (503, "1")
    assert b"secret" not in pushed.body
    assert house.call("GET", "/services/collector/health").json["code"] == 18
    assert house.call("POST", "/v1/classify", {"events": [{"data": "x"}]}, token="search").status == 200


def test_a_fault_of_ours_tells_a_client_nothing(house, monkeypatch):
    def fault(_):
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(house.app.bundle, "predict_without_state", fault)
    answer = house.call("POST", "/v1/classify", {"events": [{"data": "x"}]}, token="search")
    assert (answer.status, answer.json) == (500, {"error": "internal error"})
    assert house.call("GET", "/healthz").status == 200


def test_requests_are_counted_by_route_and_never_by_what_a_client_wrote(shared):
    shared.call("GET", "/no/such/path/chosen-by-a-stranger")
    shared.call("GET", "/v1/verdicts/chosen-by-a-stranger", token="search")
    text = shared.call("GET", "/metrics", token="reader").body.decode()
    assert 'triaged_api_requests_total{route="/v1/verdicts/{event_id}",status="404"}' in text
    assert 'triaged_api_requests_total{route="none",status="404"}' in text
    assert "stranger" not in text


@pytest.mark.parametrize(("method", "path"), [("GET", "/docs"), ("GET", "/redoc"), ("PUT", "/v1/classify")])
def test_what_is_not_there_is_told_in_json(shared, method, path):
    answer = shared.call(method, path)
    assert answer.status in {404, 405}
    assert set(answer.json) == {"error"}


def test_the_description_names_every_body_and_who_may_ask(shared):
    answer = shared.call("GET", "/openapi.json")
    described = answer.json
    assert "components" in described
    for ref in re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', answer.body.decode()):
        assert ref in described["components"]["schemas"], ref
    classify = described["paths"]["/v1/classify"]["post"]
    assert classify["security"] == [{"token": ["classify"]}]
    assert json.dumps(classify["requestBody"]).count("schemas/Classify") == 1
    assert "events" in described["components"]["schemas"]["Classify"]["properties"]


def test_answers_are_nobodys_to_keep(shared):
    for path in ("/healthz", "/metrics", "/nowhere"):
        assert shared.call("GET", path).headers["cache-control"] == "no-store"
