"""The generic webhook: what is sent, who is spoken to, what an answer means, and how a run is followed."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from connector import wiring
from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.settings import explain
from connector.soar.rest import LONGEST_ANSWER
from connector.soar.webhook import VALUES, WebhookSettings, WebhookSoar, pointed, rendered, signature
from connector.testing import check_soar, examples
from connector.testing.clock import START
from connector.types import Action, RunRef
from tests.policy.hostile import HOSTILE, poisoned
from tests.servers.certificates import Certificates
from tests.servers.process import free_port
from tests.soar.webhook import API_KEY, HOOK, SECRET, TOKEN, Forgetful, Heedful, heedful
from tests.splunkd.wire import Answer, Listener, Request, json_answer

NOW = START + timedelta(seconds=5)
GOLDEN = Path(__file__).parent / "golden" / "webhook.json"


class Odd(Heedful):
    """Gives the answer that it is told to give."""

    answer = Answer(b"", 200, "text/plain")

    def serve(self, request: Request) -> Answer:
        return self.answer


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heedful]:
    with Heedful(tmp_path_factory.mktemp("receiver")) as platform:
        platform.now = NOW.timestamp
        yield platform


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Odd]:
    with Odd(tmp_path_factory.mktemp("odd")) as platform:
        yield platform


def soar(platform: Forgetful, now: datetime = NOW, **more: Any) -> WebhookSoar:
    return WebhookSoar("hook", WebhookSettings.model_validate({**platform.soar_config(), **more}), lambda: now)


def hurried(hook: WebhookSoar) -> WebhookSoar:
    """The same, without the seconds in which it tries again what was not sent."""
    hook._hook.rest.raw = partial(hook._hook.rest.raw, seconds=0.0)
    return hook


def refusal(**table: Any) -> str:
    """What a user is told of settings that are not taken."""
    base = {"url": f"https://n8n.example{HOOK}", "hosts": ["n8n.example"], "secret": SECRET}
    with pytest.raises(ValidationError) as caught:
        WebhookSettings.model_validate({**base, **table})
    return explain(caught.value, WebhookSettings, None)


def status_of(platform: Forgetful, run: RunRef, action: Action, now: datetime = NOW) -> tuple[str, str]:
    told = soar(platform, now).status(run, action)
    assert (told.cause, told.action_key, told.run_id) == (action.cause, action.key, run.run_id)
    return told.state, told.detail


def test_a_receiver_that_honours_keys_keeps_the_contract_too(tmp_path: Path) -> None:
    check_soar(heedful, tmp_path)


def test_a_request_is_what_is_documented(receiver: Heedful) -> None:
    action = examples.action(0)
    assert soar(receiver, headers={"X-Team": "soc"}).run(action) == RunRef(soar="hook", run_id="run-1")
    request = receiver.asked[-1]
    assert (request.method, request.url) == ("POST", HOOK)
    assert {
        name: request.headers.get(name) for name in ("content-type", "x-team", "idempotency-key", "webhook-id")
    } == {
        "content-type": "application/json",
        "x-team": "soc",
        "idempotency-key": action.key,
        "webhook-id": action.key,
    }
    assert request.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert json.loads(request.body) == json.loads(GOLDEN.read_text())


def test_the_signature_is_the_one_of_the_standard() -> None:
    """The example of https://github.com/standard-webhooks/standard-webhooks, ``libraries``' own test vector."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    told = WebhookSettings(
        url="https://a.example", hosts=("a.example",), secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    )
    assert WebhookSoar("hook", told, lambda: NOW)._secret == secret


def test_a_request_sent_again_has_the_same_key_and_body_and_a_new_time(receiver: Heedful) -> None:
    action = examples.action(1)
    first, again = soar(receiver).run(action), soar(receiver, NOW + timedelta(minutes=4)).run(action)
    one, two = receiver.asked[-2:]
    assert first == again
    assert (one.body, one.headers["idempotency-key"]) == (two.body, two.headers["idempotency-key"])
    assert int(two.headers["webhook-timestamp"]) - int(one.headers["webhook-timestamp"]) == 240
    assert receiver.runs()[action.key] == 1


