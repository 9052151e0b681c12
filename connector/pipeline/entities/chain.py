"""The tactics of a chain of techniques, in the order in which they were reached."""

from __future__ import annotations

from collections.abc import Iterable

from connector.attack import catalogue
from connector.pipeline.entities.nouns import Step


def techniques_of(steps: Iterable[Step]) -> tuple[str, ...]:
    """The known techniques, in the order of the steps."""
    return tuple(step.technique for step in steps if step.technique)


def tactics_of(steps: Iterable[Step]) -> tuple[str, ...]:
    """Tactic ids in the order in which steps reach them, each once.

    A technique may serve several tactics. It is read as serving one that the chain has reached; where it serves none of
    those, as the first of its own in the matrix: a chain so never shows more progress than its techniques prove.
    """
    attack = catalogue()
    order = {tactic: place for place, tactic in enumerate(attack.tactics)}
    reached: dict[str, None] = {}
    for technique in techniques_of(steps):
        known = attack.technique(technique)
        if known is not None and known.tactics and reached.keys().isdisjoint(known.tactics):
            reached[min(known.tactics, key=lambda tactic: order.get(tactic, len(order)))] = None
    return tuple(reached)
