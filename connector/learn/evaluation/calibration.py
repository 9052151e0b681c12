"""Whether a probability means what it says: equal-mass calibration error, Brier skill, and what perfection would show.

Sources: Naeini, Cooper, Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, 2015; Nixon et al.,
Measuring calibration in deep learning, arXiv:1904.01685 (equal mass); Vaicenavicius et al., arXiv:1902.06977 (the error
that a perfectly calibrated model would show on so few rows).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation.bootstrap import FEW_DRAWS, Floats, numbered, resampled

BINS = 10
_EDGE = 1e-7


class Bin(msgspec.Struct, frozen=True):
    """One bin of a reliability plot: mean probability, observed share, and its share of the total weight."""

    said: float
    seen: float
    mass: float


def by_group(groups: Sequence[Hashable]) -> Floats:
    """Weights (n,) under which every group weighs 1 in all."""
    numbers, count = numbered(groups)
    sizes = np.bincount(numbers, minlength=count)
    weight: Floats = 1.0 / sizes[numbers]
    return weight


def halved(weight: Floats, truth: NDArray[np.bool_]) -> Floats:
    """The weights, scaled so that true and false rows weigh one half each: a stream at prior 0.5."""
    parts = [np.where(side, weight, 0.0) for side in (truth, ~truth)]
    result: Floats = sum((part / max(2 * part.sum(), 1e-12) for part in parts), np.zeros(len(weight)))
    return result


def at_half(probabilities: Floats, prevalence: float) -> Floats:
    """Probabilities stated for a prevalence, restated for 0.5; the odds lose the prior's."""
    kept = np.clip(probabilities.astype(np.float64), _EDGE * prevalence, 1 - _EDGE)
    odds = kept / (1 - kept) * (1 - prevalence) / prevalence
    result: Floats = odds / (1 + odds)
    return result


def reliability(said: Floats, seen: Floats, weight: Floats, bins: int = BINS) -> list[Bin]:
    """Rows sorted by probability, cut into bins of equal weight; rows of equal probability stay together."""
    table = _masses(said, seen[None, :], weight, bins)
    total = float(weight.sum())
    return [
        Bin(p / mass, float(y) / mass, mass / total)
        for p, y, mass in zip(table.said, table.seen[0], table.mass, strict=True)
        if mass > 0
    ]


def equal_mass_ece(said: Floats, seen: Floats, weight: Floats, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal weight: |mean probability - observed share| by mass."""
    return float(_errors(said, seen[None, :], weight, bins)[0])


def perfect_ece(
    said: Floats, weight: Floats, groups: Sequence[Hashable], *, draws: int = FEW_DRAWS, together: bool = False
) -> Floats:
    """The errors (draws,) that a perfectly calibrated model shows: groups drawn again, truth drawn by its probabilities.

    ``together``: one draw a group, so that the rows of a file are true or false together, as labels by file are.
    """
    numbers, count = numbered(groups)
    generator = np.random.default_rng(2)
    found = []
    for times in resampled(count, draws):
        roll = generator.random(count)[numbers] if together else generator.random(len(said))
        found.append(equal_mass_ece(said, (roll < said).astype(np.float64), weight * times[numbers]))
    return np.array(found)


def brier(said: Floats, seen: Floats, weight: Floats) -> float:
    """The weighted mean squared error of probabilities."""
    return float(np.average((said - seen) ** 2, weights=weight))


def brier_skill(said: Floats, seen: Floats, weight: Floats) -> float:
    """1 - Brier / Brier of always saying the base rate: 0 says nothing, 1 knows all."""
    base = float(np.average(seen, weights=weight))
    return 1.0 - brier(said, seen, weight) / max(base * (1 - base), 1e-12)


class _Table(msgspec.Struct, frozen=True, eq=False):
    """Sums by bin: of weight and of weight times probability (bins,), of weight times truth (truths, bins)."""

    mass: Floats
    said: Floats
    seen: Floats


def _masses(said: Floats, seen: Floats, weight: Floats, bins: int) -> _Table:
    values, place = np.unique(said, return_inverse=True)  # equal probabilities share a bin
    mass = np.bincount(place, weight, minlength=len(values))
    middle = np.cumsum(mass) - mass / 2
    cell = np.minimum((middle / max(mass.sum(), 1e-12) * bins).astype(np.intp), bins - 1)[place]
    return _Table(
        np.bincount(cell, weight, minlength=bins).astype(np.float64),
        np.bincount(cell, weight * said, minlength=bins).astype(np.float64),
        np.stack([np.bincount(cell, weight * row, minlength=bins) for row in seen]),
    )


def _errors(said: Floats, seen: Floats, weight: Floats, bins: int) -> Floats:
    table = _masses(said, seen, weight, bins)
    errors: Floats = np.abs(table.said - table.seen).sum(1) / max(float(weight.sum()), 1e-12)
    return errors
