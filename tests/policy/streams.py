"""Two replicas, one ledger, and a stream of whatever may happen; a bystander checks each run as it takes effect.

The bystander knows only what was put in: the policy as it was drawn, the machines, what people decided, and the time.
It asks neither ``admit`` nor the ledger.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from connector import identity
from connector.errors import TransientError
from connector.ledger import Commit, Ledger, Reader, Renewal, open_ledger
from connector.ledger.schema import metadata
from connector.pipeline import Act, Routes
from connector.pipeline.routes import action_row
from connector.policy import Enrichment, Policy, decide
from connector.testing import ManualClock, MemorySoar, memory_soar_plugin
from connector.types import Action
from tests.policy.cases import KEY, context, event, policy, prediction

LEASE = timedelta(seconds=60)


class Machine(NamedTuple):
    """What its events say, whether it may ever be contained, and whether without a person."""

    ecs: Mapping[str, Any]
    containable: bool
    unattended: bool


def machine(number: int, *, containable: bool = True, unattended: bool = True, **host: Any) -> Machine:
    ecs = {"host": {"name": f"ws-{number}", **host}, "agent": {"id": f"agent-{number}"}}
    return Machine(ecs, containable, unattended)


MANY = [f"198.51.{number // 200}.{number % 200}" for number in range(300)]

MACHINES = (
    machine(0),
    machine(1),
    machine(2, containable=False),  # its row says that it is a domain controller
    machine(3, containable=False, ip=["192.0.2.3", "10.9.9.3"]),  # one of its addresses is protected
    machine(4, unattended=False),  # no table knows it
    Machine({"host": {"name": "ws-5"}}, False, False),  # nothing attests who it is
    machine(6, containable=False),  # two tables know it, and the second one has the tag
    machine(7, unattended=False),  # its row names nothing but the agent, which may be on any host
    machine(8, unattended=False),  # its row tells its host, but no address
    machine(9, containable=False, ip=[*MANY, "10.9.9.9"]),  # the last one of very many addresses is protected
)
ASSETS = (
    """agent,host,address,tags
