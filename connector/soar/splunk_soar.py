"""Splunk SOAR: a container with its artifacts, and a playbook that runs on it.

A container's ``source_data_identifier`` is unique: it is the action's key, so a container is there once however often it is
sent. A playbook run has no such key. What that gives depends on who starts the playbook (``start``)::

    playbook     we do, by name, after the container    search: a run whose start got no answer is looked for by container
    automation   the platform's active playbooks do,    key: a second container with the key is refused, and starts nothing
                 when the container comes

REST reference: https://help.splunk.com/en/splunk-soar/soar-on-premises/rest-api-reference. Artifacts are not held apart
by their identifiers (as of 8.5): missing ones are found by them and sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from connector.errors import PermanentError, TransientError
from connector.ports import Clock, SoarPlugin
from connector.settings import Every, SoarSettings
from connector.soar.rest import Rest, RestSettings, path, reason_in, refused
from connector.soar.runs import (
    Patience,
    asks_for,
    evidence,
    is_overdue,
    one_line,
    platform_playbook,
    starting_nothing,
    status_of,
    title,
)
from connector.transport import HeaderSecret
from connector.types import Action, Json, RunRef, RunState, RunStatus, VerdictName

SEVERITY: Final[Mapping[VerdictName, str]] = {
    "malicious": "high",
    "suspicious": "medium",
    "benign": "low",
    "abstain": "low",
}
"""The platform's severity, by the verdict; every platform has these three unless its administrator removed one."""

STATES: Final[Mapping[str, RunState]] = {
    "pending": "running",
    "running": "running",
    "success": "succeeded",
    "failed": "failed",
    "cancelled": "failed",
    "canceled": "failed",
}
"""``playbook_run.status`` → state. One that is not here counts as running, until ``run_timeout``."""

CONTAINERS: Final = "/rest/container"
ARTIFACTS: Final = "/rest/artifact"
RUNS: Final = "/rest/playbook_run"
_ALL: Final = 0
"""``page_size`` for everything."""
_CONTAINER: Final = "container-"
_DUPLICATE: Final = 400
"""A container that exists is refused so, with ``existing_container_id``."""


class SplunkSoarSettings(RestSettings):
    """The table of a Splunk SOAR."""

    type: Literal["splunk_soar"] = "splunk_soar"
    token: HeaderSecret = Field(description="`ph-auth-token` of an automation user")
    playbooks: dict[str, str] = Field(
        description='our playbooks by name: `repository/name` or id; with `start = "automation"` the container\'s label'
    )
    start: Literal["playbook", "automation"] = Field(
        "playbook", description="who starts a playbook: we, or the platform"
    )
    label: str = Field("events", min_length=1, description="the containers' label, where we start playbooks")
    index_delay: Every = Field(timedelta(seconds=5), description="how long a run may take to be listed")
    run_timeout: Every = Field(timedelta(hours=1), description="how long a run may go on before it counts as timed out")


class SplunkSoar:
    """Runs playbooks on one Splunk SOAR."""

    Config: ClassVar[type[SoarSettings]] = SplunkSoarSettings
    uniqueness: Literal["key", "search", "none"] = "search"
    index_delay: float

    def __init__(self, name: str, config: SplunkSoarSettings, clock: Clock) -> None:
        self.name = name
        self.index_delay = config.index_delay.total_seconds()
        if config.start == "automation":
            self.uniqueness = "key"
        self._config = config
        self._clock = clock
        self._rest = Rest(config, {"ph-auth-token": config.token.get_secret_value()})

    def run(self, action: Action) -> RunRef:
        """Puts the container there, and starts its playbook unless the platform does."""
        playbook = platform_playbook(self._config.playbooks, action, self.name)
        if self._config.start == "automation":
            container, _ = self._container(action, playbook, {})
            return self._ref(f"{_CONTAINER}{container}")
        patience = Patience()
        with starting_nothing():
            container, is_new = self._container(action, self._config.label, {"run_automation": False})
            if not is_new:
                self._complete(container, action)
        body = {
            "container_id": container,
            "playbook_id": int(playbook) if playbook.isdecimal() else playbook,
            "scope": "all",
            "run": True,
        }
        what = f"POST {RUNS}"
        started = _accepted(self._rest.ask("POST", RUNS, body, seconds=patience.left()).data, what)
        return self._ref(str(_number(started, "playbook_run_id", what)))

    def find(self, key: str) -> RunRef | None:
        """The first run on the key's container; where the platform starts playbooks, the container itself."""
        for container in self._listed(CONTAINERS, "source_data_identifier", json.dumps(key), 10):
            if self._config.start == "automation":
                return self._ref(f"{_CONTAINER}{container['id']}")
            for run in self._listed(RUNS, "container", container["id"], 1):
                return self._ref(str(run["id"]))
        return None

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """How the run stands, or those that the container started. Raises ``PermanentError`` where it is gone."""
        container = run.run_id.removeprefix(_CONTAINER)
        runs: Sequence[Mapping[str, Any]]
        if container == run.run_id:
            seen = self._got(path("rest", "playbook_run", run.run_id))
            runs = (seen,)
            began = seen.get("start_time")
        else:
            began = self._got(path("rest", "container", container)).get("create_time")
            runs = self._listed(RUNS, "container", container, _ALL)
        state, detail = _outcome(runs)
        if state == "running" and is_overdue(began, self._clock(), self._config.run_timeout):
            state, detail = "timed_out", f"no end within {self._config.run_timeout}: {detail}"
        return status_of(action, run, state, detail, self._clock())

    def _container(self, action: Action, label: str, more: Mapping[str, bool]) -> tuple[int, bool]:
        """The action's container, and whether it is a new one. ``more`` goes into it and each of its artifacts."""
        shown = evidence(action)
        body = {
            "name": title(action),
            "description": asks_for(shown),
            "label": label,
            "severity": SEVERITY[action.verdict.verdict],
            "source_data_identifier": action.key,
            "tags": ["triaged"],
            "data": shown,
            "artifacts": [{**artifact, **more} for artifact in _artifacts(action, shown)],
            **more,
        }
        what = f"POST {CONTAINERS}"
        status, told = self._rest.ask("POST", CONTAINERS, body, allowed=(_DUPLICATE,))
        existing = told.get("existing_container_id") if isinstance(told, dict) else None
        if existing is not None:
            return _number(told, "existing_container_id", what), False
        if status == _DUPLICATE:
            raise refused(status, msgspec.json.encode(told), what)
        return _number(_accepted(told, what), "id", what), True

    def _complete(self, container: int, action: Action) -> None:
        """Sends the artifacts that a container lacks: one that was begun may have been cut off."""
        there = {one.get("source_data_identifier") for one in self._listed(ARTIFACTS, "container", container, _ALL)}
        for artifact in _artifacts(action, evidence(action)):
            if artifact["source_data_identifier"] not in there:
                body = {**artifact, "container_id": container, "run_automation": False}
                _accepted(self._rest.post(ARTIFACTS, body), f"POST {ARTIFACTS}")

    def _listed(self, of: str, field: str, value: str | int, limit: int) -> Sequence[Any]:
        """What has this value in this field, oldest first."""
        query = {f"_filter_{field}": value, "sort": "id", "order": "asc", "page_size": limit}
        found: Sequence[Any] = self._got(of, query).get("data") or ()
        return found

    def _got(self, of: str, query: Mapping[str, str | int] | None = None) -> Mapping[str, Any]:
        return _accepted(self._rest.get(of, query), f"GET {of}")

    def _ref(self, run_id: str) -> RunRef:
        return RunRef(soar=self.name, run_id=run_id)


