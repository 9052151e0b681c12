"""A SOAR in memory, with each degree of uniqueness that platforms offer, and answers that get lost on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Literal, Self, TypeAlias

import msgspec

from connector.errors import TransientError
from connector.identity import follow_up_id
from connector.ports import Clock, SoarPlugin
from connector.settings import SoarSettings
from connector.testing.clock import ManualClock
from connector.testing.faults import Faults
from connector.types import Action, RunRef, RunState, RunStatus

Uniqueness: TypeAlias = Literal["key", "search", "none"]
Moment: TypeAlias = Literal["before", "after"]


class StoredRun(msgspec.Struct):
    """One effective run of a playbook."""

    run_id: str
    key: str
    playbook: str
    started: datetime
    state: RunState
    action: Action


class MemorySoar:
    """The server. Adapters find it by its name (``MemorySoar.named``); a test holds it and arranges what happens.

    ``faults.add("run" | "find" | "status")`` fails a call before it does anything. :meth:`lose_answers` lets runs take
    effect and their answers get lost. ``hook`` is called right ``before`` and ``after`` each run takes effect; what it
    raises, the adapter raises, as if the process had died there.
    """

    _named: ClassVar[dict[str, MemorySoar]] = {}

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.faults = Faults()
        self.runs: list[StoredRun] = []
        self.duration = 0.0
        self.hook: Callable[[Moment, Action], None] = lambda _moment, _action: None
        self._lost_answers = 0
        self._mutex = threading.RLock()

    @classmethod
    def named(cls, name: str) -> MemorySoar:
        """The server of this name, made at its first use."""
        return cls._named.setdefault(name, cls())

    def serve(self, name: str) -> Self:
        """Puts this server where adapters look for the name."""
        self._named[name] = self
        return self

    @classmethod
    def forget(cls, name: str) -> None:
        """Drops the server of this name, so that the next use makes a new one."""
        cls._named.pop(name, None)

    def lose_answers(self, times: int = 1) -> None:
        """The next runs take effect, and their callers get a ``TransientError`` with ``sent``."""
        self._lost_answers += times

    def finish(self, run_id: str, state: RunState) -> None:
        """Ends a run in a state other than the one that time would bring."""
        next(run for run in self.runs if run.run_id == run_id).state = state

    def start(self, action: Action, *, unique: bool) -> StoredRun:
        """Runs the playbook; ``unique``: a key that ran before gives that run again."""
        with self._mutex:
            self.hook("before", action)
            run = next((run for run in self.runs if unique and run.key == action.key), None)
            if run is None:
                run = StoredRun(
                    run_id=f"run-{len(self.runs) + 1}",
                    key=action.key,
                    playbook=action.playbook,
                    started=self.clock(),
                    state="running",
                    action=action,
                )
                self.runs.append(run)
            self.hook("after", action)
            if self._lost_answers:
                self._lost_answers -= 1
                raise TransientError("the answer got lost", sent=True)
            return run

    def age(self, run: StoredRun) -> float:
        """Seconds since the run began."""
        return (self.clock() - run.started).total_seconds()


class MemorySoarConfig(SoarSettings):
    """Which server, and what it offers against a second run."""

    type: Literal["memory"] = "memory"
    instance: str
    uniqueness: Uniqueness = "key"
    index_delay: float = 0.0


class MemorySoarClient:
    """Runs playbooks on a :class:`MemorySoar`."""

    Config: ClassVar[type[SoarSettings]] = MemorySoarConfig

    def __init__(self, name: str, config: MemorySoarConfig, _: Clock) -> None:
        self.name = name
        self.uniqueness: Uniqueness = config.uniqueness
        self.index_delay = config.index_delay
        self._soar = MemorySoar.named(config.instance)

    def run(self, action: Action) -> RunRef:
        """Starts the playbook, once a key where ``uniqueness`` is ``key``."""
        self._soar.faults.meet("run")
        run = self._soar.start(action, unique=self.uniqueness == "key")
        return RunRef(soar=self.name, run_id=run.run_id)

    def find(self, key: str) -> RunRef | None:
        """The run of a key, once it has been indexed; a SOAR without search finds nothing."""
        self._soar.faults.meet("find")
        if self.uniqueness == "none":
            return None
        for run in self._soar.runs:
            if run.key == key and self._soar.age(run) >= self.index_delay:
                return RunRef(soar=self.name, run_id=run.run_id)
        return None

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """``running`` until the server's ``duration`` is over, then ``succeeded``, or how a test ended it."""
        self._soar.faults.meet("status")
        stored = next(one for one in self._soar.runs if one.run_id == run.run_id)
        over = stored.state == "running" and self._soar.age(stored) >= self._soar.duration
        state: RunState = "succeeded" if over else stored.state
        return RunStatus(
            record_id=follow_up_id(action.cause, "run_status", f"{action.key}:{state}"),
            cause=action.cause,
            action_key=action.key,
            playbook=stored.playbook,
            state=state,
            detail="",
            at=self._soar.clock(),
            run_id=run.run_id,
        )


memory_soar_plugin = SoarPlugin(soar=MemorySoarClient, testbed="connector.testing:MemorySoarTestbed")
"""The in-memory SOAR as a plug-in; a test registers it without an entry point."""
