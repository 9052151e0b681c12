"""What a verdict adds to an entity's risk, and how that decays.

A verdict's points grow with the evidence in it: with the logarithm of the odds of its p_malicious, which is what
independent pieces of evidence add up in (I. J. Good, Probability and the Weighing of Evidence, 1950). They are counted
from the level on at which an event is suspicious, since below it most events of a quiet host lie. 100 points are, as in
Splunk's risk-based alerting, where somebody should look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from connector.pipeline.entities.nouns import Step

HALF_LIFE: Final = timedelta(hours=24)
"""After this long, by event time, points count half."""

MOST_POINTS: Final = 100.0
"""What one event can add at most, and what an entry of a block list does."""

A_DOUBLING: Final = 15.0
"""Points for each doubling of the odds beyond those of the suspicious level."""

_HALF_LIFE_US: Final = HALF_LIFE // timedelta(microseconds=1)


def points_of(p: float, suspicious: float) -> float:
    """The points of a probability; 0 at or below the level, :data:`MOST_POINTS` at most."""
    if not suspicious < p <= 1.0:
        return 0.0
    if p >= 1.0 or suspicious <= 0.0:
        return MOST_POINTS
    return min(MOST_POINTS, A_DOUBLING * (_log2_odds(p) - _log2_odds(suspicious)))


def decayed(points: float, since: int, now: int) -> float:
    """What is left of points at a later event time (microseconds)."""
    return points * math.exp2(-(now - since) / _HALF_LIFE_US)


def risk_at(steps: Iterable[Step], now: int) -> float:
    """The sum of what is left of each step at an event time; steps that come after it add nothing."""
    return math.fsum(decayed(step.points, step.at, now) for step in steps if step.at <= now)


def falls_to(risk: float, level: float, now: int) -> int:
    """When a risk will have decayed to a level; ``now`` where it is no higher."""
    return now if risk <= level else now + round(_HALF_LIFE_US * math.log2(risk / level))


def _log2_odds(p: float) -> float:
    return math.log2(p) - math.log2(1.0 - p)
