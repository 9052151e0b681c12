"""One policy, lived through again: verdicts are offered to it in their order, and it admits what falls due between."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from connector.pipeline.admitting import Uniqueness, context_of
from connector.pipeline.simulation.books import SimulatedBooks
from connector.policy import Policy, Run, Wait, admit, scopes
from connector.policy.decide import proposals
from connector.policy.enrichment import Known
from connector.policy.entity import entity_key
from connector.policy.facts import Facts
from connector.policy.hysteresis import renewals
from connector.policy.matching import matching
from connector.types import Action, Entity, Noun, Verdict

Outcome: TypeAlias = Literal["ran", "joined", "waiting", "refused", "parked", "suggested", "unmatched"]
"""``joined``: another event's action, which ran, stands for it too; ``parked``: its SOAR had no room."""


class Fate(Noun, frozen=True):
    """What a policy makes of one verdict."""

    outcome: Outcome
    rule: str | None = None
    playbook: str | None = None
    reason: str = ""

    @property
    def joined(self) -> Fate:
        """That of another verdict for which the same action stands: where it did not run, nothing did for either."""
        return msgspec.structs.replace(self, outcome="joined") if self.outcome == "ran" else self

    @property
    def acts(self) -> bool:
        """Whether a playbook runs for it."""
        return self.outcome in {"ran", "joined"}


UNMATCHED = Fate(outcome="unmatched")

INCIDENT: Final = timedelta(days=30)
"""How long an incident's action is remembered."""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What both policies live with: the tables of the site, and by SOAR its uniqueness and how much may wait for it.

    A SOAR without ``room`` parks nothing: sources pause for it.
    """

    known: Callable[[Entity], Known]
    uniqueness: Mapping[str, Uniqueness]
    room: Mapping[str, int]


class _Group(msgspec.Struct):
    """An action that stands for a window: since when, and what became of it, if that is clear."""

    since: datetime
    fate: Fate | None = None


class Arm:
    """A policy with books of its own.

    An action is looked at when its verdict was written, and again when what it waits for may be over: the daemon does
    the same, at most its SOAR's ``every`` later.
    """

    def __init__(self, policy: Policy, site: Site, books: SimulatedBooks) -> None:
        self.policy = policy
        self._site = site
        self._books = books
        self._numbers = itertools.count()
        self._due: list[tuple[datetime, int, Action, str]] = []
        self._waiting: Counter[str] = Counter()
        self._groups: OrderedDict[str, _Group] = OrderedDict()
        windows = (rule.group or (INCIDENT if rule.incident else timedelta(0)) for rule in policy.rules)
        self._longest = max(windows, default=timedelta(0))

    def offer(self, verdict: Verdict, facts: Facts, at: datetime) -> Fate | Action:
        """What becomes of a verdict at once, or the action, its own or its group's, that is to be looked at."""
        for cooling in renewals(facts, entity_key(facts.entity, facts.source), self.policy):
            self._books.renew(cooling, at)
        rule = matching(facts, self.policy)
        if rule is None:
            return UNMATCHED
        for action in proposals(rule, verdict, facts.at):
            if action.subject != verdict.event_id and self._stands(action, at):
                fate = self._groups[action.key].fate
                return action if fate is None else fate.joined
            if self._waiting[action.soar] >= self._site.room.get(action.soar, math.inf):
                return self._decided(action, _fate("parked", action, f"{action.soar} is full"))
            self._queue(action, at, next(self._numbers), "")
            return action
        return Fate(outcome="suggested", rule=rule.name, playbook=rule.playbook)

    def ended(self, before: datetime) -> Iterator[tuple[Action, Fate]]:
        """The actions that are decided before this moment, each with what became of it."""
        while self._due and self._due[0][0] < before:
            at, number, action, _ = heapq.heappop(self._due)
            self._waiting[action.soar] -= 1
            fate = self._look(action, at, number)
            if fate is not None:
                yield action, self._decided(action, fate)

    def left(self) -> Iterator[tuple[Action, Fate]]:
        """The actions that still wait."""
        for _, _, action, reason in sorted(self._due, key=lambda entry: entry[:2]):
            yield action, _fate("waiting", action, reason)

    def _look(self, action: Action, at: datetime, number: int) -> Fate | None:
        books = self._books.at(at)
        context = context_of(
            books,
            action,
            self.policy,
            self._site.known(action.entity),
            bundle_ready=True,
            uniqueness=self._site.uniqueness[action.soar],
        )
        decision = admit(action, context, self.policy, at)
        if isinstance(decision, Run):
            books.run(action.key, [scope.name for scope in scopes(action, self.policy)])
            return _fate("ran", action)
        if isinstance(decision, Wait):
            woken = books.awaited(action.key)
            again = decision.until if woken is None else min(decision.until, woken)
            self._queue(action, again, number, decision.reason)
            return None
        return _fate("refused", action, decision.reason)

    def _decided(self, action: Action, fate: Fate) -> Fate:
        if action.key in self._groups:
            self._groups[action.key].fate = fate
        return fate

    def _queue(self, action: Action, due: datetime, number: int, reason: str) -> None:
        self._waiting[action.soar] += 1
        heapq.heappush(self._due, (due, number, action, reason))

    def _stands(self, action: Action, at: datetime) -> bool:
        """Whether an action with this key stands for its window already."""
        while self._groups and self._groups[first := next(iter(self._groups))].since < at - self._longest:
            del self._groups[first]
        known = action.key in self._groups
        self._groups.setdefault(action.key, _Group(at))
        return known


def _fate(outcome: Outcome, action: Action, reason: str = "") -> Fate:
    return Fate(outcome=outcome, rule=action.rule, playbook=action.playbook, reason=reason)
