"""Intervals by resampling whole groups: rows of one file are near-copies, so they are drawn together or not at all.

Source: Field and Welsh, Bootstrapping clustered data, Journal of the Royal Statistical Society B 69, 2007.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

DRAWS, FEW_DRAWS = 1000, 200
"""Resamples of a ratio, and of a statistic that is computed anew for each."""

EDGES = (2.5, 97.5)


class Interval(msgspec.Struct, frozen=True):
    """A value with its 95% interval by group bootstrap, over how many rows and groups; nan where there is nothing."""

    value: float
    low: float
    high: float
    rows: int
    groups: int


def numbered(groups: Sequence[Hashable]) -> tuple[Whole, int]:
    """The number of each row's group, and how many groups there are."""
    places: dict[Hashable, int] = {}
    numbers = np.array([places.setdefault(group, len(places)) for group in groups], np.int64)
    return numbers, len(places)


def resampled(groups: int, draws: int, seed: int = 1) -> Whole:
    """How often each group is drawn, (draws, groups), with as many draws as there are groups."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(groups, np.full(groups, 1 / groups), size=draws)


def ratio(top: Floats, bottom: Floats, groups: Sequence[Hashable], draws: int = DRAWS) -> Interval:
    """``sum(top) / sum(bottom)`` over rows (n,), with its interval."""
    numbers, count = numbered(groups)
    if not count or not bottom.sum():
        return Interval(np.nan, np.nan, np.nan, len(top), count)
    tops, bottoms = (np.bincount(numbers, values, minlength=count) for values in (top, bottom))
    times = resampled(count, draws)
    low, high = _edges((times @ tops) / np.maximum(times @ bottoms, 1e-12))
    return Interval(float(top.sum() / bottom.sum()), low, high, len(top), count)


def share(hits: NDArray[np.bool_], groups: Sequence[Hashable], draws: int = DRAWS) -> Interval:
    """The share of rows that are hits, with its interval."""
    return ratio(hits.astype(np.float64), np.ones(len(hits)), groups, draws)


def statistic(
    compute: Callable[[Floats], float], weight: Floats, groups: Sequence[Hashable], draws: int = FEW_DRAWS
) -> Interval:
    """Any statistic of weighted rows: ``compute`` takes weights (n,), those of a row drawn twice are doubled."""
    numbers, count = numbered(groups)
    if not count:
        return Interval(np.nan, np.nan, np.nan, 0, 0)
    values = np.array([compute(weight * times[numbers]) for times in resampled(count, draws)])
    low, high = _edges(values)
    return Interval(compute(weight), low, high, len(weight), count)


def _edges(values: Floats) -> tuple[float, float]:
    kept = values[np.isfinite(values)]
    if not len(kept):
        return np.nan, np.nan
    low, high = np.percentile(kept, EDGES)
    return float(low), float(high)
