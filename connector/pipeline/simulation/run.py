"""Two policies over one recorded stream. Memory grows with what waits and what analysts closed, never with events."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec

from connector.ledger import Ledger
from connector.pipeline.simulation.arm import Arm, Fate, Site
from connector.pipeline.simulation.books import Recorded, SimulatedBooks
from connector.pipeline.simulation.report import Agreement, Brief, Changes, Report, SideSums
from connector.policy import Policy
from connector.policy.decide import proposals
from connector.policy.facts import Facts, facts_again
from connector.policy.matching import matching
from connector.types import Action, ModelRef, Verdict

COMPARED: Final = 500
"""Simulated actions that are compared with the ledger in one go."""


class _Open(msgspec.Struct):
    """A verdict that not both policies are done with."""

    verdict: Brief
    fates: list[Fate | None]


def simulate(
    ledger: Ledger,
    today: Policy,
    new: Policy,
    *,
    site: Site,
    thresholds: Callable[[ModelRef], Any],
    since: datetime,
    until: datetime,
    told: Callable[[int], object] = lambda _: None,
) -> Report:
    """What both policies would have made of the verdicts written in ``since <= time < until``.

    ``thresholds`` gives those of the bundle that a verdict names; ``told`` is called with how many more verdicts are done.
    """
    arms = [Arm(policy, site, _books(ledger, policy, since)) for policy in (today, new)]
    tally = _Tally(ledger, (today, new))
    verdicts = 0
    for at, written in groupby(ledger.verdicts_in(since, until), itemgetter(0)):
        for side, arm in enumerate(arms):
            tally.ended(side, arm.ended(at))
        # of revision 2 on, a verdict was scored again: that never triggers
        batch = [(v, facts_again(v, thresholds(v.model), at)) for _, v in written if v.revision == 1]
        verdicts += len(batch)
        for verdict, facts in _in_order(ledger, batch, today):
            tally.offered(verdict, at, [arm.offer(verdict, facts, at) for arm in arms])
        told(len(batch))
    for side, arm in enumerate(arms):
        tally.ended(side, arm.ended(until))
        tally.ended(side, arm.left())
    return Report(
        since=since,
        until=until,
        verdicts=verdicts,
        today=tally.sums[0].total(),
        new=tally.sums[1].total(),
        gained=tally.changes.gained,
        lost=tally.changes.lost,
        moved=tally.changes.moved,
        examples=tuple(tally.changes.examples),
        lost_true_positives=tuple(tally.changes.lost_true_positives),
        lost_true_positives_count=tally.changes.lost_count,
        record=tally.record(since, until),
        unknowable=tuple(_unknowable(today, new)),
    )


def _in_order(ledger: Ledger, batch: list[tuple[Verdict, Facts]], today: Policy) -> Iterable[tuple[Verdict, Facts]]:
    """What was committed at once, in the order in which it was proposed: verdicts lie in that of their ids."""
    keys: dict[str, tuple[str, str]] = {}
    for verdict, facts in batch if len(batch) > 1 else ():
        for action in proposals(matching(facts, today), verdict, facts.at):
            keys[verdict.record_id] = (action.soar, action.key)
    if len(keys) < 2:
        return batch
    numbers = {
        (soar, key): past.number
        for soar in {soar for soar, _ in keys.values()}
        for key, past in ledger.past_actions(soar, {key for of, key in keys.values() if of == soar}).items()
    }
    return sorted(batch, key=lambda pair: numbers.get(keys.get(pair[0].record_id, ("", "")), sys.maxsize))


def _books(ledger: Ledger, policy: Policy, since: datetime) -> SimulatedBooks:
    """The books at the beginning: what had been counted by then counts for any policy."""
    memory = max((rule.memory for rule in policy.rules), default=timedelta(0))
    recorded = Recorded(switchings=ledger.switchings(), silences=ledger.past_silences(), approval=ledger.approval)
    return SimulatedBooks(recorded, memory, ledger.counted_in(since - memory, since))


class _Tally:
    """Brings together what the two arms say of each verdict, and what the ledger says of the first one's actions."""

    def __init__(self, ledger: Ledger, policies: Iterable[Policy]) -> None:
        self._ledger = ledger
        self._analysts = ledger.decided_by_analysts()
        self.sums = [SideSums(policy) for policy in policies]
        self.changes = Changes(self._analysts)
        self._open: list[dict[str, list[_Open]]] = [{} for _ in self.sums]
        """By side and action: the verdicts for which it stands, that of its own event first."""
        self._uncompared: list[tuple[Action, Fate]] = []
        self._same = self._unknown = self._compared = 0
        self._other: Counter[str] = Counter()

    def offered(self, verdict: Verdict, at: datetime, answers: list[Fate | Action]) -> None:
        """What each arm makes of a verdict, as far as it is clear."""
        fates = [None if isinstance(answer, Action) else answer for answer in answers]
        if all(fate is not None and fate.rule is None for fate in fates):
            return
        pair = _Open(Brief.of(verdict, at), fates)
        for waiting, answer in zip(self._open, answers, strict=True):
            if isinstance(answer, Action):
                waiting.setdefault(answer.key, []).append(pair)
        self._close(pair)

    def ended(self, side: int, actions: Iterable[tuple[Action, Fate]]) -> None:
        """Actions of one arm with what became of them."""
        for action, fate in actions:
            for number, pair in enumerate(self._open[side].pop(action.key, ())):
                pair.fates[side] = fate.joined if number else fate
                self._close(pair)
            if side == 0:
                self._uncompared.append((action, fate))
                if len(self._uncompared) >= COMPARED:
                    self._compare()

    def record(self, since: datetime, until: datetime) -> Agreement:
        """How far the ledger agrees with the first arm."""
        self._compare()
        queued = self._ledger.actions_queued(since, until)
        found = self._compared - self._unknown
        return Agreement(
            same=self._same, other=self._other, unknown=self._unknown, only_recorded=max(0, queued - found)
        )

    def _close(self, pair: _Open) -> None:
        today, new = pair.fates
        if today is None or new is None:
            return
        decided = self._analysts.get(pair.verdict.event_id)
        for sums, fate in zip(self.sums, (today, new), strict=True):
            sums.add(fate, pair.verdict.entity, decided)
        self.changes.add(pair.verdict, today, new)

    def _compare(self) -> None:
        by_soar: dict[str, dict[str, Fate]] = {}
        for action, fate in self._uncompared:
            by_soar.setdefault(action.soar, {})[action.key] = fate
        self._compared += len(self._uncompared)
        self._uncompared.clear()
        for soar, fates in by_soar.items():
            past = self._ledger.past_actions(soar, fates)
            for key, fate in fates.items():
                if key not in past:
                    self._unknown += 1
                elif past[key].state == fate.outcome:
                    self._same += 1
                else:
                    self._other[f"{fate.outcome}, {past[key].state}"] += 1


def _unknowable(today: Policy, new: Policy) -> Iterable[str]:
    """What the ledger does not hold, so that nobody reads more into the numbers than they say."""
    yield "events that no longer have a verdict in the ledger, or never got one"
    yield "tags and list entries are those of then; aliases, agents and protected names are matched by today's tables"
    yield "whether a bundle was in production then: one counts as there"
    yield "whether a SOAR would have been down, or refused what it was never asked: every run counts as started"
    yield "actions that waited already when the stretch began"
    if any(rule.hysteresis for policy in (today, new) for rule in policy.rules):
        yield "cool-downs that began before the stretch and were renewed in it: only their newest beginning is kept"
    if any(rule.mode == "approve" for policy in (today, new) for rule in policy.rules):
        yield "approvals that were never asked for: what would wait for a person waits until it is too old"
    if any(rule.min_severity is not None for policy in (today, new) for rule in policy.rules):
        yield "the severity of events whose verdicts are older than that field: they have none here"