agent-0,ws-0,192.0.2.10,office
agent-1,ws-1,192.0.2.11,office
agent-2,dc-2.corp.example,192.0.2.12,
agent-3,ws-3,192.0.2.3,
agent-6,srv-6,192.0.2.16,
agent-7,,,office
agent-8,ws-8,,office
agent-9,ws-9,192.0.2.19,office
""",
    "host,tags\nsrv-6,crown-jewel",
)
PROTECTED = {"hosts": ["dc-*"], "addresses": ["10.9.9.0/24"], "tags": ["crown-jewel"]}

_numbers = itertools.count()


class Died(BaseException):
    """The process ended here."""


class Site:
    """One ledger file, opened twice, which each stream finds empty; and what is known of the machines."""

    def __init__(self, directory: Path) -> None:
        tables = [directory / f"assets-{number}.csv" for number in range(len(ASSETS))]
        for path, text in zip(tables, ASSETS, strict=True):
            path.write_text(text)
        self.enrichment = Enrichment.load(tables, ())
        self.clock = ManualClock()
        self._url = f"sqlite:///{directory / 'ledger.sqlite'}"
        self.ledgers = [self.opened(), self.opened()]
        with self.ledgers[0]._db.write() as tx:
            for trigger in ("audit_no_update", "audit_no_delete"):
                tx.execute(sa.text(f"DROP TRIGGER {trigger}"))

    def opened(self) -> Ledger:
        """The ledger, by a process of its own."""
        return open_ledger(self._url, self.clock)

    def emptied(self) -> None:
        """Forgets what was there."""
        with self.ledgers[0]._db.write() as tx:
            for table in metadata.sorted_tables:
                tx.execute(sa.delete(table))

    def close(self) -> None:
        """Closes what is open."""
        for ledger in self.ledgers:
            ledger.close()


class World:
    """One stream on two replicas. Each public method is something that happens."""

    def __init__(self, site: Site, drawn: Mapping[str, Any]) -> None:
        site.emptied()
        self.site = site
        self.clock = site.clock
        self.platform = MemorySoar(self.clock)
        self.platform.hook = self._runs
        self.policy: Policy = policy(*drawn["rules"], soar="soar", protected=PROTECTED, **drawn["policy"])
        self.config = memory_soar_plugin.soar.Config(
            type="memory", instance="stream", uniqueness=drawn["uniqueness"], index_delay=20.0
        )
        self.acts = [self._act(0), self._act(1)]
        self.bystander = Bystander(self)
        self.met: Counter[str] = Counter()
        self.at_step: Callable[[str], None] = lambda _: None
        self._seen = itertools.count()

    def _act(self, which: int) -> Act:
        ledger = self.site.ledgers[which]
        self.platform.serve("stream")
        return Act(
            "soar",
            memory_soar_plugin.soar("soar", self.config, self.clock),
            self.config,
            ledger=ledger,
            policy=lambda: self.policy,
            bundle_ready=lambda: True,
            routes=Routes(ledger, writers={}, targets={}, soars={"soar": self.config}, sources={}),
            enrichment=self.site.enrichment,
            origin_key=KEY,
            owner=f"replica-{next(_numbers)}",
            lease_ttl=LEASE,
            clock=self.clock,
            stopping=lambda: False,
            steps=lambda step: self.at_step(step),  # noqa: PLW0108 (what is to happen then, not now)
        )

    @property
    def ledger(self) -> Ledger:
        """The ledger, by the first replica."""
        return self.site.ledgers[0]

    def _runs(self, moment: str, action: Action) -> None:
        if moment == "before":
            self.bystander.sees(action)
        self.at_step(f"platform.{moment}")

    def event(self, which: int, score: float, votes: int, turn: int | None) -> None:
        """An event of a machine arrives and is decided on; then it may be some replica's turn."""
        number, now = next(self._seen), self.clock()
        members = {name: score if place < votes else None for place, name in enumerate(("text", "rules"))}
        seen = event(str(number), **MACHINES[which].ecs)
        batch = self.site.enrichment.context(seen, context(now=now, origin_key=KEY))
        decision = decide(seen, prediction(score, "T1003", members=members), batch, self.policy)
        for action in decision.actions:
            self.bystander.proposed[action.key] = which
        self.bystander.scores.append((now, which, score))
        cause = decision.verdict.record_id
        renewals = [Renewal(cause=cause, scope=scope.name, window=scope.window) for scope in decision.renewals]
        reader = Reader(source="lab", digest="q", partition="", purpose="forward", offset=number)
        self.ledger.commit(
            Commit(
                source="lab",
                digest="q",
                reader=reader,
                verdicts=[decision.verdict],
                outbox=[action_row(action) for action in decision.actions],
                renewals=renewals,
            )
        )
        if turn is not None:
            self.drain(turn)

    def passes(self, minutes: float) -> None:
        """Time passes."""
        self.clock.advance(minutes * 60)

    def drain(self, which: int) -> None:
        """A replica has its turn."""
        self.acts[which].drain()
        self.met.update({reason.partition(":")[0] for _, reason in self.ledger.waiting()})

    def race(self, which: int, step: str) -> None:
        """The other replica has a whole turn between two steps of this one's."""
        other = self.acts[1 - which]
        self._once(step, other.drain)
        self.drain(which)
        self.at_step = lambda _: None

    def dies(self, which: int, step: str) -> None:
        """A replica dies at a step of its turn, and a new one takes its place."""

        def die() -> None:
            raise Died

        self._once(step, die)
        try:
            self.drain(which)
        except Died:
            self.met["died"] += 1
        self.at_step = lambda _: None
        self.acts[which] = self._act(which)

    def restart(self, which: int) -> None:
        """A replica is replaced by one that knows nothing but the ledger."""
        self.site.ledgers[which].close()
        self.site.ledgers[which] = self.site.opened()
        self.acts[which] = self._act(which)

    def loses(self, which: int) -> None:
        """A run of this turn takes effect, and nobody is told."""

        def lose() -> None:
            raise TransientError("the answer got lost", sent=True)

        self._once("platform.after", lose)
        self.drain(which)
        self.at_step = lambda _: None

    def stops(self, name: str, minutes: float) -> None:
        """A person throws a switch, and takes it back after a while."""
        self.switch(name, True)
        self.drain(0)
        self.passes(minutes)
        self.drain(1)
        self.switch(name, False)

    def switch(self, name: str, on: bool) -> None:
        """A person throws a switch."""
        self.ledger.set_switch(name, on, "a person")
        self.bystander.switches[name] = on

    def switch_midway(self, which: int) -> None:
        """The kill switch is thrown when a run was let through and is not yet sent."""
        self._once("act.admitted", lambda: self.switch("kill", True))
        self.drain(which)
        self.at_step = lambda _: None
        self.drain(1 - which)
        if self.bystander.switches.get("kill"):
            self.met["stopped midway"] += 1
            self.switch("kill", False)

    def silence(self, scope: str, minutes: float) -> None:
        """A person silences something for a while."""
        until = self.clock() + timedelta(minutes=minutes)
        self.ledger.add_silence(scope, until, "a person", "a test")
        self.bystander.silences.append((scope, until))

    def decide(self, place: int, approved: bool, minutes: float) -> None:
        """A person decides on one of the actions that wait."""
        waiting = [action for action, _ in self.ledger.waiting()]
        if waiting:
            key = waiting[place % len(waiting)].key
            until = self.clock() + timedelta(minutes=minutes) if approved else None
            held = self.ledger.set_approval(key, "approved" if approved else "rejected", "a person", expires_at=until)
            self.bystander.approvals[key] = (held.state, held.expires_at)

    def ends(self) -> None:
        """A day later all is over, and what comes then runs. Every reason that was met is counted."""
        self.passes(24 * 60)
        for which in (0, 1):
            self.drain(which)
        self.event(0, 1.0, 2, None)
        fresh = next(reversed(self.bystander.proposed))
        self.decide(0, True, 60)
        self.drain(0)
        told_apart = self.config.uniqueness == "key" or self.policy.accepts_second_run
        automatic = (self.policy.rules[0].tier, self.policy.rules[0].mode) == ("contain", "auto")
        assert (fresh in self.bystander.ran) == (told_apart or not automatic)
        letters = {letter.subject: letter.reason for letter in self.ledger.dead_letters(kind="delivery")}
        for key in self.bystander.proposed:
            run = self.ledger.run_of(key)
            assert (run is None) == (key in letters), "what neither ran nor was refused says why, and nothing else does"
            told = letters[key] if run is None else run.detail or run.state
            self.met[told.partition(":")[0].partition(" (")[0]] += 1

    def _once(self, step: str, then: Callable[[], object]) -> None:
        def at(reached: str) -> None:
            if reached == step:
                self.at_step = lambda _: None
                then()

        self.at_step = at


