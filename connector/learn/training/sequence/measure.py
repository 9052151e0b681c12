"""What left-out recordings show: the sequence member beside the text member's own score of the same events, and chance.

Intervals resample whole recordings and campaigns. Each window counts for the events that it stands for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation import bootstrap
from connector.learn.evaluation.bootstrap import Floats, Interval
from connector.learn.evaluation.curves import Ranked
from connector.learn.training.sequence.recorded import Part
from connector.learn.training.sequence.windows import Rows

RECALL: Final = 0.8
"""The share of attack events at which false alarms are counted."""

PER: Final = 10_000
FEW: Final = 100
"""Resamples: each sorts nothing anew, but there are many numbers."""

_UNSEEN: Final = -1e6


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One score on one set of events.

    ``alarms`` are false alarms per 10,000 background events at the cut that finds four in five attack events. ``chance`` is
    the average precision of a coin: the share of attack events.
    """

    model: str
    part: str
    groups: int
    attack: int
    background: int
    average_precision: Interval
    auc: Interval
    alarms: Interval
    chance: float


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """How often a technique of the recording is the first, or among the first three, that a model gives its attack events."""

    model: str
    part: str
    top1: Interval
    top3: Interval


def measured(model: str, part: str, score: Floats, rows: Rows, parts: Sequence[Part]) -> Measured:
    """Scores (n,) of windows against what they are; nan counts as the lowest."""
    groups = [parts[number].group for number in rows.part.tolist()]
    said = np.where(np.isnan(score), _UNSEEN, score)
    ranked = Ranked(said, rows.attack)
    attack = float(rows.share[rows.attack].sum())
    return Measured(
        model=model,
        part=part,
        groups=len(set(groups)),
        attack=int(attack),
        background=int(rows.share.sum() - attack),
        average_precision=bootstrap.statistic(ranked.average_precision, rows.share, groups, FEW),
        auc=bootstrap.statistic(ranked.auc, rows.share, groups, FEW),
        alarms=bootstrap.statistic(lambda weight: _alarms(ranked, weight), rows.share, groups, FEW),
        chance=attack / float(rows.share.sum()),
    )


def _alarms(ranked: Ranked, weight: Floats) -> float:
    true, false = ranked.sides(weight)
    found = np.cumsum(true)
    if not found[-1] or not false.sum():
        return float("nan")
    place = int(np.searchsorted(found, RECALL * found[-1]))
    return float(PER * np.cumsum(false)[min(place, len(found) - 1)] / false.sum())


def named(model: str, part: str, techniques: NDArray[np.float32], rows: Rows, parts: Sequence[Part]) -> Named:
    """Scores (n, labels) of attack events against their recording's techniques; each recording counts once."""
    places = np.flatnonzero(rows.attack & (rows.techniques.sum(1) > 0))
    groups = [parts[number].group for number in rows.part[places].tolist()]
    order = np.argsort(-techniques[places], axis=1, kind="stable")
    right = np.take_along_axis(rows.techniques[places], order, axis=1) > 0
    numbers, count = bootstrap.numbered(groups)
    weight = (1.0 / np.bincount(numbers, minlength=count))[numbers]
    first, three = (right[:, :most].any(1).astype(np.float64) for most in (1, 3))
    return Named(
        model=model,
        part=part,
        top1=bootstrap.ratio(first * weight, weight, groups),
        top3=bootstrap.ratio(three * weight, weight, groups),
    )


def table(found: Sequence[Measured]) -> str:
    """The measurements as a table in Markdown."""
    lines = [
        "| left out | model | groups | attack events | background | AP | chance | ROC AUC | alarms per 10,000 at recall 0.8 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.part} | {one.model} | {one.groups} | {one.attack:,} | {one.background:,} | {_shown(one.average_precision)} "
        f"| {one.chance:.3f} | {_shown(one.auc)} | {_shown(one.alarms, 0)} |"
        for one in found
    ]
    return "\n".join(lines)


def techniques_table(found: Sequence[Named]) -> str:
    """The techniques as a table in Markdown."""
    lines = ["| left out | model | first | among three |", "|---|---|---|---|"]
    lines += [f"| {one.part} | {one.model} | {_shown(one.top1)} | {_shown(one.top3)} |" for one in found]
    return "\n".join(lines)


def _shown(value: Interval, digits: int = 2) -> str:
    return f"{value.value:,.{digits}f} [{value.low:,.{digits}f}, {value.high:,.{digits}f}]"
