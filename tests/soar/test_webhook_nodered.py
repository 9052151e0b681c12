"""A real Node-RED receives signed webhooks, runs its flow once a key, and what came of it is on the verdict."""

from __future__ import annotations

import base64
import json
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError, PermanentError
from connector.soar.webhook import WebhookSettings, WebhookSoar, rendered, signature
from connector.testing import check_soar, examples
from tests.daemon.site import Site, wait_until
from tests.policy.hostile import HOSTILE, poisoned
from tests.soar.nodered import SECRET, NodeRedTestbed, plugin

EVENTS = 3


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> NodeRedTestbed:
    with NodeRedTestbed(tmp_path_factory.mktemp("node-red")) as bed:
        return bed


def soar(flow: NodeRedTestbed, now: datetime, **more: Any) -> WebhookSoar:
    return WebhookSoar("flow", WebhookSettings.model_validate({**flow.soar_config(), **more}), lambda: now)


def test_a_flow_keeps_the_contract_of_a_soar_that_honours_keys(flow: NodeRedTestbed, tmp_path: Path) -> None:
    check_soar(plugin, tmp_path)


def test_the_flow_believes_nobody_without_the_secret_and_no_request_of_yesterday(flow: NodeRedTestbed) -> None:
    action, now = examples.action(7), datetime.now(UTC)
    for stranger in (
        soar(flow, now, secret="another secret that is long enough"),
        soar(flow, now, secret=None),
        soar(flow, now - timedelta(minutes=6)),
    ):
        with pytest.raises(ConfigError, match=r"HTTP 401 .*not signed by Triaged"):
            stranger.run(action)
    assert action.key not in flow.finished()
    with pytest.raises(PermanentError, match="HTTP 404"):
        soar(flow, now, url=f"{flow.server.url}/elsewhere").run(action)


def test_a_request_that_was_recorded_runs_once_whatever_unsigned_key_it_is_given(flow: NodeRedTestbed) -> None:
    action, at = examples.action(8), int(datetime.now(UTC).timestamp())
    body = msgspec.json.encode(rendered(None, action))
    secret = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = {"Webhook-Timestamp": str(at), "Webhook-Signature": signature(secret, action.key, at, body)}
    answers = []
    for key in (action.key, "another", "a third"):
        headers = {**signed, "Webhook-Id": action.key, "Idempotency-Key": key, "Content-Type": "application/json"}
        request = urllib.request.Request(f"{flow.server.url}/triaged", body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            answers.append((answer.status, json.load(answer)["id"]))
    assert [status for status, _ in answers] == [202, 200, 200]
    assert len({run for _, run in answers}) == 1
    assert not {"another", "a third"} & flow.finished().keys()


def test_a_real_receiver_reads_each_hostile_value_as_what_it_is(flow: NodeRedTestbed) -> None:
    hook = soar(flow, datetime.now(UTC))
    sent = {}
    for number, value in enumerate(HOSTILE.values(), start=100):
        action = poisoned(examples.action(number), value)
        hook.run(action)
        sent[action.key] = value[:4096]
    wait_until(lambda: {run["status"] for run in flow.finished().values()} == {"success"}, "the flow has finished")
    done = flow.finished()
    assert {key: done[key]["host"] for key in sent} == sent


def test_what_the_flow_did_comes_back_onto_each_verdict(flow: NodeRedTestbed, tmp_path: Path) -> None:
    site = Site(tmp_path, extra=flow.settings(), lease="PT1M")
    policy = tmp_path / "policy.toml"
    policy.write_text(policy.read_text().replace('soar = "dryrun"', 'soar = "flow"'))
    site.events(EVENTS)
    site.drain()
    verdicts = {verdict["event"]["id"] for verdict in site.verdicts()}
    lines = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    told = [line["triaged"] for line in lines if "run_status" in line["triaged"]]
    ends = [one for one in told if one["run_status"]["state"] == "succeeded"]
    assert {one["cause"] for one in ends} == verdicts
    assert len(ends) == len(verdicts) == EVENTS
    done = flow.finished()
    for one in ends:
        status = one["run_status"]
        run = done[status["action_key"]]
        assert (run["times"], run["id"], run["playbook"]) == (1, status["run_id"], status["playbook"])
        assert status["detail"] == run["result"] == "notify-on-call: the analyst on call was paged"
