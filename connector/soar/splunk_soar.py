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
from typing import Any, ClassVar, Final, Literal, TypeVar

import msgspec
from pydantic import Field

from connector.errors import PermanentError, TransientError
from connector.ports import Clock, SoarPlugin
from connector.retries import SECONDS
from connector.settings import Every, SoarSettings
from connector.soar.answers import Reader
from connector.soar.rest import LONGEST_REASON, Rest, RestSettings, path, refused
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


class _Told(msgspec.Struct, frozen=True):
    """Any answer. ``message`` is a text; a run's may be JSON."""

    failed: bool = False
    message: Json = None


class _Row(_Told, frozen=True):
    """One container, artifact or run, or what became of a request for one. An id of 0 is none."""

    id: int = 0
    existing_container_id: int = 0
    playbook_run_id: int | str = 0
    source_data_identifier: str | None = None
    status: str | None = None
    start_time: str | None = None
    create_time: str | None = None


class _Page(_Told, frozen=True):
    """A list of them."""

    data: tuple[_Row, ...] = ()


T = TypeVar("T", bound=_Told)
_told: Final[Reader[_Told]] = Reader(_Told)
_row: Final[Reader[_Row]] = Reader(_Row)
_page: Final[Reader[_Page]] = Reader(_Page)


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
        patience = Patience(self._config.timeout)
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
        started = self._posted(RUNS, body, _row, patience.left())
        if not started.playbook_run_id:
            raise TransientError(f"POST {RUNS} on {self.name}: the answer names no run", sent=True)
        return self._ref(str(started.playbook_run_id))

    def preview(self, action: Action) -> Json:
        """The container."""
        playbook = platform_playbook(self._config.playbooks, action, self.name)
        if self._config.start == "automation":
            return _body(action, playbook, {})
        return _body(action, self._config.label, {"run_automation": False})

    def find(self, key: str) -> RunRef | None:
        """The first run on the key's container; where the platform starts playbooks, the container itself."""
        for container in self._listed(CONTAINERS, "source_data_identifier", json.dumps(key), 10):
            if self._config.start == "automation":
                return self._ref(f"{_CONTAINER}{container.id}")
            for run in self._listed(RUNS, "container", str(container.id), 1):
                return self._ref(str(run.id))
        return None

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """How the run stands, or those that the container started. Raises ``PermanentError`` where it is gone."""
        container = run.run_id.removeprefix(_CONTAINER)
        runs: tuple[_Row, ...]
        if container == run.run_id:
            seen = self._got(path("rest", "playbook_run", run.run_id), _row)
            began, runs = seen.start_time, (seen,)
        else:
            began = self._got(path("rest", "container", container), _row).create_time
            runs = self._listed(RUNS, "container", container, _ALL)
        state, detail = _outcome(runs)
        if state == "running" and is_overdue(began, self._clock(), self._config.run_timeout):
            state, detail = "timed_out", f"no end within {self._config.run_timeout}: {detail}"
        return status_of(action, run, state, detail, self._clock())

    def _container(self, action: Action, label: str, more: Mapping[str, bool]) -> tuple[int, bool]:
        """The action's container, and whether it is a new one."""
        body = _body(action, label, more)
        status, text = self._rest.raw("POST", CONTAINERS, msgspec.json.encode(body), allowed=(_DUPLICATE,))
        if existing := _existing(text):
            return existing, False
        what = f"POST {CONTAINERS} on {self.name}"
        if status == _DUPLICATE:
            raise refused(status, text, what)
        made = _accepted(_row(text, what), what)
        if not made.id:
            raise TransientError(f"{what}: the answer names no container", sent=True)
        return made.id, True

    def _complete(self, container: int, action: Action) -> None:
        """Sends the artifacts that a container lacks: one that was begun may have been cut off."""
        there = {one.source_data_identifier for one in self._listed(ARTIFACTS, "container", str(container), _ALL)}
        for artifact in _artifacts(action, evidence(action)):
            if artifact["source_data_identifier"] not in there:
                self._posted(ARTIFACTS, {**artifact, "container_id": container, "run_automation": False}, _told)

    def _listed(self, of: str, field: str, value: str, limit: int) -> tuple[_Row, ...]:
        """What has this value in this field, oldest first."""
        query: dict[str, str | int] = {f"_filter_{field}": value, "sort": "id", "order": "asc", "page_size": limit}
        return self._got(of, _page, query).data

    def _got(self, of: str, read: Reader[T], query: Mapping[str, str | int] | None = None) -> T:
        what = f"GET {of} on {self.name}"
        with starting_nothing():
            _, text = self._rest.raw("GET", of, query=query)
            return _accepted(read(text, what), what)

    def _posted(self, place: str, body: Json, read: Reader[T], seconds: float = SECONDS) -> T:
        what = f"POST {place} on {self.name}"
        _, text = self._rest.raw("POST", place, msgspec.json.encode(body), seconds=seconds)
        return _accepted(read(text, what), what)

    def _ref(self, run_id: str) -> RunRef:
        return RunRef(soar=self.name, run_id=run_id)


def _body(action: Action, label: str, more: Mapping[str, bool]) -> dict[str, Json]:
    """The container of an action. ``more`` goes into it and each of its artifacts."""
    shown = evidence(action)
    return {
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


def _outcome(runs: Sequence[_Row]) -> tuple[RunState, str]:
    """How runs stand together: over when all are, well only if all went well."""
    if not runs:
        return "running", "no active playbook has begun on the container"
    states = [STATES.get(str(run.status), "running") for run in runs]
    state: RunState = next((one for one in ("running", "failed") if one in states), "succeeded")
    return state, "; ".join(_words(run) for run, one in zip(runs, states, strict=True) if one == state)


def _words(run: _Row) -> str:
    """What a run says of itself: its message is a text, or JSON with a message in it."""
    said = run.message
    if isinstance(said, str) and said.startswith("{"):
        with suppress(ValueError, RecursionError):
            said = msgspec.json.decode(said).get("message", said)
    return ": ".join(part for part in (one_line(str(run.status)), one_line(str(said or ""), LONGEST_REASON)) if part)


def _existing(text: bytes) -> int:
    """The container that an answer names as the one that is there; 0 where it names none."""
    with suppress(TransientError):
        return _row(text, "").existing_container_id
    return 0


def _accepted(told: T, what: str) -> T:
    """The answer, unless it says that it failed: the platform says so with any status."""
    if told.failed:
        raise PermanentError(f"{what}: {one_line(str(told.message), LONGEST_REASON)}")
    return told


plugin = SoarPlugin(soar=SplunkSoar, testbed="tests.soar.splunk_soar:SplunkSoarPlatform")