@pytest.mark.parametrize("change", [{"secret": "another secret that is long enough"}, {"secret": None}])
def test_a_receiver_that_does_not_believe_us_is_a_fault_of_the_settings(receiver: Heedful, change: Any) -> None:
    with pytest.raises(ConfigError, match=r"HTTP 401 .*check the credentials"):
        soar(receiver, **change).run(examples.action(2))
    with pytest.raises(ConfigError, match="HTTP 401"):  # a request that was recorded and is sent again later
        soar(receiver, NOW + timedelta(minutes=6)).run(examples.action(2))


@pytest.mark.parametrize(
    ("status", "expected", "sent"),
    [
        (301, TransientError, True),
        (302, TransientError, True),
        (307, ConfigError, None),
        (400, PermanentError, None),
        (401, ConfigError, None),
        (403, ConfigError, None),
        (404, PermanentError, None),
        (405, PermanentError, None),
        (408, TransientError, True),
        (409, TransientError, True),
        (410, PermanentError, None),
        (413, PermanentError, None),
        (422, PermanentError, None),
        (429, TransientError, False),
        (500, TransientError, True),
        (502, TransientError, True),
        (503, TransientError, True),
        (504, TransientError, True),
    ],
)
def test_every_refusal_has_one_meaning_and_a_redirect_is_not_followed(
    odd: Odd, status: int, expected: type[TriagedError], sent: bool | None
) -> None:
    odd.answer = Answer(b"no", status, "text/plain", {"Location": f"{odd.url}/elsewhere"})
    odd.asked.clear()
    with pytest.raises(TriagedError) as caught:
        hurried(soar(odd)).run(examples.action(0))
    assert type(caught.value) is expected
    assert getattr(caught.value, "sent", None) == sent
    assert {request.url for request in odd.asked} == {HOOK}


def test_an_answer_that_never_came_is_in_doubt_and_a_connection_that_never_stood_is_not(receiver: Heedful) -> None:
    receiver.lose_answers()
    with pytest.raises(TransientError) as lost:
        soar(receiver).run(examples.action(3))
    assert lost.value.sent
    assert soar(receiver).find(examples.action(3).key) == soar(receiver).run(examples.action(3))
    nobody = hurried(soar(receiver, url=f"http://127.0.0.1:{free_port()}/x"))
    with pytest.raises(TransientError) as unsent:
        nobody.run(examples.action(3))
    assert not unsent.value.sent


def test_a_question_that_gets_no_answer_starts_nothing(odd: Odd) -> None:
    hook, run = soar(odd), RunRef(soar="hook", run_id="7")
    for odd.answer in (Answer(b"", 503), Answer(b"<html>", 200)):
        for ask in (lambda: hook.find("7"), lambda: hook.status(run, examples.action(0))):
            with pytest.raises(TransientError) as caught:
                ask()
            assert not caught.value.sent


@pytest.mark.parametrize("body", [b"", b"ok", b"<html>", b"[1]", b'{"id": null}', b'{"id": ["x"]}', b'{"id": ".."}'])
def test_an_answer_that_names_no_run_is_taken_and_the_key_names_it(odd: Odd, body: bytes) -> None:
    odd.answer = Answer(body, 200, "text/plain")
    assert soar(odd).run(examples.action(0)).run_id == examples.action(0).key


def test_a_run_whose_name_was_not_told_ends_as_unknown_instead_of_being_asked_for(odd: Odd) -> None:
    action = examples.action(0)
    status = {**Forgetful.soar_config(odd)["status"]}
    with pytest.raises(PermanentError, match=r"named no run at '/id': its end is unknown"):
        soar(odd, status=status).status(RunRef(soar="hook", run_id=action.key), action)


@pytest.mark.parametrize("state", ["running", "succeeded", "failed", "timed_out"])
def test_a_run_is_followed_to_the_end_that_the_receiver_tells(receiver: Heedful, state: Any) -> None:
    action = examples.action(4)
    run = soar(receiver).run(action)
    receiver.outcome = state
    assert status_of(receiver, run, action) == (state, '{"isolated":true}')
    receiver.outcome = "succeeded"


