"""Hysteresis: what comes close to a rule keeps its cool-down on the entity going, so that no hovering score flaps.

A rule with ``hysteresis`` acts on an entity again only after the entity's events stayed that much below what the rule
asks for a whole cool-down. An entity that the rule has not acted on is not held back.
"""

from __future__ import annotations

from typing import Final

import msgspec

from connector.policy.admission import Scope
from connector.policy.admit import cooldown_scope
from connector.policy.facts import Facts, level
from connector.policy.matching import misses
from connector.policy.model import Policy, Rule
from connector.types import TechniqueScore

ROUNDING: Final = 1e-9
"""What adding two probabilities may lose: 0.7 is 0.1 below 0.8."""


def renewals(facts: Facts, entity_key: str, policy: Policy) -> tuple[Scope, ...]:
    """The cool-downs that begin anew with this event where they are not over; none by what is allowed.

    Not only that of the rule that decides: the event is as close to a rule further down as if that one came first.
    """
    if facts.listed == "allow":
        return ()
    return tuple(
        Scope(name=cooldown_scope(rule.name, entity_key), window=rule.cooldown)
        for rule in policy.rules
        if rule.hysteresis and rule.mode != "suggest" and _close(rule, facts)
    )


def _close(rule: Rule, facts: Facts) -> bool:
    """Whether the rule would match if every score were higher by its hysteresis."""
    by = rule.hysteresis + ROUNDING
    p = _raised(facts.p_malicious, by)
    higher = msgspec.structs.replace(
        facts,
        scored="abstain" if facts.scored == "abstain" else level(p, facts.thresholds),
        p_malicious=p,
        techniques=tuple(_raised_score(score, by) for score in facts.techniques),
        members={name: None if vote is None else _raised(vote, by) for name, vote in facts.members.items()},
    )
    return next(misses(rule, higher), None) is None


def _raised(probability: float, by: float) -> float:
    return min(probability + by, 1.0) if 0.0 <= probability <= 1.0 else probability


def _raised_score(score: TechniqueScore, by: float) -> TechniqueScore:
    sub = score.subtechnique
    return msgspec.structs.replace(
        score,
        probability=_raised(score.probability, by),
        subtechnique=None if sub is None else _raised_score(sub, by),
    )
