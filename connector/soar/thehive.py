"""TheHive 5: an action becomes an alert, which waits for an analyst.

Nothing is carried out there: the alert says which playbook the policy asks for, and an analyst imports it into a case (with
the case template of that playbook, where there is one) or closes it. Either is the end of the run.

``uniqueness`` is ``key``: the triple of type, source and sourceRef is unique in an organisation, and sourceRef is the action's
key. A second alert is refused with 400 and ``CreateError``, from 5.6 on with 409, and the first one is found by its name,
``type;source;sourceRef``. Its open predecessor looked for the triple and then wrote, so a second request waits until a first
one that got no answer is surely over. API reference: https://docs.strangebee.com/thehive/api-docs/ (5.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias

import msgspec
from pydantic import Field

from connector.attack import catalogue
from connector.errors import PermanentError
from connector.policy.document import address_of
from connector.ports import Clock, SoarPlugin
from connector.settings import Every, SoarSettings
from connector.soar.answers import Reader
from connector.soar.rest import Rest, RestSettings, path, refused
from connector.soar.runs import evidence, moment_in, one_line, starting_nothing, status_of, title
from connector.transport import HeaderSecret
from connector.types import Action, Json, RunRef, RunState, RunStatus, Verdict, VerdictName

ALERTS: Final = "/api/v1/alert"
SEVERITY: Final[Mapping[VerdictName, int]] = {"malicious": 3, "suspicious": 2, "benign": 1, "abstain": 1}
"""1 low to 4 critical; a containment is one above its verdict."""

STAGES: Final[Mapping[str, RunState]] = {
    "New": "running",
    "InProgress": "running",
    "Imported": "succeeded",
    "Closed": "succeeded",
}
"""An alert's stage → state. A site's own statuses each belong to one of the four, which cannot be changed."""

LONGEST_DATA: Final = 512
"""Characters of an observable and of a tag."""

_REFUSED: Final = (400, 404, 409)
"""What may mean: it exists already, or the ATT&CK catalogue of that TheHive has no such technique."""

Named: TypeAlias = Annotated[str, Field(pattern=r"^[^;\x00-\x1f]+$")]
"""A part of an alert's name, whose parts a semicolon separates."""


class TheHiveSettings(RestSettings):
    """The table of a TheHive."""

    type: Literal["thehive"] = "thehive"
    api_key: HeaderSecret = Field(description="of a user with the permission manageAlert/create")
    organisation: str | None = Field(
        None, pattern=r"^[\x21-\x7e]+( [\x21-\x7e]+)*$", description="absent: the user's default organisation"
    )
    alert_type: Named = Field("triaged", max_length=32, description="type of the alerts")
    source: Named = Field("triaged", max_length=64, description="source of the alerts")
    case_templates: dict[str, str] = Field({}, description="our playbooks by name: the case template for each")
    tlp: int = Field(2, ge=0, le=4, description="Traffic Light Protocol of the alerts: 2 is amber")
    pap: int = Field(2, ge=0, le=3, description="Permissible Actions Protocol of the alerts: 2 is amber")
    index_delay: Every = Field(
        timedelta(seconds=5), description="how long a request that got no answer may still be under way"
    )
    run_timeout: Every = Field(
        timedelta(days=7), description="how long an alert may wait before it counts as timed out"
    )


class _Alert(msgspec.Struct, frozen=True):
    """What is read of an alert. ``created`` is milliseconds since the epoch."""

    id: str = msgspec.field(name="_id")
    stage: str = ""
    status: str = ""
    created: int = msgspec.field(name="_createdAt", default=0)
    case: str | None = msgspec.field(name="caseId", default=None)


_read: Final[Reader[_Alert]] = Reader(_Alert)


