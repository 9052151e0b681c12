"""Precision, recall and ranking of one score against a yes or no, on weighted rows."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation.bootstrap import Floats


class Curve(msgspec.Struct, frozen=True, eq=False):
    """Precision and recall (k,) at each distinct score, highest score first."""

    cut: Floats
    precision: Floats
    recall: Floats


def precision_recall(score: Floats, truth: NDArray[np.bool_], weight: Floats) -> Curve:
    """The curve over all cuts; rows of equal score are taken together."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.r_[np.flatnonzero(np.diff(ranked)), len(ranked) - 1] if len(ranked) else np.empty(0, np.intp)
    right = np.cumsum(np.where(truth, weight, 0.0)[order])[last]
    said = np.cumsum(weight[order])[last]
    total = float(weight[truth].sum())
    return Curve(ranked[last], right / np.maximum(said, 1e-12), right / max(total, 1e-12))


class Ranked:
    """Scores and truth (n,) sorted once, for areas under many weights. Rows of equal score are taken together."""

    def __init__(self, score: Floats, truth: NDArray[np.bool_]) -> None:
        values, place = np.unique(-score, return_inverse=True)  # highest first
        self._place, self._truth, self._size = place, truth, len(values)

    def sides(self, weight: Floats) -> tuple[Floats, Floats]:
        """The weight of true and of false rows at each distinct score, highest score first."""
        true = np.bincount(self._place, np.where(self._truth, weight, 0.0), minlength=self._size)
        false = np.bincount(self._place, np.where(self._truth, 0.0, weight), minlength=self._size)
        return true.astype(np.float64), false.astype(np.float64)

    def average_precision(self, weight: Floats) -> float:
        """The area under precision over recall as steps, without interpolation; nan without a true row."""
        true, false = self.sides(weight)
        right, said = np.cumsum(true), np.cumsum(true + false)
        total = float(true.sum())
        return float(np.sum(true * right / np.maximum(said, 1e-12))) / total if total > 0 else float("nan")

    def auc(self, weight: Floats) -> float:
        """The chance that a true row scores above a false one, ties half; nan where one side is empty."""
        true, false = self.sides(weight)
        below = false.sum() - np.cumsum(false) + false / 2
        pairs = float(true.sum() * false.sum())
        return float(true @ below) / pairs if pairs > 0 else float("nan")


def average_precision(score: Floats, truth: NDArray[np.bool_], weight: Floats) -> float:
    """The area of :meth:`Ranked.average_precision`, once."""
    return Ranked(score, truth).average_precision(weight)


def auc(score: Floats, truth: NDArray[np.bool_], weight: Floats) -> float:
    """The area of :meth:`Ranked.auc`, once."""
    return Ranked(score, truth).auc(weight)


def thinned(curve: Curve, points: int = 200) -> Curve:
    """At most so many points of a curve, the first and the last among them: enough for a plot."""
    if len(curve.cut) <= points:
        return curve
    kept = np.unique(np.linspace(0, len(curve.cut) - 1, points).astype(np.intp))
    return Curve(curve.cut[kept], curve.precision[kept], curve.recall[kept])
