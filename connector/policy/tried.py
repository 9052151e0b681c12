"""What each rule says of an event: whether it matches, and which of its criteria the event misses."""

from __future__ import annotations

from connector.policy.facts import Facts
from connector.policy.matching import matching, misses
from connector.policy.model import Policy
from connector.types import Mode, Noun


class Tried(Noun, frozen=True):
    """One rule. ``decides``: it is the first that matches; ``missed`` is empty where it matches."""

    rule: str
    mode: Mode
    playbook: str
    decides: bool
    missed: tuple[str, ...]


def tried(facts: Facts, policy: Policy) -> tuple[Tried, ...]:
    """All rules in their order, also those after the one that decides; of what is allowed, none decides."""
    decides = matching(facts, policy)
    return tuple(
        Tried(
            rule=rule.name,
            mode=rule.mode,
            playbook=rule.playbook,
            decides=rule is decides,
            missed=tuple(map(str, misses(rule, facts))),
        )
        for rule in policy.rules
    )