def _artifacts(action: Action, shown: Mapping[str, Json]) -> Iterator[dict[str, Any]]:
    """What playbooks read: the verdict, and each part of the entity in the CEF field that they look for it in."""
    verdict, entity = shown["verdict"], shown["entity"]
    told = {
        "externalId": verdict["event"]["id"],
        "cat": verdict["triaged"]["verdict"],
        "confidence": verdict["triaged"]["confidence"],
        "techniques": ", ".join(action.verdict.passed),
        "policyRule": shown["action"]["rule"],
        "actionKey": action.key,
    }
    yield _artifact(action, "verdict", told, {})
    if entity["host"] or entity["agent_id"]:
        named = {"destinationHostName": entity["host"], "deviceExternalId": entity["agent_id"]}
        yield _artifact(action, "host", named, {"destinationHostName": ["host name"]})
    if entity["user"]:
        yield _artifact(action, "user", {"destinationUserName": entity["user"]}, {"destinationUserName": ["user name"]})
    if entity["address"]:
        yield _artifact(action, "address", {"sourceAddress": entity["address"]}, {"sourceAddress": ["ip"]})


def _artifact(action: Action, kind: str, cef: Mapping[str, Json], types: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    return {
        "name": f"Triaged {kind}",
        "label": "event",
        "type": "triaged",
        "severity": SEVERITY[action.verdict.verdict],
        "source_data_identifier": f"{action.key}:{kind}",
        "cef": {field: value for field, value in cef.items() if value is not None},
        "cef_types": types,
    }


def _outcome(runs: Sequence[Mapping[str, Any]]) -> tuple[RunState, str]:
    """How runs stand together: over when all are, well only if all went well."""
    if not runs:
        return "running", "no active playbook has begun on the container"
    states = [STATES.get(str(run.get("status")), "running") for run in runs]
    state: RunState = next((one for one in ("running", "failed") if one in states), "succeeded")
    return state, "; ".join(_words(run) for run, one in zip(runs, states, strict=True) if one == state)


def _words(run: Mapping[str, Any]) -> str:
    """What a run says of itself: its message is a text, or JSON with a message in it."""
    said = run.get("message")
    if isinstance(said, str) and said.startswith("{"):
        with suppress(msgspec.DecodeError, RecursionError):
            said = msgspec.json.decode(said).get("message", said)
    words = reason_in(str(said or "").encode("utf-8", "replace"))
    return f"{one_line(str(run.get('status')))}: {words}" if words else one_line(str(run.get("status")))


def _accepted(answer: Any, what: str) -> Mapping[str, Any]:
    """The answer, unless it says that it failed: the platform says so with any status."""
    if not isinstance(answer, dict):
        raise TransientError(f"{what}: the answer is not an object", sent=True)
    if answer.get("failed"):
        raise PermanentError(f"{what}: {reason_in(str(answer.get('message')).encode('utf-8', 'replace'))}")
    return answer


def _number(answer: Mapping[str, Any], name: str, what: str) -> int:
    """An id of the answer: a number, or a text of digits."""
    value = answer.get(name)
    if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
        return int(value)
    raise TransientError(f"{what}: the answer has no {name}", sent=True)


plugin = SoarPlugin(soar=SplunkSoar, testbed="tests.soar.splunk_soar:SplunkSoarPlatform")
