"""The deciding half of a daemon on a clock of its own: it decides, commits and admits as the real one does, at once.

What its loops would do some seconds later happens at the very moment when it is due, so that what it did can be compared
exactly with what a simulation says.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from connector import identity
from connector.ledger import Commit, Renewal, open_ledger
from connector.ledger.schema import OPEN, outbox
from connector.ledger.times import moment
from connector.pipeline import Act, Routes
from connector.pipeline.simulation import Report, Site, simulate
from connector.policy import DecisionContext, Enrichment, Policy, decide
from connector.testing import ManualClock, MemorySoar, memory_siem_plugin, memory_soar_plugin
from connector.types import Event, ModelRef, Prediction, SourceRef, TechniqueScore
from tests.policy.cases import Thresholds

MODEL = ModelRef(name="tiny", version="1", attack_version="18.1")
_numbers = itertools.count()


@cache
def empty_ledger() -> bytes:
    """A migrated ledger: to migrate takes longer than many a stream takes to be lived through."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.sqlite"
        open_ledger(f"sqlite:///{path}", ManualClock()).close()
        return path.read_bytes()


def event(native: str, host: str, **ecs: Any) -> Event:
    return Event(
        id=identity.event_id("lab", native),
        ref=SourceRef(siem="lab", index="events", id=native),
        kind="generic",
        ecs={"host": {"name": host}, "agent": {"id": f"agent-{host}"}, **ecs},
        canonical=(),
        fingerprint="0" * 64,
    )


def prediction(p: float, technique: str = "T1003") -> Prediction:
    members = {"text": p, "rules": max(p - 0.1, 0.0)}
    score = TechniqueScore(id=technique, probability=p)
    return Prediction(p_malicious=p, techniques=(score,), passed=(technique,) if p >= 0.5 else (), members=members)


class Watch:
    """One ledger, one SOAR in memory, one policy."""

    def __init__(self, directory: Path, policy: Policy, *, max_pending: int = 10_000) -> None:
        self.name = f"watch-{next(_numbers)}"
        self.policy = policy
        self.clock = ManualClock()
        self.start = self.clock()
        self.platform = MemorySoar(self.clock)
        MemorySoar._named[self.name] = self.platform
        self.path = directory / f"{self.name}.sqlite"
        self.path.write_bytes(empty_ledger())
        self.ledger = open_ledger(f"sqlite:///{self.path}", self.clock)
        settings = memory_soar_plugin.soar.Config(type="memory", instance=self.name, max_pending=max_pending)
        self.room = {"soar": max_pending}
        source = memory_siem_plugin.source.Config(type="memory", deployment="lab", instance=self.name)
        self.routes = Routes(self.ledger, writers={}, targets={}, soars={"soar": settings}, sources={"lab": source})
        self.act = Act(
            "soar",
            memory_soar_plugin.soar("soar", settings, self.clock),
            settings,
            ledger=self.ledger,
            policy=lambda: self.policy,
            bundle_ready=lambda: True,
            routes=self.routes,
            origin_key=b"key",
            owner=self.name,
            lease_ttl=timedelta(seconds=60),
            clock=self.clock,
            stopping=lambda: False,
            steps=lambda step: None,
        )

    def see(self, *seen: tuple[Event, Prediction]) -> list[str]:
        """A batch is decided, committed, and what may act acts. Returns the events' ids."""
        context = DecisionContext(now=self.clock(), model=MODEL, thresholds=Thresholds(), members=2, origin_key=b"key")
        decisions = [decide(event, prediction, context, self.policy) for event, prediction in seen]
        renewals = [
            Renewal(cause=decision.verdict.record_id, scope=scope.name, window=scope.window)
            for decision in decisions
            for scope in decision.renewals
        ]
        verdicts = [decision.verdict for decision in decisions]
        rows = self.routes.rows("lab", decisions)
        self.ledger.commit(Commit(source="lab", digest="", verdicts=verdicts, outbox=rows, renewals=renewals))
        self.act.drain()
        return [event.id for event, _ in seen]

    def pass_time(self, seconds: float) -> None:
        """Time passes; what falls due meanwhile is looked at when it does."""
        self.act.drain()
        end = self.clock() + timedelta(seconds=seconds)
        while (due := self._next_due()) is not None and due <= end:
            # a SOAR that failed rests for a while, and what is due stays so
            self.clock.advance(max(due - self.clock(), timedelta(0)) or timedelta(seconds=1))
            self.act.drain()
        self.clock.advance(max(end - self.clock(), timedelta(0)))

    def _next_due(self) -> datetime | None:
        first = sa.select(sa.func.min(outbox.c.available_at)).where(outbox.c.state == OPEN, outbox.c.kind == "action")
        with self.ledger._db.read() as tx:
            at = tx.execute(first).scalar()
        return None if at is None else max(moment(at), self.clock())

    def simulate(self, new: Policy, today: Policy | None = None) -> Report:
        """What the new policy would have made of everything, beside the policy that was in force."""
        site = Site(known=Enrichment().known, uniqueness={"soar": "key"}, room=self.room)
        until = self.clock() + timedelta(microseconds=1)
        return simulate(
            self.ledger,
            today or self.policy,
            new,
            site=site,
            thresholds=lambda model: Thresholds(),
            since=self.start,
            until=until,
        )

    def runs(self) -> dict[str, int]:
        """Effective runs by action key, as the SOAR counts them."""
        counts: dict[str, int] = {}
        for run in self.platform.runs:
            counts[run.key] = counts.get(run.key, 0) + 1
        return counts

    def content(self) -> Sequence[str]:
        """Everything that the ledger holds."""
        with self.ledger._db.read() as tx:
            return tuple(tx.connection.driver_connection.iterdump())  # type: ignore[union-attr]

    def close(self) -> None:
        self.ledger.close()
        MemorySoar.forget(self.name)
