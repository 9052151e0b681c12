"""SOARCA: an engine that is handed the whole playbook, filled, and carries it out.

It keeps reports of its latest executions (ten, unless its ``MAX_EXECUTIONS`` says otherwise), each with the playbook's id,
which is made of the action's key: ``uniqueness`` is ``search``.

API reference: https://cossas.github.io/SOARCA/docs/core-components/ (``/trigger/playbook``, ``/reporter/{id}``); the id of
an execution is ``execution_id`` in releases up to 1.1, and ``run_id`` in later sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final, Literal

import msgspec
from pydantic import Field

from connector.errors import PermanentError, TransientError
from connector.policy.playbooks import load_playbooks
from connector.ports import Clock, SoarPlugin
from connector.resources import shipped
from connector.settings import Every, SoarSettings
from connector.soar.answers import Reader
from connector.soar.rest import Rest, RestSettings, path
from connector.soar.runs import is_overdue, one_line, starting_nothing, status_of
from connector.soar.soarca_playbook import CAPABILITIES, for_soarca, playbook_id
from connector.transport import HeaderSecret
from connector.types import Action, Json, RunRef, RunState, RunStatus

STATES: Final[Mapping[str, RunState]] = {
    "ongoing": "running",
    "await_user_input": "running",
    "successfully_executed": "succeeded",
    "failed": "failed",
    "server_side_error": "failed",
    "client_side_error": "failed",
    "exception_condition_error": "failed",
    "timeout_error": "timed_out",
}
"""``execution-status-enum`` → state. One that is not here counts as running, until ``run_timeout``."""

TRIGGER: Final = "/trigger/playbook"
REPORTS: Final = "/reporter/"
"""With the slash: without it SOARCA redirects."""

REPORTED: Final = 10
"""Executions that SOARCA keeps if it is told nothing else: with fewer, none was pushed out."""

REACH: Final = timedelta(days=1)
"""How far back they have to go for a key that is not among them to have started nothing: the doubtful send may be as old as
the longest ``max_age`` of a rule, since what is older is not sent again."""

_UNKNOWN: Final = (400, 404)
"""A report that is not there (yet), by source and by documentation."""


class SoarcaSettings(RestSettings):
    """The table of a SOARCA."""

    type: Literal["soarca"] = "soarca"
    token: HeaderSecret | None = Field(None, description="a bearer token, where SOARCA runs with AUTH_ENABLED")
    playbooks: Path | None = Field(None, description="a folder of CACAO playbooks; absent: the shipped ones")
    capabilities: dict[str, str] = Field(
        {}, description="command types, and the capability or fin that runs each, beside SOARCA's own"
    )
    index_delay: Every = Field(timedelta(seconds=10), description="how long a run may take to be reported")
    run_timeout: Every = Field(timedelta(days=1), description="how long a run may go on before it counts as timed out")


class _Triggered(msgspec.Struct, frozen=True):
    execution_id: str = ""
    run_id: str = ""


class _Step(msgspec.Struct, frozen=True):
    name: str = ""
    status: str = ""
    status_text: str = ""


class _Report(msgspec.Struct, frozen=True):
    playbook_id: str
    execution_id: str = ""
    run_id: str = ""
    status: str = ""
    status_text: str = ""
    started: str = ""
    step_results: dict[str, _Step] | None = None


_triggered: Final[Reader[_Triggered]] = Reader(_Triggered)
_report: Final[Reader[_Report]] = Reader(_Report)
_reports: Final[Reader[tuple[_Report, ...] | None]] = Reader(tuple[_Report, ...] | None)


class Soarca:
    """Hands playbooks to one SOARCA."""

    Config: ClassVar[type[SoarSettings]] = SoarcaSettings
    uniqueness: Literal["key", "search", "none"] = "search"

    def __init__(self, name: str, config: SoarcaSettings, clock: Clock) -> None:
        self.name = name
        self.index_delay = config.index_delay.total_seconds()
        self._config = config
        self._clock = clock
        self._playbooks = load_playbooks(config.playbooks or shipped("playbooks"))
        self._capabilities = {**CAPABILITIES, **config.capabilities}
        self._missed: dict[str, datetime] = {}
        token = config.token
        self._rest = Rest(config, {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"})

    def run(self, action: Action) -> RunRef:
        """Triggers the filled playbook. Raises ``PermanentError`` where it cannot be filled or carried out."""
        _, text = self._rest.raw("POST", TRIGGER, msgspec.json.encode(self.preview(action)))
        triggered = _triggered(text, f"POST {TRIGGER} on {self.name}")
        run_id = triggered.execution_id or triggered.run_id
        if not run_id:
            raise TransientError(f"POST {TRIGGER} on {self.name}: the answer names no execution", sent=True)
        return RunRef(soar=self.name, run_id=run_id)

    def preview(self, action: Action) -> Json:
        """The filled playbook."""
        playbook = self._playbooks.get(action.playbook)
        if playbook is None:
            known = ", ".join(self._playbooks) or "none"
            raise PermanentError(f"SOAR {self.name!r} has no playbook {action.playbook!r}; it has: {known}")
        return for_soarca(playbook, action, self._capabilities)

    def find(self, key: str) -> RunRef | None:
        """The execution of the playbook that carries this action key, among those that are still reported.

        Raises ``PermanentError`` where there is none, and so many are new that its report may have been pushed out.
        """
        with starting_nothing():
            _, text = self._rest.raw("GET", REPORTS)
            reports = _reports(text, f"GET {REPORTS} on {self.name}") or ()
        for report in reports:
            if report.playbook_id == playbook_id(key):
                return RunRef(soar=self.name, run_id=report.execution_id or report.run_id)
        if len(reports) >= REPORTED and not any(is_overdue(one.started, self._clock(), REACH) for one in reports):
            raise PermanentError(
                f"GET {REPORTS} on {self.name}: all reports are newer than {REACH}: look there for {key}"
            )
        return None

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """How the execution stands. Raises ``PermanentError`` where SOARCA has dropped its report."""
        with starting_nothing():
            status, text = self._rest.raw("GET", "/reporter" + path(run.run_id), allowed=_UNKNOWN)
            if status in _UNKNOWN:
                return self._unreported(run, action)
            report = _report(text, f"GET {REPORTS} on {self.name}")
        self._missed.pop(run.run_id, None)
        state, detail = STATES.get(report.status, "running"), _detail(report)
        if state == "running" and is_overdue(report.started, self._clock(), self._config.run_timeout):
            state, detail = "timed_out", f"no end within {self._config.run_timeout}: {detail}"
        return status_of(action, run, state, detail, self._clock())

    def _unreported(self, run: RunRef, action: Action) -> RunStatus:
        """A run whose report is not there yet; one that stays without is over, and nobody knows how it ended."""
        since = self._missed.setdefault(run.run_id, self._clock())
        if self._clock() - since <= self._config.index_delay:
            return status_of(action, run, "running", "not reported yet", self._clock())
        del self._missed[run.run_id]
        raise PermanentError(
            f"outcome unknown: SOARCA {self.name!r} has no report of {run.run_id} any more: raise its MAX_EXECUTIONS"
        )


def _detail(report: _Report) -> str:
    """What it says of itself, and the steps that did not go well, each with what it says."""
    steps = (report.step_results or {}).values()
    odd = [step for step in steps if STATES.get(step.status, "running") != "succeeded"]
    told = [one_line(f"{report.status}: {report.status_text}", 200)]
    told += [one_line(f"{step.name}: {step.status}: {step.status_text}", 200) for step in odd[:5]]
    return "; ".join(told)


plugin = SoarPlugin(soar=Soarca, testbed="tests.soar.soarca:SoarcaPlatform")
