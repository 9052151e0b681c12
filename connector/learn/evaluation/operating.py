"""Measures the operating points of a bundle on rows that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.evaluation.bootstrap import Floats
from connector.learn.evaluation.calibration import by_group
from connector.learn.evaluation.points import PER, Point
from connector.learn.evaluation.truth import group_of
from connector.learn.training.calibrate import TAIL_ROWS, cut_at, stream_weights
from connector.models.calibration import sigmoid

RATES = (1000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1)
"""False alarms per 10,000 of the points."""

_EDGE = 1e-12


def measured(malicious: Floats, rows: Sequence[Row]) -> list[Point]:
    """The points of p_malicious (n,), rising; each group of attacks weighs the same.

    False alarms are those of the benign stream that thresholds are set for. Without benign or malicious rows there are
    no points.
    """
    benign, attacks = (np.array([row.malicious is side for row in rows]) for side in (False, True))
    if not benign.any() or not attacks.any():
        return []
    kept = np.clip(malicious, _EDGE, 1 - _EDGE)
    logits = np.log(kept) - np.log1p(-kept)
    weight = stream_weights(_only(rows, benign))
    groups = by_group([group_of(row) for row in _only(rows, attacks)])
    found = []
    for rate in RATES:
        cut = cut_at(logits[benign], weight, rate / PER)
        recall = float(np.average(logits[attacks] >= cut, weights=groups))
        counted = int(np.sum(logits[benign] >= cut)) >= TAIL_ROWS
        found.append(Point(float(sigmoid(np.array(cut))), round(recall, 4), rate, counted))
    return found


def _only(rows: Sequence[Row], which: NDArray[np.bool_]) -> list[Row]:
    return [row for row, kept in zip(rows, which, strict=True) if kept]
