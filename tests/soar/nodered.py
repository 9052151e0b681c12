"""Node-RED as a SOAR: a flow that believes only signed requests, runs each key once, and tells how runs ended.

The texts of its function nodes are ``flow/*.js``; ``python -m tests.soar.nodered`` prints the whole as *Import* takes it.
"""

from __future__ import annotations

import json
import sys
import tomllib
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from connector.ports import SoarPlugin
from connector.soar.webhook import WebhookSoar
from tests.servers.nodered import NodeRed
from tests.servers.shared import shared

SECRET = "whsec_dGhlIHNlY3JldCB0aGF0IE5vZGUtUkVEIGhhcyBhcyB3ZWxs"
API_KEY = "a key for asking how runs stand"
PLACES = {
    "hook": (120, 120),
    "believe": (300, 120),
    "route": (460, 120),
    "finish": (840, 120),
    "isolate": (640, 60),
    "notify": (640, 120),
    "other": (640, 180),
    "one": (120, 280),
    "all": (120, 340),
    "tell": (300, 310),
    "answer": (640, 310),
}
FUNCTIONS = Path(__file__).parent / "flow"


def flow() -> Sequence[Mapping[str, Any]]:
    """Three ways in: the webhook, the state of one run, and (for tests) all runs."""
    return [
        {"id": "tab", "type": "tab", "label": "Triaged", "env": [entry("SECRET", SECRET), entry("API_KEY", API_KEY)]},
        http_in("hook", "post", "/triaged", "believe", skipBodyParsing=True),
        function("believe", [["answer"], ["route"]], libs=[{"var": "crypto", "module": "crypto"}]),
        {
            **node("route", "switch", [["isolate"], ["notify"], ["other"]]),
            "property": "payload.action.playbook",
            "propertyType": "msg",
            "rules": [
                {"t": "eq", "v": "isolate-host", "vt": "str"},
                {"t": "eq", "v": "notify-on-call", "vt": "str"},
                {"t": "else"},
            ],
            "checkall": "false",
        },
        change("isolate", "the EDR isolated the endpoint"),
        change("notify", "the analyst on call was paged"),
        change("other", "a ticket was opened"),
        function("finish", []),
        http_in("one", "get", "/triaged/runs/:key", "tell"),
        http_in("all", "get", "/triaged/runs", "tell"),
        function("tell", [["answer"]]),
        {**node("answer", "http response", []), "statusCode": "", "headers": {}},
    ]


def node(name: str, kind: str, wires: Sequence[Sequence[str]]) -> dict[str, Any]:
    x, y = PLACES[name]
    return {"id": name, "type": kind, "z": "tab", "name": name, "wires": wires, "x": x, "y": y}


def entry(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value, "type": "str"}


def http_in(name: str, method: str, url: str, behind: str, **more: Any) -> dict[str, Any]:
    return {
        **node(name, "http in", [[behind]]),
        "url": url,
        "method": method,
        "upload": False,
        "swaggerDoc": "",
        **more,
    }


def function(name: str, wires: Sequence[Sequence[str]], libs: Sequence[Any] = ()) -> dict[str, Any]:
    text = (FUNCTIONS / f"{name}.js").read_text(encoding="utf-8")
    more = {"timeout": 0, "noerr": 0, "initialize": "", "finalize": "", "libs": list(libs)}
    return {**node(name, "function", wires), "func": text, "outputs": len(wires), **more}


def change(name: str, result: str) -> dict[str, Any]:
    """What stands for the work: a node that sets what came of it."""
    rule = {"t": "set", "p": "payload.result", "pt": "msg", "to": result, "tot": "str"}
    return {**node(name, "change", [["finish"]]), "rules": [rule]}


SETTINGS = """
[soars.flow]
type = "webhook"
url = "{url}/triaged"
hosts = ["127.0.0.1"]
secret = "{secret}"
uniqueness = "key"
every = "PT0.1S"
[soars.flow.status]
url = "{url}/triaged/runs/{{key}}"
headers = {{ X-Api-Key = "{api_key}" }}
detail = "/result"
"""


class NodeRedTestbed:
    """A Node-RED with that flow, the same one for all of a process."""

    def __init__(self, _: Path) -> None:
        self.server = shared(NodeRed)

    def __enter__(self) -> Self:
        self.server.deploy(flow())
        return self

    def __exit__(self, *_: object) -> None:
        """The server ends with the process."""

    def settings(self) -> str:
        """As a user would write them for this flow."""
        return SETTINGS.format(url=self.server.url, secret=SECRET, api_key=API_KEY)

    def soar_config(self) -> Mapping[str, Any]:
        """The table alone."""
        table: Mapping[str, Any] = tomllib.loads(self.settings())["soars"]["flow"]
        return table

    def finished(self) -> Mapping[str, Mapping[str, Any]]:
        """Every run by its key, as the flow tells of them itself."""
        request = urllib.request.Request(f"{self.server.url}/triaged/runs", headers={"X-Api-Key": API_KEY})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return {run["key"]: run for run in json.load(answer)}

    def runs(self) -> Mapping[str, int]:
        """How often the flow's last node was reached, by key."""
        return {key: run["times"] for key, run in self.finished().items()}


plugin = SoarPlugin(soar=WebhookSoar, testbed="tests.soar.nodered:NodeRedTestbed")


if __name__ == "__main__":
    sys.stdout.write(json.dumps(flow(), indent=2) + "\n")
