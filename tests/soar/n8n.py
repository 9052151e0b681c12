"""n8n as a SOAR: a workflow that believes only signed requests, answers with its execution's id, and then does its work.

n8n has nothing that would keep a second execution from being made for the same key: ``uniqueness`` is ``none``.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from connector.ports import SoarPlugin
from connector.soar.webhook import WebhookSoar
from tests.servers.n8n import N8n
from tests.servers.shared import shared

SECRET = "whsec_dGhlIHNlY3JldCB0aGF0IHRoZSBuOG4gaGFzIGFzIHdlbGw="
CODE = Path(__file__).parent / "flow" / "believe.n8n.js"

SETTINGS = """
[soars.n8n]
type = "webhook"
url = "{url}/webhook/triaged"
hosts = ["127.0.0.1"]
secret = "{secret}"
every = "PT0.1S"
[soars.n8n.status]
url = "{url}/api/v1/executions/{{run}}?includeData=true"
headers = {{ X-N8N-API-KEY = "{api_key}" }}
detail = "/data/resultData/runData/Done/0/data/main/0/0/json/result"
"""


def nodes() -> Sequence[Mapping[str, Any]]:
    """Webhook → believe → if → answer → work."""
    believed = {
        "leftValue": "={{ $json.believed }}",
        "rightValue": "",
        "operator": {"type": "boolean", "operation": "true", "singleValue": True},
    }
    options = {"caseSensitive": True, "leftValue": "", "typeValidation": "strict", "version": 2}
    result = {
        "id": "1",
        "name": "result",
        "type": "string",
        "value": "={{ $('Believe').item.json.action.playbook }}: done",
    }
    key = {"id": "2", "name": "key", "type": "string", "value": "={{ $('Believe').item.json.key }}"}
    return [
        node(
            "Webhook",
            "webhook",
            2,
            path="triaged",
            httpMethod="POST",
            responseMode="responseNode",
            options={"rawBody": True},
        ),
        node("Believe", "code", 2, mode="runOnceForEachItem", jsCode=CODE.read_text(encoding="utf-8")),
        node(
            "Signed",
            "if",
            2,
            conditions={"options": options, "conditions": [believed], "combinator": "and"},
            options={},
        ),
        answer("Accept", "={{ { id: $execution.id } }}", 202),
        answer("Refuse", '={{ { message: "not signed by Triaged" } }}', 401),
        node("Done", "set", 3.4, assignments={"assignments": [result, key]}, options={}),
    ]


def connections() -> Mapping[str, Any]:
    """Who hands on to whom."""
    ways = {"Webhook": [["Believe"]], "Believe": [["Signed"]], "Signed": [["Accept"], ["Refuse"]], "Accept": [["Done"]]}
    return {
        name: {"main": [[{"node": to, "type": "main", "index": 0} for to in out] for out in outs]}
        for name, outs in ways.items()
    }


def node(name: str, kind: str, version: float, **parameters: Any) -> dict[str, Any]:
    more = {"webhookId": "triaged"} if kind == "webhook" else {}
    made = {"id": name, "name": name, "type": f"n8n-nodes-base.{kind}", "typeVersion": version, "position": [0, 0]}
    return {**made, "parameters": parameters, **more}


def answer(name: str, body: str, status: int) -> dict[str, Any]:
    options = {"responseCode": status}
    return node(name, "respondToWebhook", 1.1, respondWith="json", responseBody=body, options=options)


class N8nTestbed:
    """An n8n with that workflow, the same one for all of a process."""

    def __init__(self, _: Path) -> None:
        self.server = shared(SetUp)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """The server ends with the process."""

    def settings(self) -> str:
        """As a user would write them for this workflow."""
        return SETTINGS.format(url=self.server.url, secret=SECRET, api_key=self.server.api_key)

    def soar_config(self) -> Mapping[str, Any]:
        """The table alone."""
        table: Mapping[str, Any] = tomllib.loads(self.settings())["soars"]["n8n"]
        return table

    def runs(self) -> Mapping[str, int]:
        """Executions that came to the workflow's last node, by key, as n8n lists them."""
        listed = self.server.api("GET", "/executions?includeData=true&limit=250&status=success")["data"]
        data = (execution["data"]["resultData"]["runData"] for execution in listed)
        return Counter(one["Done"][0]["data"]["main"][0][0]["json"]["key"] for one in data if "Done" in one)


class SetUp(N8n):
    """With the secret, and the workflow switched on."""

    def __init__(self) -> None:
        super().__init__({"WEBHOOK_SECRET": SECRET})

    def start(self) -> SetUp:
        if not self.running:
            super().start()
            self.activate("Triaged", nodes(), connections())
        return self


plugin = SoarPlugin(soar=WebhookSoar, testbed="tests.soar.n8n:N8nTestbed")
