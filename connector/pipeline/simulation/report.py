"""What a simulation tells: each policy's sums, what differs between them, and how far the record agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from connector.pipeline.simulation.arm import Fate, Outcome
from connector.policy import Policy
from connector.policy.entity import entity_key
from connector.types import Entity, Noun, Verdict

MOST_ENTITIES: Final = 10_000
"""Entities that are counted one by one: names may be chosen by whoever writes events, and memory stays flat."""

MOST_EXAMPLES: Final = 20
MOST_LOST: Final = 1_000
OTHERS: Final = "(others)"
TRUE_POSITIVE: Final = "true_positive"


class Side(Noun, frozen=True):
    """One policy's part. ``rules``: by rule, how many verdicts ended in each way; ``refusals``: by rule and reason.

    ``entities``: runs by entity; ``analysts``: verdicts with a run by what analysts decided on them.
    """

    policy: str
    runs: int
    rules: Mapping[str, Mapping[Outcome, int]]
    refusals: Mapping[str, Mapping[str, int]]
    entities: Mapping[str, int]
    analysts: Mapping[str, int]


class Change(Noun, frozen=True):
    """A verdict that the two policies treat otherwise. ``analysts``: what they decided, if they did."""

    event_id: str
    at: datetime
    entity: str
    today: Fate
    new: Fate
    analysts: str | None = None


class Agreement(Noun, frozen=True):
    """How the actions of today's policy, simulated, ended in the ledger.

    ``same``: as simulated; ``other``: by ``simulated, recorded``; ``unknown``: the ledger has no such action.
    ``only_recorded``: actions in the ledger that today's policy does not propose.
    """

    same: int = 0
    other: Mapping[str, int] = {}
    unknown: int = 0
    only_recorded: int = 0


class Report(Noun, frozen=True):
    """The whole answer. ``gained``, ``lost``: verdicts that only one policy runs a playbook for; ``moved``: another one.

    ``lost_true_positives``: what analysts confirmed, and the new policy treats less than today's does; at most
    :data:`MOST_LOST` of them are listed. ``unknowable``: what no simulation can tell here, in sentences.
    """

    since: datetime
    until: datetime
    verdicts: int
    today: Side
    new: Side
    gained: int
    lost: int
    moved: int
    examples: tuple[Change, ...]
    lost_true_positives: tuple[Change, ...]
    lost_true_positives_count: int
    record: Agreement
    unknowable: tuple[str, ...]


class SideSums:
    """Adds one policy's part up."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rules: dict[str, Counter[Outcome]] = {rule.name: Counter() for rule in policy.rules}
        self._refusals: dict[str, Counter[str]] = {}
        self._entities: Counter[str] = Counter()
        self._analysts: Counter[str] = Counter()

    def add(self, fate: Fate, entity: str, decided: str | None) -> None:
        """One verdict that a rule matched."""
        if fate.rule is None:
            return
        self._rules[fate.rule][fate.outcome] += 1
        if fate.outcome == "refused":
            # what follows a colon names times and entities
            self._refusals.setdefault(fate.rule, Counter())[fate.reason.partition(":")[0]] += 1
        if fate.outcome == "ran":
            known = entity in self._entities or len(self._entities) < MOST_ENTITIES
            self._entities[entity if known else OTHERS] += 1
        if fate.acts and decided is not None:
            self._analysts[decided] += 1

    def total(self) -> Side:
        """The sums."""
        return Side(
            policy=self._policy.name,
            runs=sum(outcomes["ran"] for outcomes in self._rules.values()),
            rules=self._rules,
            refusals=self._refusals,
            entities=dict(self._entities.most_common()),
            analysts=self._analysts,
        )


class Changes:
    """Compares what the two policies make of each verdict."""

    def __init__(self, analysts: Mapping[str, str]) -> None:
        self._analysts = analysts
        self.gained = self.lost = self.moved = self.lost_count = 0
        self.examples: list[Change] = []
        self.lost_true_positives: list[Change] = []

    def add(self, verdict: Brief, today: Fate, new: Fate) -> None:
        """One verdict that at least one of them matched."""
        self.gained += new.acts and not today.acts
        self.lost += today.acts and not new.acts
        self.moved += today.acts and new.acts and today.playbook != new.playbook
        decided = self._analysts.get(verdict.event_id)
        if decided != TRUE_POSITIVE and len(self.examples) >= MOST_EXAMPLES:
            return
        change = Change(
            event_id=verdict.event_id,
            at=verdict.at,
            entity=verdict.entity,
            today=today,
            new=new,
            analysts=decided,
        )
        if (today.acts, today.playbook) != (new.acts, new.playbook) and len(self.examples) < MOST_EXAMPLES:
            self.examples.append(change)
        if decided == TRUE_POSITIVE and _rank(new) < _rank(today):
            self.lost_count += 1
            if len(self.lost_true_positives) < MOST_LOST:
                self.lost_true_positives.append(change)


class Brief(Noun, frozen=True):
    """What is remembered of a verdict until both policies are done with it."""

    event_id: str
    at: datetime
    entity: str

    @classmethod
    def of(cls, verdict: Verdict, at: datetime) -> Brief:
        """The brief of a verdict that was written then."""
        return cls(event_id=verdict.event_id, at=at, entity=_shown(verdict.entity, verdict))


def _shown(entity: Entity, verdict: Verdict) -> str:
    return entity_key(entity, verdict.source)


def _rank(fate: Fate) -> int:
    """Less is done for a lower one: nothing, named in the verdict or refused, waits for a person, runs."""
    if fate.acts:
        return 3
    return {"waiting": 2, "unmatched": 0}.get(fate.outcome, 1)
