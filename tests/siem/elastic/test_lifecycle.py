"""The installer and OpenSearch's index state management, which no server here has: a stand-in that answers as documented.

Source: https://docs.opensearch.org/latest/im-plugin/ism/api/ (create, update and get a policy). It adds what it has defaults
for, and replaces a policy only for who names the version that stands there.
"""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from connector.siem.elastic import installer
from connector.siem.elastic.assets import assets
from connector.siem.elastic.installer import Reply


class StateManagement:
    """One policy and its version; nothing else is here."""

    def __init__(self) -> None:
        self.policy: dict[str, Any] | None = None
        self.version = 4

    def request(self, method: str, path: str, body: Any = None) -> Reply:
        """PUT and GET of a policy."""
        if method == "GET":
            return (
                Reply(404, {"error": {"type": "status_exception"}}) if self.policy is None else Reply(200, self.told())
            )
        given = {name: int(values[0]) for name, values in parse_qs(urlsplit(path).query).items()}
        if given != ({} if self.policy is None else {"if_seq_no": self.version, "if_primary_term": 1}):
            return Reply(409, {"error": {"type": "version_conflict_engine_exception"}})
        self.policy, self.version = copy.deepcopy(body["policy"]), self.version + 1
        return Reply(200, self.told())

    def told(self) -> dict[str, Any]:
        """The policy as it is read."""
        assert self.policy is not None
        retry = {"count": 3, "backoff": "exponential", "delay": "1m"}
        states = [{**s, "actions": [{"retry": retry, **a} for a in s["actions"]]} for s in self.policy["states"]]
        templates = [{**template, "last_updated_time": 1} for template in self.policy["ism_template"]]
        policy = {**self.policy, "states": states, "ism_template": templates, "policy_id": "p", "schema_version": 21}
        return {"_id": "p", "_version": 1, "_seq_no": self.version, "_primary_term": 1, "policy": policy}


LIFECYCLE = [asset for asset in assets("opensearch", "table") if asset.kind == "lifecycle"]


def test_a_policy_that_stands_there_with_the_servers_defaults_is_not_installed_again() -> None:
    server = StateManagement()
    assert [change.state for change in installer.install(server, installer.plan(server, LIFECYCLE))] == ["missing"]
    assert [change.state for change in installer.plan(server, LIFECYCLE)] == ["installed"]


def test_a_policy_that_somebody_changed_is_replaced_by_the_version_that_was_read() -> None:
    server = StateManagement()
    installer.install(server, installer.plan(server, LIFECYCLE))
    assert server.policy is not None
    server.policy["states"][1]["transitions"][0]["conditions"]["min_index_age"] = "9d"
    assert [change.state for change in installer.install(server, installer.plan(server, LIFECYCLE))] == ["differs"]
    assert [change.state for change in installer.plan(server, LIFECYCLE)] == ["installed"]


class NothingYet:
    """A server on which nothing is installed; ``lifecycle`` says whether it knows lifecycle policies."""

    def __init__(self, *, lifecycle: bool) -> None:
        self.lifecycle = lifecycle

    def request(self, method: str, path: str, body: Any = None) -> Reply:
        """404 for what is missing, and as Elasticsearch answers for a path that no handler has."""
        if path.startswith("/_ilm/") and not self.lifecycle:
            return Reply(400, {"error": f"no handler found for uri [{path}] and method [{method}]", "status": 400})
        return Reply(404, {"error": {"type": "resource_not_found_exception"}})


@pytest.mark.parametrize("lifecycle", [True, False])
def test_verdicts_are_managed_by_the_policy_where_elasticsearch_has_policies_and_else_name_none(
    lifecycle: bool,
) -> None:
    changes = installer.plan(NothingYet(lifecycle=lifecycle), assets("elasticsearch", "table"))
    named = {
        change.asset.name: change.wanted["template"]["settings"]["index"].get("lifecycle")
        for change in changes
        if change.asset.kind == "index template" and change.asset.name != "triaged-lookup"
    }
    assert named.pop("triaged-verdicts") == ({"name": "triaged-verdicts"} if lifecycle else None)
    assert set(named.values()) == {None}


def test_opensearch_s_policy_takes_the_months_of_the_configured_prefix_and_its_templates_name_none() -> None:
    made = {asset.name: asset.body for asset in assets("opensearch", "table", prefix="soc")}
    policy = next(a.body for a in assets("opensearch", "table", prefix="soc") if a.kind == "lifecycle")["policy"]
    assert policy["ism_template"][0]["index_patterns"] == ["soc-verdicts-*"]
    assert "lifecycle" not in made["soc-verdicts"]["template"]["settings"]["index"]