def test_a_run_that_nobody_knows_is_waited_for(receiver: Heedful) -> None:
    action = examples.action(5)
    unknown = RunRef(soar="hook", run_id=action.key)
    late = action.proposed_at + timedelta(days=1, seconds=1)
    assert status_of(receiver, unknown, action, late) == ("running", "the receiver does not know it (yet)")


def test_words_of_a_receiver_are_known_in_any_case_or_told(odd: Odd) -> None:
    words = {"geschafft": "succeeded", "true": "succeeded", "done": "failed"}
    hook = soar(odd, status={**odd.soar_config()["status"], "detail": "", "states": words})

    def state(word: Any) -> tuple[str, str]:
        odd.answer = json_answer({"status": word})
        told = hook.status(RunRef(soar="hook", run_id="7"), examples.action(0))
        return told.state, told.detail

    assert state("COMPLETED") == ("succeeded", "")
    assert state("Crashed") == ("failed", "")
    assert state("geschafft") == state(True) == ("succeeded", "")
    assert state("done") == ("failed", "")
    for word in ("paused\x07", None, {"a": 1}, 7):
        named, detail = state(word)
        assert named == "running"
        assert "is no known state" in detail
        assert detail.isprintable()


def test_without_a_status_address_the_answer_is_the_end_and_says_that_it_is_no_more(receiver: Heedful) -> None:
    alone = soar(receiver, status=None)
    run = alone.run(examples.action(6))
    told = alone.status(run, examples.action(6))
    assert (told.state, told.detail) == ("succeeded", "the receiver took it; what came of it is not told")
    assert alone.find(examples.action(6).key) is None


def test_a_receiver_that_does_not_honour_keys_is_never_asked_for_a_run_by_its_key(receiver: Heedful) -> None:
    blind = soar(receiver, uniqueness="none")
    assert blind.uniqueness == "none"
    blind.run(examples.action(7))
    asked = len(receiver.asked)
    assert blind.find(examples.action(7).key) is None
    assert len(receiver.asked) == asked
    assert WebhookSettings.model_fields["uniqueness"].default == WebhookSoar.uniqueness == "none"


def test_a_body_of_ones_own_takes_each_value_as_a_whole(receiver: Heedful) -> None:
    body = {
        "text": "a constant with {braces} and __underscores__",
        "blocks": [{"type": "plain_text", "text": "__host__:value"}, "__tier__:value", 7, None, True],
        "user": "__source_address__:value",
        "verdict": "__document__:value",
    }
    soar(receiver, body=body).run(examples.action(8))
    sent = json.loads(receiver.asked[-1].body)
    assert sent["text"] == body["text"]
    assert sent["blocks"] == [{"type": "plain_text", "text": "host-1"}, "note", 7, None, True]
    assert sent["user"] is None
    assert sent["verdict"]["triaged"]["verdict"] == "malicious"


