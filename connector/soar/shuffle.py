"""Shuffle: a workflow is executed with the verdict as its execution argument.

Shuffle has no unique key for an execution, but lists the latest ones of a workflow with their arguments: ``uniqueness`` is
``search``, by the action's key inside the argument.

What an event says is made inert first. Shuffle puts ``$exec.…`` into the parameters of an app and then evaluates them as
Liquid templates, in which ``{% python %}`` runs code: a space is put where a text could begin a template or a reference.

API reference: https://shuffler.io/docs/API; Liquid: https://shuffler.io/docs/liquid. A start node is always named, since
without one Shuffle takes the whole request for the argument.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import msgspec
from pydantic import Field

from connector.errors import ConfigError, PermanentError, TransientError
from connector.ports import Clock, SoarPlugin
from connector.settings import Every, SoarSettings
from connector.soar.answers import Reader
from connector.soar.rest import Rest, RestSettings, path, reason_in
from connector.soar.runs import Patience, evidence, one_line, platform_playbook, starting_nothing, status_of
from connector.transport import HeaderSecret
from connector.types import Action, Json, RunRef, RunState, RunStatus

STATES: Final[Mapping[str, RunState]] = {
    "EXECUTING": "running",
    "WAITING": "running",
    "FINISHED": "succeeded",
    "ABORTED": "failed",
    "FAILURE": "failed",
    "FAILED": "failed",
}
"""An execution's status → state. One that is not here counts as running, until ``run_timeout``."""

FAILED: Final = frozenset({"ABORTED", "FAILURE", "FAILED"})
"""What a result of one action says where it failed: an execution goes on after it, and is FINISHED in the end."""

RESULTS: Final = "/api/v1/streams/results"
LISTED: Final = 20
"""Executions of a workflow that are looked through, latest first: each is listed with all that its actions brought."""

REACH: Final = timedelta(days=1)
"""How far back they have to go for a key that is not among them to have started nothing: the doubtful send may be as old as
the longest ``max_age`` of a rule, since what is older is not sent again."""

_LATER: Final = 100_000_000_000
"""Times above are milliseconds, those below seconds: Shuffle has used both."""
_ALIVE: Final = re.compile(r"^(?=[{%])|\{(?=[{%]|\Z)|\$(?=\w)")

Workflow: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
"""A workflow's id."""


class ShuffleSettings(RestSettings):
    """The table of a Shuffle."""

    type: Literal["shuffle"] = "shuffle"
    api_key: HeaderSecret = Field(description="of an admin of the organisation: only one may read executions")
    playbooks: dict[str, Workflow] = Field(description="our playbooks by name: the workflow's id for each")
    organisation: Workflow | None = Field(None, description="its id; absent: the one that is active for the key's user")
    index_delay: Every = Field(timedelta(seconds=15), description="how long an execution may take to be listed")
    run_timeout: Every = Field(timedelta(hours=1), description="how long a run may go on before it counts as timed out")


class _Workflow(msgspec.Struct, frozen=True):
    start: str = ""


class _Started(msgspec.Struct, frozen=True):
    success: bool = True
    execution_id: str = ""
    reason: str = ""


class _App(msgspec.Struct, frozen=True):
    label: str = ""


class _Result(msgspec.Struct, frozen=True):
    status: str = ""
    action: _App = _App()


class _Execution(msgspec.Struct, frozen=True):
    execution_id: str
    status: str = ""
    execution_argument: str = ""
    result: str = ""
    results: tuple[_Result, ...] | None = None
    started_at: int = 0


class _Page(msgspec.Struct, frozen=True):
    executions: tuple[_Execution, ...] | None = None


_workflow: Final[Reader[_Workflow]] = Reader(_Workflow)
_started: Final[Reader[_Started]] = Reader(_Started)
_execution: Final[Reader[_Execution]] = Reader(_Execution)
_executions: Final[Reader[tuple[_Execution, ...] | _Page | None]] = Reader(tuple[_Execution, ...] | _Page | None)
_argument: Final = msgspec.json.Decoder(dict[str, Json])


