"""Why a rule matched, and what kept others from it: sentences for people, made only where somebody may ask."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from connector.policy.facts import Facts, level
from connector.policy.matching import agreeing, by_list, counting, floor_of, misses, number
from connector.policy.model import Policy, Rule

MOST: Final = 3
"""Techniques, and rules that nearly matched, that are told of."""

UNREMARKABLE: Final = frozenset({"benign", "abstain"})

ELSEWHERE: Final = frozenset({"sources", "tags", "techniques", "incident"})
"""A rule that misses one of these is about other events, and that it did not match needs no reason."""


def reasons(rule: Rule | None, facts: Facts, policy: Policy) -> tuple[str, ...]:
    """By what the rule matched, and what the rules before it missed that are about such events.

    Nothing where no rule matches and none should be missed: of what is allowed, and of what is not even suspicious.
    """
    if rule is None and (facts.listed == "allow" or level(facts.p_malicious, facts.thresholds) in UNREMARKABLE):
        return ()
    matched = () if rule is None else (f"rule {rule.name!r} matched: {', '.join(_by(rule, facts))}",)
    return (*matched, *islice(_nearly(rule, facts, policy), MOST))


def _by(rule: Rule, facts: Facts) -> Iterator[str]:
    """What a rule matched by."""
    if by_list(rule, facts):
        yield "an entry of a block list is enough"
        return
    floor = floor_of(rule, facts)
    named = f"{rule.min_confidence} {floor:.4g}" if isinstance(rule.min_confidence, str) else f"{floor:.4g}"
    yield f"p_malicious {facts.p_malicious:.4g} reaches {named}"
    if rule.quorum:
        yield f"{agreeing(facts, floor)} members agree ({rule.quorum} needed)"
    for technique in islice(counting(rule, facts), MOST):
        own = rule.floors.get(technique)
        yield technique if own is None else f"{technique} reaches {number(own, facts):.4g}"


def _nearly(matched: Rule | None, facts: Facts, policy: Policy) -> Iterator[str]:
    """The rules before the one that matched that are about such events, each with what it missed."""
    for rule in policy.rules:
        if rule is matched:
            return
        if rule.techniques is not None and not rule.floors and rule.techniques.isdisjoint(facts.passed):
            continue  # about other events, and told at once
        missed = tuple(misses(rule, facts))
        if ELSEWHERE.isdisjoint(miss.key for miss in missed):
            yield f"rule {rule.name!r} did not match: {'; '.join(map(str, missed))}"
