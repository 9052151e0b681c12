"""Logits become probabilities that mean what they say, and thresholds become numbers of false alarms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from connector.errors import ConfigError
from connector.learn.corpora.sample import Basis
from connector.learn.dataset import Row
from connector.learn.training.labels import Floats, Targets
from connector.models.calibration import prior_shift, scaled, sigmoid
from connector.models.manifest import Calibration, HeadCalibration, Platt, TechniqueThresholds, Thresholds

FALSE_ALARMS: Mapping[str, float] = {"suspicious": 100.0, "malicious": 10.0, "trigger": 2.0}
"""False alarms per 10,000 benign events that each level is set by."""

ADMINISTRATION: frozenset[Basis] = frozenset({"admin-script", "manual-page"})
ADMINISTRATION_SHARE = 0.05
"""The benign stream that thresholds are set for: one event in twenty is an administrator's command, the rest telemetry."""

REFERENCE_PREVALENCE = 1e-4
TAIL_SHARE, TAIL_ROWS = 0.05, 5
_FLAT = 1e4
"""Inverse regularisation: none to speak of."""


class Calibrated(msgspec.Struct, frozen=True):
    """A member's own calibration, the bundle's, and the thresholds at the reference prevalence."""

    heads: HeadCalibration
    bundle: Calibration
    thresholds: Thresholds


def platt(logits: Floats, truth: Floats, weight: Floats) -> Platt:
    """Platt scaling on weighted rows; the identity where only one class is there."""
    if truth.min(initial=1.0) == truth.max(initial=0.0):
        return Platt()
    model = LogisticRegression(C=_FLAT, max_iter=500).fit(
        logits.reshape(-1, 1), truth.astype(int), sample_weight=weight
    )
    slope = float(model.coef_[0, 0])
    return Platt(a=slope, b=float(model.intercept_[0])) if slope > 0 else Platt()


def calibrate(techniques: Floats, malicious: Floats, rows: Sequence[Row], targets: Targets) -> Calibrated:
    """Both heads from logits of rows that neither training nor early stopping saw. Raises ``ConfigError`` without benign rows."""
    said = ~np.isnan(targets.malicious)
    known = ~np.isnan(targets.techniques)
    weight = np.broadcast_to(targets.weight[:, None], known.shape)
    heads = HeadCalibration(
        malicious=platt(malicious[said], targets.malicious[said], targets.weight[said]),
        techniques=platt(techniques[known], targets.techniques[known], weight[known]),
    )
    share = float(np.average(targets.malicious[said], weights=targets.weight[said])) if said.any() else 0.5
    bundle = Calibration(train_prevalence=min(max(share, 0.01), 0.99), reference_prevalence=REFERENCE_PREVALENCE)
    return Calibrated(heads, bundle, _thresholds(heads, bundle, techniques, malicious, rows, targets))


def probabilities(malicious: Floats, calibrated: Calibrated) -> NDArray[np.float64]:
    """``p_malicious`` at the reference prevalence, as the bundle will say it."""
    logits = scaled(malicious.astype(np.float64), calibrated.heads.malicious)
    return sigmoid(logits + prior_shift(calibrated.bundle))


def _thresholds(  # noqa: PLR0917  (one caller, above)
    heads: HeadCalibration,
    bundle: Calibration,
    techniques: Floats,
    malicious: Floats,
    rows: Sequence[Row],
    targets: Targets,
) -> Thresholds:
    benign = np.array([number for number, row in enumerate(rows) if row.malicious is False], np.intp)
    if not len(benign):
        raise ConfigError("the calibration split holds no benign row: thresholds cannot be set by false alarms")
    logits = scaled(malicious[benign].astype(np.float64), heads.malicious) + prior_shift(bundle)
    weight = stream_weights([rows[number] for number in benign])
    cuts = {
        level: float(sigmoid(np.array(cut_at(logits, weight, rate / 10_000)))) for level, rate in FALSE_ALARMS.items()
    }
    found = sigmoid(scaled(techniques.astype(np.float64), heads.techniques))
    return Thresholds(
        suspicious=cuts["suspicious"],
        malicious=max(cuts["malicious"], cuts["suspicious"]),
        trigger=max(cuts.values()),
        techniques=TechniqueThresholds(default=best_f1(found, targets.techniques)),
        false_alarms=dict(FALSE_ALARMS),
    )


def stream_weights(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Weights under which administration has its share of the benign rows and telemetry the rest; they sum to 1."""
    administration = np.array([row.basis in ADMINISTRATION for row in rows])
    share = ADMINISTRATION_SHARE if 0 < administration.sum() < len(rows) else float(administration.all())
    parts = (
        administration * share / max(administration.sum(), 1),
        ~administration * (1 - share) / max((~administration).sum(), 1),
    )
    weight: NDArray[np.float64] = parts[0] + parts[1]
    return weight


def cut_at(logits: NDArray[np.float64], weight: NDArray[np.float64], rate: float) -> float:
    """The logit that benign rows of total weight ``rate`` reach.

    Where fewer than five rows would lie above it, the rows say too little: the upper twentieth is then continued as an
    exponential tail.
    """
    order = np.argsort(-logits)
    above = np.cumsum(weight[order])
    place = int(np.searchsorted(above, rate))
    if place >= TAIL_ROWS:
        return float(np.nextafter(logits[order[min(place, len(order) - 1)]], math.inf))
    start = min(max(int(np.searchsorted(above, TAIL_SHARE)), TAIL_ROWS), len(order) - 1)
    base, tail = float(logits[order[start]]), order[: start + 1]
    share = float(weight[tail].sum())
    mean_excess = float(np.average(logits[tail] - base, weights=weight[tail]))
    return base + mean_excess * math.log(max(share / rate, 1.0))


def best_f1(found: NDArray[np.float64], truth: Floats) -> float:
    """The probability from which techniques are written: the one of highest micro-F1 over the known cells."""
    known = ~np.isnan(truth)
    scores, wanted = found[known], truth[known] > 0.5
    grid = np.linspace(0.05, 0.95, 91)
    best = max(grid, key=lambda cut: _f1(scores >= cut, wanted))
    return round(float(best), 3)


def _f1(said: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    return 2.0 * float(np.sum(said & wanted)) / max(float(np.sum(said)) + float(np.sum(wanted)), 1.0)