class Shuffle:
    """Executes workflows of one organisation of one Shuffle."""

    Config: ClassVar[type[SoarSettings]] = ShuffleSettings
    uniqueness: Literal["key", "search", "none"] = "search"

    def __init__(self, name: str, config: ShuffleSettings, clock: Clock) -> None:
        self.name = name
        self.index_delay = config.index_delay.total_seconds()
        self._config = config
        self._clock = clock
        headers = {"Authorization": f"Bearer {config.api_key.get_secret_value()}"}
        if config.organisation is not None:
            headers["Org-Id"] = config.organisation
        self._rest = Rest(config, headers)

    def run(self, action: Action) -> RunRef:
        """Executes the playbook's workflow from its start node."""
        place = path("api", "v1", "workflows", platform_playbook(self._config.playbooks, action, self.name))
        patience = Patience(self._config.timeout)
        with starting_nothing():
            _, text = self._rest.raw("GET", place)
            start = _workflow(text, f"GET {place} on {self.name}").start
        if not start:
            raise PermanentError(
                f"SOAR {self.name!r}: the workflow of {action.playbook!r} has no start node: give it one"
            )
        body = {"execution_argument": msgspec.json.encode(argument(action)).decode(), "start": start}
        _, text = self._rest.raw("POST", f"{place}/execute", msgspec.json.encode(body), seconds=patience.left())
        started = _started(text, f"POST {place}/execute on {self.name}")
        if not started.success:
            raise PermanentError(f"POST {place}/execute on {self.name}: {reason_in(started.reason.encode())}")
        if not started.execution_id:
            raise TransientError(f"POST {place}/execute on {self.name}: the answer names no execution", sent=True)
        return RunRef(soar=self.name, run_id=started.execution_id)

    def preview(self, action: Action) -> Json:
        """What the workflow finds in ``$exec``; where it starts is asked of Shuffle."""
        platform_playbook(self._config.playbooks, action, self.name)
        return argument(action)

    def find(self, key: str) -> RunRef | None:
        """The first of the latest executions whose argument carries this action key.

        Raises ``PermanentError`` where there is none, and so many are new that it may be an older one.
        """
        busy = ""
        with starting_nothing():
            for workflow in sorted(set(self._config.playbooks.values())):
                place = path("api", "v1", "workflows", workflow, "executions")
                latest = self._latest(place)
                for execution in latest:
                    if _key_in(execution.execution_argument) == key:
                        return RunRef(soar=self.name, run_id=execution.execution_id)
                if len(latest) >= LISTED and not self._reaches_back(latest):
                    busy = place
        if busy:
            raise PermanentError(
                f"GET {busy} on {self.name}: more than {LISTED} executions since: look there for {key}"
            )
        return None

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """How the execution stands: it succeeded where it finished and none of its actions failed."""
        asked = msgspec.json.encode({"execution_id": run.run_id, "authorization": ""})
        try:
            with starting_nothing():
                _, text = self._rest.raw("POST", RESULTS, asked)
                execution = _execution(text, f"POST {RESULTS} on {self.name}")
        except ConfigError as error:
            # an execution that is gone, and a key that may not read it, are told apart by nobody: this ends at last
            if self._is_overdue(action.proposed_at):
                return status_of(action, run, "timed_out", str(error), self._clock())
            raise
        state, detail = _outcome(execution)
        began = _moment(execution.started_at) or action.proposed_at
        if state == "running" and self._is_overdue(began):
            state, detail = "timed_out", f"no end within {self._config.run_timeout}: {detail}"
        return status_of(action, run, state, detail, self._clock())

    def _latest(self, place: str) -> tuple[_Execution, ...]:
        _, text = self._rest.raw("GET", place, query={"top": LISTED})
        listed = _executions(text, f"GET {place} on {self.name}")
        return (listed.executions if isinstance(listed, _Page) else listed) or ()

    def _reaches_back(self, latest: tuple[_Execution, ...]) -> bool:
        began = [_moment(execution.started_at) for execution in latest]
        return any(one is not None and self._clock() - one > REACH for one in began)

    def _is_overdue(self, began: datetime) -> bool:
        return self._clock() - began > self._config.run_timeout


def argument(action: Action) -> Json:
    """What the workflow finds in ``$exec``."""
    return inert(evidence(action))


def inert(value: Json) -> Json:
    """The same JSON with no text that could begin a Liquid template or a reference, wherever a workflow puts it."""
    if isinstance(value, str):
        return _ALIVE.sub(r"\g<0> ", value)
    if isinstance(value, Mapping):
        return {key: inert(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [inert(one) for one in value]
    return value


def _key_in(text: str) -> str | None:
    """The action key in an execution argument; None in one that is not ours."""
    try:
        found = _argument.decode(text).get("action")
    except (ValueError, RecursionError):
        return None
    return found.get("key") if isinstance(found, dict) else None


def _outcome(execution: _Execution) -> tuple[RunState, str]:
    state = STATES.get(execution.status, "running")
    failed = [one.action.label for one in execution.results or () if one.status in FAILED]
    if state == "succeeded" and failed:
        state = "failed"
    detail = one_line(execution.status)
    if failed:
        detail += f"; failed: {one_line(', '.join(failed))}"
    said = reason_in(execution.result.encode("utf-8", "replace"))
    return state, f"{detail}: {said}" if said else detail


def _moment(epoch: int) -> datetime | None:
    try:
        return datetime.fromtimestamp(epoch / 1000 if epoch > _LATER else epoch, UTC) if epoch > 0 else None
    except (OverflowError, ValueError, OSError):
        return None


plugin = SoarPlugin(soar=Shuffle, testbed="tests.soar.shuffle:ShufflePlatform")
