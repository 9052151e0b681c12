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


class Binned:
    """Probabilities (n,) sorted once, for errors under many weights and truths."""

    def __init__(self, said: Floats, bins: int = BINS) -> None:
        self._said, self._bins = said, bins
        self._values, self._place = np.unique(said, return_inverse=True)  # equal probabilities share a bin

    def sums(self, seen: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
        """By bin (bins,): the weight, and the weighted sums of probability and of truth."""
        mass = np.bincount(self._place, weight, minlength=len(self._values))
        middle = np.cumsum(mass) - mass / 2
        cell = np.minimum((middle / max(mass.sum(), 1e-12) * self._bins).astype(np.intp), self._bins - 1)[self._place]
        parts = (np.bincount(cell, part, minlength=self._bins) for part in (weight, weight * self._said, weight * seen))
        total, said, true = (part.astype(np.float64) for part in parts)
        return total, said, true

    def ece(self, seen: Floats, weight: Floats) -> float:
        """Expected calibration error over bins of equal weight: |mean probability - observed share| by mass."""
        _, said, true = self.sums(seen, weight)
        return float(np.abs(said - true).sum() / max(float(weight.sum()), 1e-12))


def reliability(said: Floats, seen: Floats, weight: Floats, bins: int = BINS) -> list[Bin]:
    """Rows sorted by probability, cut into bins of equal weight; rows of equal probability stay together."""
    total = float(weight.sum())
    return [
        Bin(float(p / mass), float(y / mass), float(mass / total))
        for mass, p, y in zip(*Binned(said, bins).sums(seen, weight), strict=True)
        if mass > 0
    ]


def perfect_ece(
    said: Floats, weight: Floats, groups: Sequence[Hashable], *, draws: int = FEW_DRAWS, together: bool = False
) -> Floats:
    """The errors (draws,) that a perfectly calibrated model shows: groups drawn again, truth drawn by its probabilities.

    ``together``: one draw a group, so that the rows of a file are true or false together, as labels by file are.
    """
    numbers, count = numbered(groups)
    generator, binned = np.random.default_rng(2), Binned(said)
    found = []
    for times in resampled(count, draws):
        roll = generator.random(count)[numbers] if together else generator.random(len(said))
        found.append(binned.ece((roll < said).astype(np.float64), weight * times[numbers]))
    return np.array(found)


def brier(said: Floats, seen: Floats, weight: Floats) -> float:
    """The weighted mean squared error of probabilities."""
    return float(np.average((said - seen) ** 2, weights=weight))


def brier_skill(said: Floats, seen: Floats, weight: Floats) -> float:
    """1 - Brier / Brier of always saying the base rate: 0 says nothing, 1 knows all."""
    base = float(np.average(seen, weights=weight))
    return 1.0 - brier(said, seen, weight) / max(base * (1 - base), 1e-12)
