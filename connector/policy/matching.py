"""Which rule matches: a function of the facts and the policy alone, whether the event is fresh or long decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from connector.attack import catalogue
from connector.policy.facts import Facts
from connector.policy.model import Policy, Rule
from connector.types import VerdictName

META: Final = "meta"
"""The member that reads all others: what it says is no opinion of its own, and so never part of a quorum."""


class Miss(NamedTuple):
    """A criterion that a rule did not meet: the rule's key, what it asks for, and what there is."""

    key: str
    wanted: object
    found: object

    def __str__(self) -> str:
        """For people."""
        return f"{self.key}: wants {_told(self.wanted)} but has {_told(self.found)}"


def matching(facts: Facts, policy: Policy) -> Rule | None:
    """The first rule that matches; none for what is allowed.

    Nearly all events are below every rule's floor, and only what is not is looked at closely.
    """
    if facts.listed == "allow":
        return None
    blocked = facts.listed == "block"
    for rule in policy.rules:
        near = facts.p_malicious >= floor_of(rule, facts) or (blocked and rule.listed)
        if near and not any(misses(rule, facts)):
            return rule
    return None


def misses(rule: Rule, facts: Facts) -> Iterator[Miss]:
    """Every criterion that the facts do not meet; nothing where the rule matches.

    By the model's own scores, or because the event is blocked and the rule says that this is enough. Containment never
    hangs on an abstention, a benign verdict, or an event without a known technique.
    """
    yield from _misses_around(rule, facts)
    if not by_list(rule, facts):
        floor = floor_of(rule, facts)
        if not floor <= facts.p_malicious <= 1.0:
            yield Miss("min_confidence", floor, facts.p_malicious)
        if rule.tier == "contain" and not _may_contain(facts, facts.scored):
            yield Miss("tier", "a suspicion and a known technique, to contain", (facts.scored, *facts.passed))
        if rule.quorum and (votes := agreeing(facts, floor)) < rule.quorum:
            yield Miss("quorum", rule.quorum, votes)
        if rule.techniques is not None and not any(counting(rule, facts)):
            yield _unshown(rule, facts)
    if rule.when and not any(hours.holds(facts.at) for hours in rule.when):
        yield Miss("when", "its hours", facts.at)


def _misses_around(rule: Rule, facts: Facts) -> Iterator[Miss]:
    """What is not met of all that lies around the event: where it comes from, whose it is, and what these went through."""
    if rule.sources is not None and facts.source.siem not in rule.sources:
        yield Miss("sources", rule.sources, facts.source.siem)
    if rule.tags is not None and rule.tags.isdisjoint(facts.tags):
        yield Miss("tags", rule.tags, facts.tags)
    if rule.min_severity is not None and (facts.severity is None or facts.severity < rule.min_severity):
        yield Miss("min_severity", rule.min_severity, facts.severity)
    if rule.min_risk is not None and (facts.risk is None or facts.risk < rule.min_risk):
        yield Miss("min_risk", rule.min_risk, facts.risk)
    if rule.incident and facts.incident is None:
        yield Miss("incident", "an incident", None)


def by_list(rule: Rule, facts: Facts) -> bool:
    """Whether the event is blocked and that is enough for the rule, whatever the scores and the techniques."""
    if not rule.listed or facts.listed != "block":
        return False
    return rule.tier != "contain" or _may_contain(facts, "malicious")


def floor_of(rule: Rule, facts: Facts) -> float:
    """What p_malicious must reach: the rule's number, or the model's threshold of that name; never below 0."""
    return number(rule.min_confidence, facts)


def number(floor: str | float, facts: Facts) -> float:
    """A number, or the model's threshold of that name."""
    return float(getattr(facts.thresholds, floor)) if isinstance(floor, str) else floor


def agreeing(facts: Facts, floor: float) -> int:
    """How many members are at or above the floor, each by itself."""
    votes = facts.members.items()
    return sum(vote is not None and floor <= vote <= 1.0 for name, vote in votes if name != META)


def counting(rule: Rule, facts: Facts) -> Iterator[str]:
    """The ids by which the rule matches, of the techniques that it names.

    An id counts that passed the model's threshold; one with a floor of the rule's own counts where p_malicious and its
    probability both reach that. A sub-technique that passed and has its own threshold decides for its parent too.
    """
    covered, floors = rule.techniques or frozenset(), rule.floors
    decided = {sub.partition(".")[0] for sub in rule.split.intersection(facts.passed)} if rule.split else ()
    for technique in facts.passed:
        if technique in covered and technique not in floors and technique not in decided:
            yield technique
    if floors:
        for technique, probability in _rated(facts):
            if technique in floors and technique not in decided:
                floor = number(floors[technique], facts)
                if facts.p_malicious >= floor and probability >= floor:
                    yield technique


def _rated(facts: Facts) -> Iterator[tuple[str, float]]:
    """The techniques and sub-techniques that have a probability."""
    for technique in facts.techniques:
        yield technique.id, technique.probability
        if technique.subtechnique is not None:
            yield technique.subtechnique.id, technique.subtechnique.probability


def _may_contain(facts: Facts, name: VerdictName) -> bool:
    known = catalogue().techniques
    return name in {"malicious", "suspicious"} and any(technique in known for technique in facts.passed)


def _unshown(rule: Rule, facts: Facts) -> Miss:
    """That no technique counts: those that are seen stay below the rule's thresholds, or none of the rule's is seen."""
    rated = dict(_rated(facts))
    below = [technique for technique in facts.passed if technique in rule.floors]
    if not below:
        return Miss("techniques", rule.techniques, facts.passed)
    wanted = tuple(f"{technique} {number(rule.floors[technique], facts):.4g}" for technique in below)
    reached = ((technique, rated.get(technique)) for technique in below)
    found = tuple(f"{t} {'unknown' if p is None else format(min(facts.p_malicious, p), '.4g')}" for t, p in reached)
    return Miss("thresholds", wanted, found)


def _told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, frozenset | tuple):
        names = sorted(map(str, value)) if isinstance(value, frozenset) else list(map(str, value))
        return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
    return "none" if value is None else str(value)
