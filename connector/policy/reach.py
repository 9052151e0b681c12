"""Which rules nothing can reach: the first rule that matches decides, so one behind others may never have its turn.

What is told is certain: every event that such a rule matches is matched by one before it. Not every unreachable rule is
found, since scores, hours and tags are not weighed against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from connector.policy.model import Rule

LEVELS: Final = ("suspicious", "malicious", "trigger")


def unreachable(rules: Sequence[Rule], thresholds: Any = None) -> Iterator[tuple[Rule, tuple[Rule, ...]]]:
    """Each rule that is never reached, with the rules before it that match all that it does.

    ``thresholds`` are the model's; without them a number and a level cannot be compared.
    """
    for place, rule in enumerate(rules):
        covering = _covering(rule, rules[:place], thresholds)
        if covering is not None:
            yield rule, covering


def _covering(rule: Rule, before: Sequence[Rule], thresholds: Any) -> tuple[Rule, ...] | None:
    """The rules before one that together match all that it does: by each technique, and by an entry of a block list."""
    left: frozenset[str] | None = rule.techniques
    whole, by_list = False, rule.listed
    used: list[Rule] = []
    for other in before:
        if not _wherever(other, rule):
            continue
        helps = by_list and other.listed
        by_list = by_list and not other.listed
        if not whole and _whenever(other, rule, thresholds):
            if other.techniques is None:
                helps = whole = True
            elif left is not None and (met := frozenset(t for t in left if _by(other, rule, t, thresholds))):
                left -= met
                helps, whole = True, not left
        if helps:
            used.append(other)
    return tuple(used) if whole and not by_list else None


def _wherever(other: Rule, rule: Rule) -> bool:
    """Whether the other rule is about all events that the rule is about, scores and techniques aside."""
    if other.sources is not None and (rule.sources is None or not rule.sources <= other.sources):
        return False
    if other.tags is not None and (rule.tags is None or not rule.tags <= other.tags):
        return False
    floors = ((other.min_severity, rule.min_severity), (other.min_risk, rule.min_risk))
    if any(theirs is not None and (mine is None or mine < theirs) for theirs, mine in floors):
        return False
    if (other.incident and not rule.incident) or (other.tier == "contain" and rule.tier != "contain"):
        return False  # containment asks for more than the rule says
    always = not other.when
    return always or (bool(rule.when) and all(any(o.covers(mine) for o in other.when) for mine in rule.when))


def _whenever(other: Rule, rule: Rule, thresholds: Any) -> bool:
    """Whether scores that are enough for the rule are enough for the other one."""
    if not _at_most(other.min_confidence, rule.min_confidence, thresholds):
        return False
    return other.quorum <= rule.quorum and other.split <= rule.split


def _by(other: Rule, rule: Rule, technique: str, thresholds: Any) -> bool:
    """Whether an event that the rule matches by this technique is matched by the other rule."""
    if other.techniques is None or technique not in other.techniques:
        return False
    theirs, own = other.floors.get(technique), rule.floors.get(technique)
    if theirs is None:
        return own is None
    return own is not None and _at_most(theirs, own, thresholds)


def _at_most(low: str | float, high: str | float, thresholds: Any) -> bool:
    if isinstance(low, str) and isinstance(high, str):
        return LEVELS.index(low) <= LEVELS.index(high)
    if thresholds is None:
        return low == 0.0 or (high == 1.0 and isinstance(low, str))
    return _number(low, thresholds) <= _number(high, thresholds)


def _number(floor: str | float, thresholds: Any) -> float:
    return float(getattr(thresholds, floor)) if isinstance(floor, str) else floor
