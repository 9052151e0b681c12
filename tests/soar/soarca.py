"""SOARCA as its source has it: a playbook is checked, an execution started, and the latest ten are reported.

``carried_out`` is what its capabilities would do: the executors' own rules (targets, addresses, variables as bare text),
read from the source of its releases 1.x.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

from connector.types import RunState
from tests.soar.platform import Platform
from tests.splunkd.wire import Answer, Request, json_answer

TOKEN = "a.jwt.of-soarca"
IDENTIFIER = re.compile(
    r"[a-z][a-z0-9-]+[a-z0-9]--[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
LATEST = 10
CAPABILITIES = frozenset({"soarca-http-api", "soarca-openc2-http", "soarca-ssh", "soarca-powershell", "soarca-manual"})


class Sent(NamedTuple):
    """One HTTP request, or one command, of a capability."""

    capability: str
    method: str
    address: str
    headers: Mapping[str, Any]
    content: str


class SoarcaPlatform(Platform):
    """One SOARCA. ``id_name`` is what it calls an execution's id."""

    statuses: ClassVar[Mapping[RunState, str]] = {
        "running": "ongoing",
        "succeeded": "successfully_executed",
        "failed": "failed",
        "timed_out": "timeout_error",
    }

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.id_name = "execution_id"
        self.reports: list[dict[str, Any]] = []
        self.playbooks: list[dict[str, Any]] = []

    def soar_config(self) -> Mapping[str, Any]:
        return {"type": "soarca", "url": self.url, "token": TOKEN, "index_delay": "PT0.05S"}

    def starts(self, request: Request) -> bool:
        return request.method == "POST" and request.path == "/trigger/playbook"

    def runs(self) -> Mapping[str, int]:
        counted: dict[str, int] = {}
        for playbook in self.playbooks:
            key = playbook["id"].removeprefix("playbook--")
            counted[key] = counted.get(key, 0) + 1
        return counted

    def forget(self) -> None:
        """Ten other executions push these out of the cache."""
        self.reports.clear()

    def serve(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return json_answer({"error": "unauthorized"}, 401)
        if self.starts(request):
            return self._trigger(request)
        if request.url == "/reporter":
            return Answer(status=301, headers={"Location": "/reporter/"})
        if request.path in {"/reporter", "/reporter/"}:
            return json_answer([self._report(report) for report in self.reports])
        wanted = request.path.removeprefix("/reporter/")
        for report in self.reports:
            if report[self.id_name] == wanted:
                return json_answer(self._report(report))
        return self._refused("Could not find execution for given ID", request)

    def _trigger(self, request: Request) -> Answer:
        playbook = json.loads(request.body)
        if faults := list(faults_of(playbook)):
            return self._refused(f"Failed to decode playbook {faults}", request)
        self.playbooks.append(playbook)
        started = datetime.fromtimestamp(request.at, UTC).isoformat()
        report = {self.id_name: str(uuid4()), "playbook_id": playbook["id"], "started": started}
        self.reports = [*self.reports, report][-LATEST:]
        return json_answer({name: report[name] for name in (self.id_name, "playbook_id")})

    def _report(self, report: Mapping[str, Any]) -> dict[str, Any]:
        status = self.statuses[self.outcome]
        step = {"name": "Send the notification", "status": status, "status_text": f"this step: {status}"}
        return {
            **report,
            "type": "execution_status",
            "ended": "0001-01-01T00:00:00Z" if self.outcome == "running" else report["started"],
            "status": status,
            "status_text": f"playbook: {status}",
            "step_results": {"action--310a853e-ec9a-42f2-8ea9-877af376bc25": step},
            "request_interval": 5,
        }

    def _refused(self, message: str, request: Request) -> Answer:
        call = f"{request.method} {request.path}"
        return json_answer({"status": 400, "message": message, "original-call": call, "downstream-call": ""}, 400)


def faults_of(playbook: Mapping[str, Any]) -> Iterator[str]:
    """What SOARCA's schema and its own checks find: identifiers, absent values, agents and targets that are not defined."""
    yield from _nulls(playbook, "")
    if playbook.get("spec_version") != "cacao-2.0" or playbook.get("workflow_start") not in playbook["workflow"]:
        yield "version or start"
    named = {**playbook.get("agent_definitions", {}), **playbook.get("target_definitions", {})}
    yield from (key for key in (playbook["id"], *playbook["workflow"], *named) if not IDENTIFIER.fullmatch(key))
    for key, step in playbook["workflow"].items():
        if step["type"] == "action":
            if step["agent"] not in playbook["agent_definitions"]:
                yield f"agent {step['agent']}not found in agent_definitions"
            if not set(step.get("targets", ())) <= playbook["target_definitions"].keys():
                yield f"targets of {key}"
        if step["type"] != "end" and not step.get("on_completion") and not step.get("on_success"):
            yield f"{key} leads nowhere"


def carried_out(playbook: Mapping[str, Any]) -> list[Sent]:
    """What its executors do with each command, on each target; nothing where a step has no target."""
    variables = playbook.get("playbook_variables", {})
    sent: list[Sent] = []
    for step in playbook["workflow"].values():
        capability = playbook["agent_definitions"][step["agent"]]["name"] if "agent" in step else ""
        if capability and capability not in CAPABILITIES:
            raise LookupError(f"capability: {capability} is not available in soarca")
        for command in step.get("commands", ()):
            targets = [playbook["target_definitions"][target] for target in step.get("targets", ())]
            sent += [_sent(capability, command, target, variables) for target in targets]
    return sent


def _sent(capability: str, command: Mapping[str, Any], target: Mapping[str, Any], variables: Mapping[str, Any]) -> Sent:
    def interpolated(text: str) -> str:
        return re.sub(
            r"(__[A-Za-z_][A-Za-z0-9_-]*?__):value",
            lambda found: variables.get(found[1], {}).get("value", found[0]),
            text,
        )

    words = interpolated(command.get("command", "")).split(" ")
    headers = {name: [interpolated(one) for one in values] for name, values in command.get("headers", {}).items()}
    content = interpolated(command.get("content", ""))
    if command["type"] not in {"http-api", "openc2-http"}:
        return Sent(capability, "", target["name"], headers, " ".join(words))
    return Sent(capability, words[0], _address(target, words[1]), headers, content)


def _address(target: Mapping[str, Any], path: str) -> str:
    address = target["address"]
    if address.get("url"):
        return str(address["url"][0])
    port = target.get("port") or "80"
    scheme = "http" if port in {"80", "8080"} else "https"
    return f"{scheme}://{(address.get('dname') or address['ipv4'])[0]}:{port}{path}"


def _nulls(node: Any, place: str) -> Iterator[str]:
    if node is None or node == [] or (node == {} and place):
        yield f"{place} is empty"
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _nulls(value, f"{place}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _nulls(value, f"{place}[{index}]")