class TheHive:
    """Raises alerts in one organisation of one TheHive."""

    Config: ClassVar[type[SoarSettings]] = TheHiveSettings
    uniqueness: Literal["key", "search", "none"] = "key"

    def __init__(self, name: str, config: TheHiveSettings, clock: Clock) -> None:
        self.name = name
        self.index_delay = config.index_delay.total_seconds()
        self._config = config
        self._clock = clock
        headers = {"Authorization": f"Bearer {config.api_key.get_secret_value()}"}
        if config.organisation is not None:
            headers["X-Organisation"] = config.organisation
        self._rest = Rest(config, headers)

    def run(self, action: Action) -> RunRef:
        """Raises the alert, once a key; without procedures where TheHive does not take them: tags name the techniques."""
        whole = self._alert(action)
        for alert in (whole, {**whole, "procedures": []}) if whole["procedures"] else (whole,):
            status, text = self._rest.raw("POST", ALERTS, msgspec.json.encode(alert), allowed=_REFUSED)
            if status not in _REFUSED:
                return self._ref(_read(text, f"POST {ALERTS} on {self.name}"))
            if (there := self.find(action.key)) is not None:
                return there
        raise refused(status, text, f"POST {ALERTS} on {self.name}")

    def preview(self, action: Action) -> Json:
        """The alert."""
        return self._alert(action)

    def find(self, key: str) -> RunRef | None:
        """The alert of this action key."""
        named = path(f"{self._config.alert_type};{self._config.source};{key}")
        with starting_nothing():
            status, text = self._rest.raw("GET", ALERTS + named, allowed=(404,))
            return None if status == 404 else self._ref(_read(text, f"GET {ALERTS} on {self.name}"))

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """What became of the alert. Raises ``PermanentError`` where it was deleted."""
        with starting_nothing():
            status, text = self._rest.raw("GET", ALERTS + path(run.run_id), allowed=(404,))
            if status == 404:
                raise PermanentError(f"TheHive {self.name!r} has no alert {run.run_id!r} any more: it was deleted")
            alert = _read(text, f"GET {ALERTS} on {self.name}")
        state = STAGES.get(alert.stage, "running")
        detail = f"alert {alert.id} is {one_line(alert.status or alert.stage)}"
        if alert.case is not None:
            detail += f", in case {one_line(alert.case)}"
        if state == "running" and self._is_overdue(alert):
            state, detail = "timed_out", f"no analyst took it within {self._config.run_timeout}: {detail}"
        return status_of(action, run, state, detail, self._clock())

    def _is_overdue(self, alert: _Alert) -> bool:
        waited = self._clock().timestamp() - alert.created / 1000
        return alert.created > 0 and waited > self._config.run_timeout.total_seconds()

    def _alert(self, action: Action) -> dict[str, Any]:
        verdict, config = action.verdict, self._config
        asked = {"rule": action.rule, "playbook": action.playbook}
        alert: dict[str, Any] = {
            "type": config.alert_type,
            "source": config.source,
            "sourceRef": action.key,
            "title": title(action),
            "description": _description(action),
            "severity": min(4, SEVERITY[verdict.verdict] + (action.tier == "contain")),
            "date": _milliseconds(_happened(verdict, action.proposed_at)),
            "tags": ["triaged", *(one_line(f"{kind}:{name}") for kind, name in asked.items()), *verdict.passed],
            "tlp": config.tlp,
            "pap": config.pap,
            "observables": list(_observables(action)),
            "procedures": list(_procedures(action)),
        }
        if action.playbook in config.case_templates:
            alert["caseTemplate"] = config.case_templates[action.playbook]
        return alert

    def _ref(self, alert: _Alert) -> RunRef:
        return RunRef(soar=self.name, run_id=alert.id)


def _description(action: Action) -> str:
    """Markdown. What an event says stands in a block of JSON, none of whose lines can end the block."""
    shown = msgspec.json.format(msgspec.json.encode(evidence(action)), indent=2).decode()
    asked = "The policy of Triaged asks for a playbook. Nothing was carried out: an analyst decides."
    return f"{asked}\n\n```json\n{shown}\n```\n"


def _observables(action: Action) -> Iterator[dict[str, Json]]:
    """Who and what the event is about, each once: TheHive refuses an alert that holds the same observable twice."""
    entity = action.entity
    told = (
        ("hostname", entity.host, "host"),
        ("ip", address_of(entity), "address"),
        ("other", entity.user, "user"),
        ("other", entity.agent_id, "agent-id"),
    )
    seen: set[tuple[str, str]] = set()
    for kind, value, tag in told:
        data = one_line(value or "", LONGEST_DATA)
        if data and (kind, data) not in seen:
            seen.add((kind, data))
            yield {"dataType": kind, "data": data, "tags": [tag]}


def _procedures(action: Action) -> Iterator[dict[str, Json]]:
    """The techniques that passed, a parent only where none of its sub-techniques did."""
    attack = catalogue()
    when = _milliseconds(_happened(action.verdict, action.proposed_at))
    found = [technique for technique in map(attack.technique, action.verdict.passed) if technique is not None]
    parents = {technique.parent for technique in found}
    for technique in found:
        if technique.id not in parents:
            tactic = attack.tactics[technique.tactics[0]].shortname
            yield {"patternId": technique.id, "occurDate": when, "tactic": tactic}


def _happened(verdict: Verdict, proposed_at: datetime) -> datetime:
    """When the event says that it happened; if it does not, when it was decided on."""
    return moment_in(verdict.timestamp) or verdict.at or proposed_at


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


plugin = SoarPlugin(soar=TheHive, testbed="tests.soar.thehive:TheHivePlatform")
