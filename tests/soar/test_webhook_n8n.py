"""A real n8n receives signed webhooks, runs its workflow, and what came of it is on the verdict."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connector.errors import ConfigError, PermanentError
from connector.soar.webhook import WebhookSettings, WebhookSoar
from connector.testing import check_soar, examples
from tests.daemon.site import Site
from tests.soar.n8n import N8nTestbed, plugin

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]  # the first of them may fetch n8n

EVENTS = 3


@pytest.fixture(scope="module")
def n8n(tmp_path_factory: pytest.TempPathFactory) -> N8nTestbed:
    return N8nTestbed(tmp_path_factory.mktemp("n8n"))


def test_a_workflow_keeps_the_contract_of_a_soar_that_honours_no_keys(n8n: N8nTestbed, tmp_path: Path) -> None:
    check_soar(plugin, tmp_path)


def test_it_is_as_honest_as_n8n_that_a_request_sent_twice_is_two_executions(n8n: N8nTestbed) -> None:
    action = examples.action(5)
    soar = WebhookSoar("n8n", WebhookSettings.model_validate(n8n.soar_config()), lambda: datetime.now(UTC))
    assert soar.uniqueness == "none"
    assert soar.run(action) != soar.run(action)


def test_the_workflow_believes_nobody_without_the_secret_and_an_unknown_one_is_refused(n8n: N8nTestbed) -> None:
    config, action = n8n.soar_config(), examples.action(6)
    for change, expected, told in (
        ({"secret": "another secret that is long enough"}, ConfigError, r"HTTP 401 .*not signed by Triaged"),
        ({"url": f"{n8n.server.url}/webhook/9c5a1f0e77"}, PermanentError, r"POST /webhook/… on .* HTTP 404"),
    ):
        stranger = WebhookSoar("n8n", WebhookSettings.model_validate({**config, **change}), lambda: datetime.now(UTC))
        with pytest.raises(expected, match=told) as caught:
            stranger.run(action)
        assert "9c5a1f0e77" not in str(caught.value)
    forged = json.dumps({"believed": True, "key": "forged", "action": {"playbook": "isolate-host"}}).encode()
    request = urllib.request.Request(f"{n8n.server.url}/webhook/triaged", forged, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        urllib.request.urlopen(request, timeout=30)
    refused.value.close()
    assert not {action.key, "forged"} & n8n.runs().keys()


def test_what_the_workflow_did_comes_back_onto_each_verdict(n8n: N8nTestbed, tmp_path: Path) -> None:
    site = Site(tmp_path, extra=n8n.settings(), lease="PT1M")
    policy = tmp_path / "policy.toml"
    policy.write_text(policy.read_text().replace('soar = "dryrun"', 'soar = "n8n"'))
    site.events(EVENTS)
    site.drain()
    verdicts = {verdict["event"]["id"] for verdict in site.verdicts()}
    lines = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    told = [line["triaged"] for line in lines if "run_status" in line["triaged"]]
    ends = [one for one in told if one["run_status"]["state"] == "succeeded"]
    assert {one["cause"] for one in ends} == verdicts
    assert len(ends) == len(verdicts) == EVENTS
    counted = n8n.runs()
    for one in ends:
        assert counted[one["run_status"]["action_key"]] == 1
        assert one["run_status"]["detail"] == "notify-on-call: done"