def keys_of(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from node
        for value in node.values():
            yield from keys_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from keys_of(value)


@pytest.fixture(scope="module")
def plain(receiver: Heedful) -> tuple[WebhookSoar, Request]:
    """An adapter, and the request that it makes of harmless values."""
    hook = soar(receiver)
    hook.run(poisoned(examples.action(9), "plain"))
    return hook, receiver.asked[-1]


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_whatever_an_event_says_stays_a_value_of_the_body(
    receiver: Heedful, plain: tuple[WebhookSoar, Request], value: str
) -> None:
    hook, before = plain
    evil = poisoned(examples.action(9), value)
    hook.run(evil)
    after = receiver.asked[-1]
    assert (before.method, before.url) == (after.method, after.url)
    assert without(before.headers, "content-length", "webhook-signature") == without(
        after.headers, "content-length", "webhook-signature"
    )
    assert len(after.body) < 1_000_000
    assert set(keys_of(json.loads(after.body))) <= set(keys_of(json.loads(before.body)))
    assert json.loads(after.body)["entity"]["address"] is None
    template = {name: f"{name}:value" for name in VALUES}
    filled = json.loads(msgspec.json.encode(rendered(template, evil)))
    assert set(filled) == set(template)
    assert filled["__host__"] == value[:4096]
    assert filled["__source_address__"] is None


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def test_no_secret_is_in_an_error_or_in_the_settings_as_text(odd: Odd) -> None:
    echo = {"message": f"no webhook {TOKEN}", "headers": {"x-token": "a-header-secret"}, "url": HOOK, "key": API_KEY}
    odd.answer = json_answer(echo, 400)
    hook = soar(odd, headers={"X-Token": "a-header-secret"})
    said = [repr(WebhookSettings.model_validate({**odd.soar_config(), "headers": {"X-Token": "a-header-secret"}}))]
    for ask in (lambda: hook.run(examples.action(0)), lambda: hook.find("k")):
        with pytest.raises(PermanentError) as caught:
            ask()
        said.append(str(caught.value))
    for text in said:
        assert not [secret for secret in (TOKEN, "a-header-secret", API_KEY, SECRET) if secret in text]
    assert "POST /hooks/… on 127.0.0.1" in said[1]


def test_no_word_of_a_header_and_no_piece_of_the_status_address_is_in_an_error(odd: Odd) -> None:
    status = {
        "url": f"{odd.url}/tell/path-t0ken/{{key}}-tail-t0ken?sig=query%2Ft0ken&of={{key}}-more-t0ken",
        "headers": {"Authorization": "Bearer status-t0ken"},
    }
    hook = soar(odd, status=status, headers={"Authorization": "Bearer header-t0ken"})
    quoted = "path-t0ken query/t0ken query%2Ft0ken -tail-t0ken -more-t0ken Bearer=status-t0ken, 'header-t0ken'"
    run = RunRef(soar="hook", run_id="run-1")
    for odd.answer in (Answer(quoted.encode(), 400), Answer(quoted.encode(), 503), Answer(b"<html>", 200)):
        for ask in (lambda: hook.find("key-1"), lambda: hook.status(run, examples.action(0))):
            with pytest.raises(TriagedError) as caught:
                ask()
            assert "t0ken" not in str(caught.value)
            assert "status address" in str(caught.value) or "GET /tell/…/" in str(caught.value)
    odd.answer = Answer(quoted.encode(), 400)
    with pytest.raises(PermanentError) as refused:
        hook.run(examples.action(0))
    assert "t0ken" not in str(refused.value)


def test_a_run_of_which_more_is_told_than_is_read_has_not_failed(odd: Odd) -> None:
    odd.answer = json_answer({"status": "success", "result": "x" * LONGEST_ANSWER})
    with pytest.raises(TransientError, match=r"status address of SOAR 'hook': .* more than 8388608 bytes") as caught:
        soar(odd).status(RunRef(soar="hook", run_id="7"), examples.action(0))
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"url": "http://n8n.example/webhook/triaged"}, "in the open to n8n.example"),
        ({"url": "https://user:pass@n8n.example/x"}, "credentials do not belong"),
        ({"url": "ftp://n8n.example/x"}, "it is no address"),
        ({"url": "https://n8n.example/x\r\nX-Evil: 1"}, "printable ASCII"),
        ({"url": "https://other.example/x"}, "host 'other.example' is not in `hosts` (n8n.example)"),
        ({"url": "https://n8n.example.evil.example/x"}, "is not in `hosts`"),
        ({"hosts": []}, "is not in `hosts` (empty)"),
        ({"status": {"url": "https://169.254.169.254/{key}"}}, "host '169.254.169.254' is not in `hosts`"),
        ({"status": {"url": "https://n8n.example/runs"}}, "it names no run"),
        ({"status": {"url": "https://{key}.example/{key}"}}, "all that is filled in"),
        ({"status": {"url": "https://n8n.example/{key}/{host}"}}, "all that is filled in"),
        ({"status": {"url": "https://n8n.example/{key}", "state": "status"}}, "no JSON pointer"),
        ({"secret": "too short"}, "fewer than 24 bytes"),
        ({"secret": "whsec_not base64 at all, as you can see"}, "not base64"),
        ({"headers": {"Idempotency-Key": "x"}}, "'Idempotency-Key' cannot be given"),
        ({"headers": {"X Evil": "x"}}, "cannot be given"),
        ({"headers": {"X-Evil": "a\r\nb"}}, "cannot stand in a header"),
        ({"body": {"text": "on __host__:value"}}, "body.text: a reference is a whole value"),
        ({"body": {"a": [{"__host__:value": 1}]}}, "a reference is a whole value"),
        ({"body": {"text": "__hostname__:value"}}, "'__hostname__:value' is not known; there are: __action_key__"),
    ],
)
def test_settings_that_could_send_verdicts_astray_are_refused_without_quoting_secrets(
    table: Mapping[str, Any], told: str
) -> None:
    said = refusal(**table)
    assert told in said
    assert not [secret for secret in (TOKEN, SECRET, "pass@", "too short", "as you can see") if secret in said]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(("shown", "trusted", "sent"), [("server", False, 0), ("client", True, 0), ("server", True, 1)])
