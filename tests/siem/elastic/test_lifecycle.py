"""The installer and OpenSearch's index state management, which no server here has: a stand-in that answers as documented.

Source: https://docs.opensearch.org/latest/im-plugin/ism/api/ (create, update and get a policy). It adds what it has defaults
for, and replaces a policy only for who names the version that stands there.
"""

from __future__ import annotations

import copy
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
