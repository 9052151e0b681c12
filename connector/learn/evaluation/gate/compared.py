"""One check from two bundles' numbers on the same rows: the difference, with its interval by paired group bootstrap.

A group (file, recording, rule, near-duplicates) is drawn whole and for both bundles together, so what makes a row hard
for both cancels out. Source: Field and Welsh, Bootstrapping clustered data, 2007; for margins: Walker and Nowacki,
Understanding equivalence and noninferiority testing, Journal of General Internal Medicine 26, 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation import bootstrap, calibration
from connector.learn.evaluation.bootstrap import Floats, Interval
from connector.learn.evaluation.gate.report import Check, Rule

Pair: TypeAlias = tuple[NDArray[Any], NDArray[Any]]
"""A number or a yes or no a row (n,), of the challenger and of the incumbent."""


class Demand(NamedTuple):
    """What a check asks for. ``part``: of rows too few to prove it; ``good`` false: the number is good where it is low."""

    margin: float
    part: bool = False
    good: bool = True

    @property
    def rule(self) -> Rule:
        """How the check passes."""
        return "not surely worse" if self.part else "proven no worse"


class Weighed(NamedTuple):
    """The weights (n,) of rows and their groups."""

    weight: Floats
    groups: Sequence[Hashable]

    @classmethod
    def by_group(cls, groups: Sequence[Hashable]) -> Weighed:
        """Every group weighs the same."""
        return cls(calibration.by_group(groups), groups)


def mean(name: str, pair: Pair, rows: Weighed, demand: Demand) -> Check:
    """Weighted means of a number."""
    challenger, incumbent = (values.astype(np.float64) for values in pair)
    harm = incumbent - challenger if demand.good else challenger - incumbent
    found = bootstrap.ratio(rows.weight * harm, rows.weight, rows.groups)
    challengers, incumbents = (float(np.average(values, weights=rows.weight)) for values in (challenger, incumbent))
    return _check(name, (challengers, incumbents), found, demand)


def statistic(
    name: str, compute: tuple[Callable[[Floats], float], Callable[[Floats], float]], rows: Weighed, demand: Demand
) -> Check:
    """The same of any statistic of weighted rows, given for the challenger and for the incumbent."""
    sign = 1.0 if demand.good else -1.0
    found = bootstrap.statistic(lambda w: sign * (compute[1](w) - compute[0](w)), rows.weight, rows.groups)
    return _check(name, (compute[0](rows.weight), compute[1](rows.weight)), found, demand)


def bound(name: str, rule: Rule, value: float, margin: float) -> Check:
    """A number of the challenger alone."""
    passed = value >= margin if rule == "at least" else value <= margin
    return Check(name=name, rule=rule, challenger=value, margin=margin, passed=passed)


def _check(name: str, values: tuple[float, float], harm: Interval, demand: Demand) -> Check:
    """A harm that cannot be computed is not harmless: nan passes neither rule."""
    margin = demand.margin
    passed = harm.value <= margin or harm.low <= 0.0 if demand.part else harm.high <= margin
    return Check(
        name=name,
        rule=demand.rule,
        challenger=values[0],
        incumbent=values[1],
        harm=harm.value,
        low=harm.low,
        high=harm.high,
        margin=margin,
        rows=harm.rows,
        groups=harm.groups,
        passed=bool(passed),
    )
