"""Who may ask: a token that is known, with the scope for it, and not too often. Tokens themselves are not kept."""

from __future__ import annotations

import hashlib
import itertools
import re

import pytest
from pydantic import SecretStr

from connector.api.refusal import Refusal
from connector.api.tokens import Guard
from connector.settings import ApiSettings, TokenSettings
from tests.api.house import TOKENS, opened

ROUTES = {
    ("POST", "/v1/classify"): "classify",
    ("POST", "/v1/verdicts"): "classify",
    ("GET", "/v1/verdicts/x"): "classify",
    ("POST", "/v1/events"): "ingest",
    ("POST", "/services/collector/event"): "ingest",
    ("POST", "/services/collector"): "ingest",
    ("POST", "/services/collector/ack"): "ingest",
    ("GET", "/v1/actions"): "approve",
    ("POST", "/v1/actions/x/approve"): "approve",
    ("POST", "/v1/actions/x/reject"): "approve",
    ("GET", "/v1/reviews"): "review",
    ("GET", "/v1/reviews/x"): "review",
    ("POST", "/v1/reviews/x/answer"): "review",
    ("GET", "/metrics"): None,
}
HOLDS = {
    "search": {"classify"},
    "push": {"ingest"},
    "chief": {"approve"},
    "boss": {"classify", "ingest", "approve", "review"},
}
TOKEN = "t" * 32


def guard(clock=lambda: 0.0, **changed) -> Guard:
    settings = {"port": 1, "tokens": {"one": {"token": TOKEN, "scopes": ["classify"]}}, **changed}
    return Guard(ApiSettings.model_validate(settings), clock)


def test_every_route_is_in_the_table_or_open_to_all(shared):
    told = shared.call("GET", "/openapi.json").json["paths"]
    routes = {(method.upper(), re.sub(r"\{\w+\}", "x", path)) for path, methods in told.items() for method in methods}
    open_ = {
        (method.upper(), path)
        for path, methods in told.items()
        for method, route in methods.items()
        if route["security"] == []
    }
    assert open_ == {
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/services/collector/health"),
        ("GET", "/services/collector/health/1.0"),
    }
    assert routes - open_ == ROUTES.keys() | {("POST", "/services/collector/event/1.0")}


@pytest.mark.parametrize(("method", "path"), list(ROUTES), ids=str)
def test_without_a_token_and_with_an_unknown_one_nothing_is_told(shared, method, path):
    for token in (None, "a token of 32 characters or more!", TOKENS["boss"][:-1], TOKENS["boss"] + "x"):
        answer = shared.call(method, path, b"{}" if method == "POST" else None, token=token)
        collector = path.startswith("/services") and token is not None
        assert answer.status == (403 if collector else 401)
        assert "www-authenticate" in answer.headers


@pytest.mark.parametrize(("route", "name"), list(itertools.product(ROUTES, HOLDS)), ids=str)
def test_a_scope_opens_its_routes_and_no_other(shared, route, name):
    wanted = ROUTES[route]
    answer = shared.call(*route, b"not JSON" if route[0] == "POST" else None, token=name)
    assert (answer.status == 403) == (wanted is not None and wanted not in HOLDS[name])
    assert answer.status != 401


@pytest.mark.parametrize("header", ["", "Bearer", "Basic dXNlcjpwYXNz", TOKENS["boss"], f"Token {TOKENS['boss']}"])
def test_a_header_of_another_form_is_no_token(shared, header):
    assert shared.call("GET", "/metrics", headers={"Authorization": header}).status == 401


@pytest.mark.parametrize("header", ["Bearer {}", "bearer {}", "Splunk {}", "BEARER  {} "])
def test_both_words_before_a_token_are_understood(shared, header):
    assert shared.call("GET", "/metrics", headers={"Authorization": header.format(TOKENS["reader"])}).status == 200


def test_of_a_token_only_its_hash_is_kept():
    settings = TokenSettings(token=SecretStr(TOKEN))
    assert settings.token.get_secret_value() == "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()
    assert TOKEN not in repr(settings)


def test_a_hash_in_the_settings_opens_for_its_token_and_not_for_itself():
    digest = "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest()
    found = guard(tokens={"one": {"token": digest, "scopes": ["classify"]}})
    assert found.client(f"Bearer {TOKEN}").name == "one"
    with pytest.raises(Refusal):
        found.client(f"Bearer {digest}")


@pytest.mark.parametrize("again", [TOKEN, "sha256:" + hashlib.sha256(TOKEN.encode()).hexdigest().upper()])
def test_one_token_under_two_names_is_refused_and_not_shown(again):
    tokens = {"one": {"token": TOKEN}, "two": {"token": "u" * 32}, "three": {"token": again}}
    with pytest.raises(ValueError, match=r"tokens\.one and tokens\.three have the same token") as refused:
        ApiSettings.model_validate({"tokens": tokens})
    assert TOKEN not in refused.value.errors()[0]["msg"]


def test_requests_beyond_the_burst_wait_and_the_wait_is_told():
    now = [0.0]
    found = guard(lambda: now[0], rate=2, burst=3)
    for _ in range(3):
        found.client(f"Bearer {TOKEN}")
    with pytest.raises(Refusal) as refused:
        found.client(f"Bearer {TOKEN}")
    assert (refused.value.status, refused.value.retry_after) == (429, 0.5)
    assert refused.value.headers["Retry-After"] == "1"
    now[0] = 0.5
    found.client(f"Bearer {TOKEN}")
    now[0] = 1000.0
    for _ in range(3):
        found.client(f"Bearer {TOKEN}")
    with pytest.raises(Refusal):
        found.client(f"Bearer {TOKEN}")


def test_each_token_has_a_bucket_of_its_own():
    tokens = {"one": {"token": TOKEN}, "two": {"token": "u" * 32, "rate": 0.1}}
    found = guard(burst=1, rate=5, tokens=tokens)
    for token in (TOKEN, "u" * 32):
        found.client(f"Bearer {token}")
    waits = []
    for token in (TOKEN, "u" * 32):
        with pytest.raises(Refusal) as refused:
            found.client(f"Bearer {token}")
        waits.append(refused.value.retry_after)
    assert waits == [0.2, 10.0]


def test_a_client_that_asks_too_often_is_told_when_to_come_again(tmp_path):
    with opened(
        tmp_path, change=lambda text: text.replace("rate = 1000\nburst = 1000", "rate = 0.1\nburst = 2")
    ) as house:
        answers = [house.call("GET", "/metrics", token="reader") for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
        assert house.call("GET", "/metrics", token="boss").status == 200
