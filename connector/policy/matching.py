"""Which rule matches: a function of the facts and the policy alone, whether the event is fresh or long decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from connector.attack import catalogue
from connector.policy.facts import Facts
from connector.policy.model import Policy, Rule
from connector.types import VerdictName


class Miss(NamedTuple):
    """A criterion that a rule did not meet: the rule's key, what it asks for, and what there is."""

    key: str
    wanted: object
    found: object

    def __str__(self) -> str:
        """For people."""
        return f"{self.key}: wants {_told(self.wanted)}, has {_told(self.found)}"


def matching(facts: Facts, policy: Policy) -> Rule | None:
    """The first rule that matches; none for what is allowed."""
    if facts.listed == "allow":
        return None
    return next((rule for rule in policy.rules if next(misses(rule, facts), None) is None), None)


def misses(rule: Rule, facts: Facts) -> Iterator[Miss]:
    """Every criterion that the facts do not meet; nothing where the rule matches.

    By the model's own scores, or because the event is blocked and the rule says that this is enough. Containment never
    hangs on an abstention, a benign verdict, or an event without a known technique.
    """
    if rule.tags is not None and rule.tags.isdisjoint(facts.tags):
        yield Miss("tags", rule.tags, facts.tags)
    contains = rule.tier == "contain"
    if rule.listed and facts.listed == "block" and (not contains or _may_contain(facts, "malicious")):
        return
    floor = floor_of(rule, facts)
    if not floor <= facts.p_malicious <= 1.0:
        yield Miss("min_confidence", floor, facts.p_malicious)
    if contains and not _may_contain(facts, facts.scored):
        yield Miss("tier", "a suspicion and a known technique, to contain", (facts.scored, *facts.passed))
    if rule.techniques is not None and rule.techniques.isdisjoint(candidates := _candidates(facts, rule)):
        yield Miss("techniques", rule.techniques, candidates)


def floor_of(rule: Rule, facts: Facts) -> float:
    """What p_malicious must reach: the rule's number, or the model's threshold of that name; never below 0."""
    floor = rule.min_confidence
    return float(getattr(facts.thresholds, floor)) if isinstance(floor, str) else floor


def _may_contain(facts: Facts, name: VerdictName) -> bool:
    known = catalogue().techniques
    return name in {"malicious", "suspicious"} and any(technique in known for technique in facts.passed)


def _candidates(facts: Facts, rule: Rule) -> frozenset[str]:
    """The ids that this rule may match: those that passed the model's threshold, or the rule's own where it has one."""
    if rule.technique_probability is None:
        return frozenset(facts.passed)
    return frozenset(
        score.id
        for technique in facts.techniques
        for score in (technique, technique.subtechnique)
        if score is not None and score.probability >= rule.technique_probability
    )


def _told(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, frozenset | tuple):
        names = sorted(map(str, value)) if isinstance(value, frozenset) else list(map(str, value))
        return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "none"
    return str(value)