class Bystander:
    """Sees each run when it takes effect, and says whether it was allowed to."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.switches: dict[str, bool] = {}
        self.silences: list[tuple[str, datetime]] = []
        self.approvals: dict[str, tuple[str, datetime | None]] = {}
        self.scores: list[tuple[datetime, int, float]] = []
        self.proposed: dict[str, int] = {}
        self.ran: dict[str, list[tuple[datetime, Action]]] = {}

    def sees(self, action: Action) -> None:
        """Checks a run that takes effect now."""
        now, rule = self._world.clock(), self._world.policy.rule(action.rule)
        assert rule is not None
        again = action.key in self.ran
        if again:  # where the platform has unique keys this starts nothing; else it may, but once
            assert len(self.ran[action.key]) == 1 or self._world.config.uniqueness == "key"
        self._permitted(action, now)
        self._contained(action, rule.mode)
        assert now - action.proposed_at <= rule.max_age
        others = [(at, other) for key, runs in self.ran.items() if key != action.key for at, other in runs[-1:]]
        of_playbook = [at for at, other in others if other.playbook == action.playbook]
        assert sum(now - at < rule.rate.per for at in of_playbook) < rule.rate.runs
        if rule.entity_rate is not None:
            on_entity = [at for at, other in others if other.entity_key == action.entity_key]
            assert sum(now - at < rule.entity_rate.per for at in on_entity) < rule.entity_rate.runs
        mine = [(at, other) for at, other in others if (other.rule, other.entity_key) == (rule.name, action.entity_key)]
        self._rested(action, now, [at for at, _ in mine])
        if rule.group is not None:
            window = (action.proposed_at - datetime.fromtimestamp(0, now.tzinfo)) // rule.group
            for _, other in mine:
                assert (other.proposed_at - datetime.fromtimestamp(0, now.tzinfo)) // rule.group != window
        assert action.key == identity.action_key(action.subject, action.rule)
        self.ran.setdefault(action.key, []).append((now, action))

    def _permitted(self, action: Action, now: datetime) -> None:
        """By people: their switches, their silences, their word."""
        stopping = {"kill", f"rule:{action.rule}", f"playbook:{action.playbook}", "soar:soar"}
        assert not any(self.switches.get(name) for name in stopping)
        which = self.proposed[action.key]
        covering = {
            "*",
            f"rule:{action.rule}",
            f"entity:host:ws-{which}",
            "entity:host:WS-*",
            f"entity:agent:agent-{which}",
        }
        assert not any(scope in covering and now < until for scope, until in self.silences)
        state, expires_at = self.approvals.get(action.key, ("pending", None))
        assert state != "rejected"
        if action.mode == "approve":
            assert state == "approved"
            assert expires_at is None or now < expires_at

    def _contained(self, action: Action, mode: str) -> None:
        """Nothing that is protected, and without a person only what is known, by votes, on a platform that tells keys."""
        if action.tier != "contain":
            return
        machine = MACHINES[self.proposed[action.key]]
        assert machine.containable
        if mode == "auto":
            assert machine.unattended
            assert sum(vote is not None for vote in action.verdict.members.values()) >= 2
            assert self._world.config.uniqueness == "key" or self._world.policy.accepts_second_run
            assert not self.switches.get("drift")

    def _rested(self, action: Action, now: datetime, runs: list[datetime]) -> None:
        """The rule's cool-down on the entity is over, and what came close to the rule kept it going."""
        rule = self._world.policy.rule(action.rule)
        assert rule is not None
        assert isinstance(rule.min_confidence, float)
        which, since = self.proposed[action.key], max(runs, default=None)
        if since is None:
            return
        for at, machine, score in self.scores:
            close = machine == which and score >= rule.min_confidence - rule.hysteresis - 1e-6
            if rule.hysteresis and close and since <= at < since + rule.cooldown:
                since = at
        assert now - since >= rule.cooldown