def test_who_cannot_prove_to_be_the_host_gets_nothing(
    certificates: Certificates, shown: str, trusted: bool, sent: int
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.folder / f"{shown}.crt", certificates.folder / f"{shown}.key")
    came: list[Request] = []

    def take(request: Request) -> Answer:
        came.append(request)
        return json_answer({})

    listener = Listener(take, tls=context)
    listener.start()
    table = {"url": f"{listener.url}/x", "hosts": ["127.0.0.1"], "ca_certs": certificates.ca if trusted else None}
    hook = WebhookSoar("hook", WebhookSettings.model_validate(table), lambda: NOW)
    try:
        with nullcontext() if sent else pytest.raises(ConfigError, match="check `ca_certs`, and the name"):
            hook.run(examples.action(0))
    finally:
        listener.stop()
    assert (len(came), listener.mistakes) == (sent, [])


def test_address_secret_and_headers_come_from_the_secrets_directory(tmp_path: Path) -> None:
    config, secrets = tmp_path / "triaged.toml", tmp_path / "secrets"
    table = '[soars.flow]\ntype = "webhook"\nhosts = ["soar.example"]\n[soars.flow.status]\nurl = "https://soar.example/{key}"\n'
    config.write_text(table)
    secrets.mkdir()
    for name, value in {
        "url": f"https://soar.example{HOOK}",
        "secret": SECRET,
        "headers__authorization": "Bearer abc",
        "status__headers__x-api-key": API_KEY,
    }.items():
        (secrets / f"soars__flow__{name}").write_text(f"{value}\n")
    flow = wiring.load_settings(config, secrets).soars["flow"]
    assert isinstance(flow, WebhookSettings)
    assert flow.url.get_secret_value() == f"https://soar.example{HOOK}"
    assert flow.secret is not None
    assert flow.secret.get_secret_value() == SECRET
    assert flow.headers["authorization"].get_secret_value() == "Bearer abc"
    assert flow.status is not None
    assert flow.status.headers["x-api-key"].get_secret_value() == API_KEY


def test_a_pointer_leads_as_the_rfc_says() -> None:
    node = {"a": [{"b/c": 1, "d~e": 2}], "": 3}
    assert [pointed(node, p) for p in ("", "/a/0/b~1c", "/a/0/d~0e", "/", "/a/1", "/a/-", "/a/0/x/y")] == [
        node,
        1,
        2,
        3,
        None,
        None,
        None,
    ]


def test_an_id_that_a_receiver_gives_cannot_leave_its_place_in_the_status_address(odd: Odd) -> None:
    odd.answer = json_answer({"id": "../admin?x=1#y z", "status": "done"})
    config = {**Forgetful.soar_config(odd)["status"]}
    hook = soar(odd, status=config)
    run = hook.run(examples.action(0))
    assert hook.status(run, examples.action(0)).state == "succeeded"
    assert odd.asked[-1].url == "/runs/..%2Fadmin%3Fx%3D1%23y%20z"
    assert msgspec.json.encode(run)
