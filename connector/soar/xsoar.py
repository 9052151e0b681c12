"""Cortex XSOAR 6 and 8: an incident whose playbook starts with it.

An incident has no unique key, so it is searched for before it is made, by the action's key in an incident field of our own
(``field``); a new one is found once it is indexed (``index_delay``). The run is the incident: ``runStatus`` says how its
playbook stands, ``status`` and ``closeReason`` whether somebody closed it.

Version 8 has its API below ``/xsoar/public/v1`` and wants the key's id; an advanced key is never sent, but hashed with a
nonce and the time. References: https://docs-cortex.paloaltonetworks.com/r/Cortex-XSOAR-6-API and Cortex-XSOAR-8-API.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, Self, TypeVar

import msgspec
from pydantic import Field, model_validator

from connector.errors import ConfigError, PermanentError, TransientError
from connector.ports import Clock, SoarPlugin
from connector.retries import SECONDS
from connector.settings import Every, SoarSettings
from connector.soar.answers import Reader
from connector.soar.rest import LONGEST_REASON, Rest, RestSettings
from connector.soar.runs import (
    Patience,
    asks_for,
    evidence,
    is_overdue,
    moment_in,
    one_line,
    platform_playbook,
    starting_nothing,
    status_of,
    title,
)
from connector.transport import HeaderSecret
from connector.types import Action, Json, RunRef, RunState, RunStatus, VerdictName

SEVERITY: Final[Mapping[VerdictName, int]] = {"malicious": 3, "suspicious": 2, "benign": 1, "abstain": 0}
"""High, medium, low, unknown; critical (4) is for people to give."""

STATES: Final[Mapping[str, RunState]] = {"completed": "succeeded", "error": "failed"}
"""``runStatus`` → state. With any other, or none, the playbook has not ended."""

CLOSED: Final = frozenset({2, 3})
"""``status``: done and archived; 0 is pending, 1 active."""

GRACE: Final = timedelta(minutes=1)
"""A playbook may close its incident in its last but one step: this long after, it has been cut off."""

VERSION_8: Final = "/xsoar/public/v1"
_SOME: Final = 10


class _Incident(msgspec.Struct, frozen=True, rename="camel"):
    """An incident as the platform tells it. It reads ``customFields``, and writes ``CustomFields``."""

    id: Annotated[str, msgspec.Meta(min_length=1)]
    status: float | None = None
    run_status: str | None = None
    created: str | None = None
    closed: str | None = None
    close_reason: str | None = None
    close_notes: str | None = None
    fields: dict[str, Json] | None = msgspec.field(default=None, name="CustomFields")


class _Found(msgspec.Struct, frozen=True):
    data: tuple[_Incident, ...] | None = None


T = TypeVar("T")
_made: Final[Reader[_Incident]] = Reader(_Incident)
_found: Final[Reader[_Found]] = Reader(_Found)


class XsoarSettings(RestSettings):
    """The table of a Cortex XSOAR."""

    type: Literal["xsoar"] = "xsoar"
    api_key: HeaderSecret = Field(description="an API key")
    api_key_id: int | None = Field(None, ge=1, description="the key's id, with version 8; absent: version 6")
    advanced: bool = Field(False, description="whether the key's security level is advanced (version 8)")
    playbooks: dict[str, str] = Field(description="our playbooks by name: the id of the platform's")
    incident_type: str = Field("Unclassified", min_length=1, description="the type of the incidents")
    field: str = Field(
        "triagedactionkey",
        pattern=r"^[a-z][a-z0-9]*$",
        description="machine name of the incident field that holds the action's key",
    )
    index_delay: Every = Field(timedelta(seconds=10), description="how long an incident may take to be found")
    run_timeout: Every = Field(timedelta(hours=1), description="how long a run may go on before it counts as timed out")

    @model_validator(mode="after")
    def _is_one_version(self) -> Self:
        if self.advanced and self.api_key_id is None:
            raise ValueError("advanced keys are of version 8: give `api_key_id`")
        return self


class Xsoar:
    """Runs playbooks on one Cortex XSOAR."""

    Config: ClassVar[type[SoarSettings]] = XsoarSettings
    uniqueness: Literal["key", "search", "none"] = "search"
    index_delay: float

    def __init__(self, name: str, config: XsoarSettings, clock: Clock) -> None:
        self.name = name
        self.index_delay = config.index_delay.total_seconds()
        self._config = config
        self._clock = clock
        self._rest = Rest(config, {})
        self._prefix = "" if config.api_key_id is None else VERSION_8
        self._newest = ""
        self._lost_field = False

    def run(self, action: Action) -> RunRef:
        """Makes the incident, with its playbook, unless it is found.

        Raises ``ConfigError`` once an incident was seen without our field: no later one could be found.
        """
        playbook = platform_playbook(self._config.playbooks, action, self.name)
        patience = Patience(self._config.timeout)
        with starting_nothing():
            found = self.find(action.key)
        if found is not None:
            return found
        made = self._post("/incident", self._incident(action, playbook), _made, patience.left())
        self._newest = made.id
        if made.fields is not None:
            self._lost_field = not self._key_in(made)
        return RunRef(soar=self.name, run_id=self._newest)

    def preview(self, action: Action) -> Json:
        """The incident."""
        return self._incident(action, platform_playbook(self._config.playbooks, action, self.name))

    def find(self, key: str) -> RunRef | None:
        """The oldest incident that has this key in our field."""
        if self._lost_field:
            raise ConfigError(
                f"SOAR {self.name!r} drops the incident field {self._config.field!r}, by which a run is found again: "
                "define it there (short text, searchable, for this incident type), then reload"
            )
        quoted = key.replace("\\", "\\\\").replace('"', '\\"')
        wanted = {"query": f'{self._config.field}:"{quoted}"', "sort": [{"field": "created", "asc": True}]}
        for incident in self._searched(wanted):
            if self._key_in(incident) == key:
                return RunRef(soar=self.name, run_id=incident.id)
        return None

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """How the incident's playbook stands. Raises ``PermanentError`` where the incident is gone."""
        incidents = self._searched({"id": [run.run_id]})
        if not incidents:
            raise PermanentError(f"SOAR {self.name!r} has no incident {run.run_id!r}")
        incident, now = next((one for one in incidents if one.id == run.run_id), None), self._clock()
        if incident is None:
            raise TransientError(f"SOAR {self.name!r} was asked for incident {run.run_id!r}, and told of others")
        if run.run_id == self._newest:
            self._lost_field = not self._key_in(incident)
        state = _state(incident, now)
        detail = _words(incident)
        if state == "running" and is_overdue(incident.created, now, self._config.run_timeout):
            state, detail = "timed_out", f"no end within {self._config.run_timeout}: {detail}"
        return status_of(action, run, state, detail, now)

    def _incident(self, action: Action, playbook: str) -> dict[str, Json]:
        shown = evidence(action)
        labels = {**shown["action"], **shown["entity"], "techniques": ", ".join(action.verdict.passed)}
        return {
            "name": title(action),
            "type": self._config.incident_type,
            "severity": SEVERITY[action.verdict.verdict],
            "details": asks_for(shown),
            "labels": [{"type": name, "value": value} for name, value in labels.items() if value],
            "rawJSON": msgspec.json.encode(shown).decode(),
            "customFields": {self._config.field: action.key},
            "playbookId": playbook,
            "createInvestigation": True,
        }

    def _searched(self, wanted: Mapping[str, Json]) -> tuple[_Incident, ...]:
        """The first incidents that this filter gives. A search that gets no answer has done nothing."""
        with starting_nothing():
            body = {"filter": {**wanted, "page": 0, "size": _SOME}}
            return self._post("/incidents/search", body, _found).data or ()

    def _post(self, place: str, body: Json, read: Reader[T], seconds: float = SECONDS) -> T:
        place, data = f"{self._prefix}{place}", msgspec.json.encode(body)
        _, text = self._rest.raw("POST", place, data, headers=self._credentials(), seconds=seconds)
        return read(text, f"POST {place} on {self.name}")

    def _credentials(self) -> dict[str, str]:
        """The headers that prove who asks; with an advanced key they are new for each request."""
        key = self._config.api_key.get_secret_value()
        if self._config.api_key_id is None:
            return {"Authorization": key}
        known = {"x-xdr-auth-id": str(self._config.api_key_id)}
        if not self._config.advanced:
            return {**known, "Authorization": key}
        nonce, moment = secrets.token_hex(32), str(int(self._clock().timestamp() * 1000))
        digest = hashlib.sha256(f"{key}{nonce}{moment}".encode()).hexdigest()
        return {**known, "x-xdr-nonce": nonce, "x-xdr-timestamp": moment, "Authorization": digest}

    def _key_in(self, incident: _Incident) -> Json:
        """What an incident holds in our field."""
        return (incident.fields or {}).get(self._config.field)


def _state(incident: _Incident, now: datetime) -> RunState:
    """Over when the playbook is, or when the incident was closed before it."""
    state = STATES.get(incident.run_status or "", "running")
    if state == "running" and incident.status in CLOSED:
        closed = moment_in(incident.closed)
        return "failed" if closed is None or now - closed > GRACE else "running"
    return state


def _words(incident: _Incident) -> str:
    """``playbook completed; closed as Resolved: contained``: the platform's words, on one line."""
    words = f"playbook {incident.run_status or 'not begun'}"
    if incident.status in CLOSED:
        words += f"; closed as {incident.close_reason or 'nothing'}"
        words += f": {incident.close_notes}" if incident.close_notes else ""
    return one_line(words, LONGEST_REASON)


plugin = SoarPlugin(soar=Xsoar, testbed="tests.soar.xsoar:XsoarPlatform")
