"""Adding a verdict to an entity. The order in which verdicts come does not matter within :data:`WINDOW`.

An entity has one step a technique. A step counts as much as the event that, decayed, counts most: to repeat what a host
did adds nothing, and another technique does. An incident takes two: neither a noisy rule nor a flood of copies makes one.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Final

import msgspec

from connector.pipeline.entities.nouns import EntityState, Step
from connector.pipeline.entities.points import HALF_LIFE, risk_at
from connector.types import Entity, Noun

WINDOW: Final = 7 * HALF_LIFE
"""What is this much older than the entity's newest event adds nothing, and steps last seen so long before are dropped."""

MOST_STEPS: Final = 32
"""Techniques that are kept of an entity: those that count most."""

_MICROSECOND: Final = timedelta(microseconds=1)
_WINDOW_US: Final = WINDOW // _MICROSECOND
_HALF_LIFE_US: Final = HALF_LIFE // _MICROSECOND


class Contribution(Noun, frozen=True):
    """What one verdict adds: ``points`` to its likeliest technique, the first; the others are only seen.

    ``whose`` are the (key, entity) of those that it adds to.
    """

    event: str
    at: int
    points: float
    techniques: tuple[str, ...]
    whose: tuple[tuple[str, Entity], ...]


class Added(Noun, frozen=True):
    """An entity after a verdict: the ``points`` that it gained, and the techniques that are ``new`` to it."""

    state: EntityState
    points: float
    new: tuple[str, ...]


def add(state: EntityState, contribution: Contribution) -> Added:
    """The entity with one more verdict; unchanged where the verdict comes too late (:data:`WINDOW`)."""
    newest = max(state.newest, contribution.at)
    if is_late(state, contribution.at):
        return Added(state=state, points=0.0, new=())
    steps = {step.technique: step for step in state.steps if step.last >= newest - _WINDOW_US}
    before = risk_at(steps.values(), newest)
    new: list[str] = []
    for place, technique in enumerate(contribution.techniques or ("",)):
        fresh = _step(state.key, technique, contribution, 0.0 if place else contribution.points)
        known = steps.get(technique)
        if known is None and technique:
            new.append(technique)
        steps[technique] = fresh if known is None else joined(known, fresh)
    kept = sorted(steps.values(), key=_rank, reverse=True)[:MOST_STEPS]
    after = msgspec.structs.replace(state, newest=newest, steps=tuple(sorted(kept, key=in_time)))
    return Added(state=after, points=max(0.0, risk_at(kept, newest) - before), new=tuple(new))


def joined(one: Step, other: Step) -> Step:
    """Two sights of one technique as one step."""
    most, least = (one, other) if _rank(one) >= _rank(other) else (other, one)
    first = min(one, other, key=in_time)
    return msgspec.structs.replace(
        most,
        first=first.first,
        first_event=first.first_event,
        last=max(one.last, other.last),
        count=most.count + least.count,
    )


def highest(state: EntityState, since: int, *, techniques: int = 0) -> float:
    """The highest risk at or after an event time, while at least so many techniques added to it; 0 if they never did.

    It only rises where a step adds to it.
    """
    adding = sorted(step.at for step in state.steps if step.points > 0.0)
    if len(adding) < techniques:
        return 0.0
    first = max((since, *adding[:techniques]))
    return max(risk_at(state.steps, at) for at in (first, *(at for at in adding if at > first)))


def is_late(state: EntityState, at: int) -> bool:
    """Whether an event time is too long before the entity's newest event to count."""
    return at < state.newest - _WINDOW_US


def _step(key: str, technique: str, contribution: Contribution, points: float) -> Step:
    at, event = contribution.at, contribution.event
    return Step(
        technique=technique, points=points, at=at, event=event, first=at, first_event=event, last=at, entity=key
    )


def _weight(step: Step) -> float:
    """What a step counts, on a scale that is the same at any time: all decay alike."""
    return (math.log2(step.points) if step.points > 0.0 else -math.inf) + step.at / _HALF_LIFE_US


def _rank(step: Step) -> tuple[float, int, str]:
    return (_weight(step), step.at, step.event)


def in_time(step: Step) -> tuple[int, str, str]:
    """The order of a chain: when each technique was first seen."""
    return (step.first, step.first_event, step.technique)
