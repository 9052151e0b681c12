"""From logits of many recordings to p_malicious and its levels, by the rules of the text member's own calibration.

Platt scaling at a prevalence of one half, where each recording counts once; then levels by false alarms per 10,000 benign
events, of a stream in which one event in twenty is administration and the rest is what the recordings logged beside
their attacks, as often as it was logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.evaluation.calibration import by_group
from connector.learn.evaluation.operating import RATES
from connector.learn.evaluation.points import PER, Point, rising
from connector.learn.training.calibrate import (
    ADMINISTRATION_SHARE,
    FALSE_ALARMS,
    REFERENCE_PREVALENCE,
    TAIL_ROWS,
    cut_at,
    platt,
)
from connector.learn.training.ensemble.combiners import balanced
from connector.models.calibration import prior_shift, scaled, sigmoid
from connector.models.manifest import Calibration, Platt

BUNDLE = Calibration(train_prevalence=0.5, reference_prevalence=REFERENCE_PREVALENCE)


class Said(msgspec.Struct, frozen=True, eq=False):
    """Logits of a fold's events (n,), nan without a view, and of its rows of administration (a,)."""

    logits: NDArray[np.float64]
    administration: NDArray[np.float64]


class Operating(msgspec.Struct, frozen=True):
    """How logits become p_malicious at the reference prevalence, and the levels of it by name."""

    platt: Platt
    levels: Mapping[str, float]

    def p_malicious(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """As a verdict has it; nan stays nan."""
        return sigmoid(scaled(logits, self.platt) + prior_shift(BUNDLE))


def operating(
    said: Sequence[Said], truth: Sequence[NDArray[np.float32]], groups: Sequence[NDArray[np.integer]]
) -> Operating:
    """The operating point that these folds' events ask for; ``groups`` number the recording of each event.

    Raises ``ConfigError`` where no benign event is among them.
    """
    stream = _stream(said, truth, groups)
    weight = balanced(stream.seen, stream.names).astype(np.float32)
    fitted = platt(stream.logits.astype(np.float32), stream.seen, weight)
    moved = scaled(stream.benign, fitted) + prior_shift(BUNDLE)
    cuts = {
        level: float(sigmoid(np.array(cut_at(moved, stream.weight, rate / PER))))
        for level, rate in FALSE_ALARMS.items()
    }
    suspicious = cuts["suspicious"]
    malicious = max(cuts["malicious"], suspicious)
    levels = {"suspicious": suspicious, "malicious": malicious, "trigger": max(cuts["trigger"], malicious)}
    return Operating(fitted, levels)


def costs(
    said: Sequence[Said],
    truth: Sequence[NDArray[np.float32]],
    groups: Sequence[NDArray[np.integer]],
    point: Operating,
) -> Sequence[Point]:
    """What a threshold of p_malicious finds and costs, rising, on the stream that the levels were set on.

    Each recording's attack weighs the same. Without an attack there is no point.
    """
    stream = _stream(said, truth, groups)
    attack = stream.seen > 0
    if not attack.any():
        return ()
    benign, found = (scaled(part, point.platt) + prior_shift(BUNDLE) for part in (stream.benign, stream.logits[attack]))
    weight = by_group(stream.names[attack].tolist())
    points = []
    for rate in RATES:
        cut = cut_at(benign, stream.weight, rate / PER)
        recall = round(float(np.average(found >= cut, weights=weight)), 4)
        counted = int(np.sum(benign >= cut)) >= TAIL_ROWS
        points.append(Point(float(sigmoid(np.array(cut))), recall, rate, counted))
    return rising(points)


class _Stream(NamedTuple):
    """Labelled events with a view (n,): logits, sides, recordings; and the benign stream (m,) with the weight of each."""

    logits: NDArray[np.float64]
    seen: NDArray[np.float32]
    names: NDArray[np.integer]
    benign: NDArray[np.float64]
    weight: NDArray[np.float64]


def _stream(
    said: Sequence[Said], truth: Sequence[NDArray[np.float32]], groups: Sequence[NDArray[np.integer]]
) -> _Stream:
    logits = np.concatenate([one.logits for one in said])
    seen, names = np.concatenate(list(truth)), np.concatenate(list(groups))
    known = ~np.isnan(logits) & ~np.isnan(seen)
    logits, seen, names = logits[known], seen[known], names[known]
    if not (seen == 0).any():
        raise ConfigError("no benign event is left to set levels by")
    administration = np.concatenate([one.administration for one in said])
    administration = administration[~np.isnan(administration)]
    share = ADMINISTRATION_SHARE if len(administration) else 0.0
    benign = logits[seen == 0]
    weight = np.concatenate(
        [
            np.full(len(benign), (1 - share) / len(benign)),
            np.full(len(administration), share / max(len(administration), 1)),
        ]
    )
    return _Stream(logits, seen, names, np.concatenate([benign, administration]), weight)
