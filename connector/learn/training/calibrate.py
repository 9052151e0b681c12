"""Logits become probabilities that mean what they say, and thresholds become numbers of false alarms."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from connector.errors import ConfigError
from connector.learn.corpora.sample import Basis
from connector.learn.dataset import Row
from connector.learn.training.labels import TRUST, Floats, Targets
from connector.models.calibration import prior_shift, scaled, sigmoid
from connector.models.manifest import Calibration, HeadCalibration, Platt, TechniqueThresholds, Thresholds

FALSE_ALARMS: Mapping[str, float] = {"suspicious": 100.0, "malicious": 10.0, "trigger": 2.0}
"""False alarms per 10,000 benign events that each level is set by."""

ADMINISTRATION: frozenset[Basis] = frozenset(
    {"admin-script", "generated-administration", "manual-page", "negative-test", "rule-filter"}
)
UNSURE: frozenset[Basis] = frozenset({"outside-tree"})
"""Rows of attack recordings that set no threshold: PowerShell's own events name no process, so that what lies outside an
attack's process tree may be the attack. They are reported by themselves."""

ADMINISTRATION_SHARE = 0.05
"""The benign stream that thresholds are set for: one event in twenty is an administrator's command, the rest telemetry."""

REFERENCE_PREVALENCE = 1e-4
TAIL_SHARE, TAIL_ROWS = 0.05, 5
FLAT_TAIL = 1e-3
"""A shape nearer to zero than this is an exponential tail."""

READ = 3
"""The parents of a row that its calibration is fitted on: as many as a reader looks at."""

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
    weight = group_weights(rows)
    heads = HeadCalibration(
        malicious=_malicious(malicious, targets.malicious, weight),
        techniques=_techniques(techniques, targets, weight),
    )
    bundle = Calibration(train_prevalence=0.5, reference_prevalence=REFERENCE_PREVALENCE)
    return Calibrated(heads, bundle, _thresholds(heads, bundle, techniques, malicious, rows, targets))


def group_weights(rows: Sequence[Row]) -> Floats:
    """Weights (n,) under which every file, recording or rule counts once, however long it is; their mean is 1."""
    sizes = Counter((row.source, row.group) for row in rows)
    weight = np.array([1.0 / sizes[row.source, row.group] for row in rows], np.float64)
    found: Floats = (weight * len(rows) / max(len(sizes), 1)).astype(np.float32)
    return found


def _malicious(logits: Floats, truth: Floats, weight: Floats) -> Platt:
    """Platt scaling at a prevalence of one half: either side weighs the same."""
    said = ~np.isnan(truth)
    logits, truth, weight = logits[said], truth[said], weight[said]
    sides = [float(weight[truth == side].sum()) for side in (0.0, 1.0)]
    if min(sides) <= 0:
        return Platt()
    halves = np.where(truth > 0, 2 * sides[1], 2 * sides[0])
    balanced: Floats = (weight * len(truth) / halves).astype(np.float32)
    return platt(logits, truth, balanced)


def _techniques(logits: Floats, targets: Targets, weight: Floats) -> Platt:
    """Platt scaling on the parents that each row is most likely taken for: those are what is read and written.

    Over all cells the many that nobody would believe decide, and the first guess comes out too timid.
    """
    columns = np.flatnonzero(targets.parents)
    rows = np.flatnonzero((~np.isnan(targets.techniques)).any(1))
    if not len(rows) or not len(columns):
        return Platt()
    best = columns[np.argsort(-logits[np.ix_(rows, columns)], axis=1)[:, :READ]]
    cells = (np.repeat(rows, best.shape[1]), best.ravel())
    known = ~np.isnan(targets.techniques[cells])
    return platt(logits[cells][known], targets.techniques[cells][known], weight[cells[0]][known])


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
    benign = np.array(
        [number for number, row in enumerate(rows) if row.malicious is False and row.basis not in UNSURE], np.intp
    )
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
    """Weights under which administration has its share of the benign rows and telemetry the rest; they sum to 1.

    Within either part a row weighs what its label is worth, and :data:`UNSURE` rows nothing.
    """
    administration = np.array([row.basis in ADMINISTRATION for row in rows])
    trust = np.array([0.0 if row.basis in UNSURE else TRUST.get(row.basis, 1.0) for row in rows], np.float64)
    share = ADMINISTRATION_SHARE if 0 < administration.sum() < len(rows) else float(administration.all())
    weight: NDArray[np.float64] = np.zeros(len(rows))
    for part, total in ((administration, share), (~administration, 1 - share)):
        weight[part] = total * trust[part] / max(trust[part].sum(), 1e-12)
    return weight


def cut_at(logits: NDArray[np.float64], weight: NDArray[np.float64], rate: float) -> float:
    """The logit that benign rows of total weight ``rate`` reach.

    Where fewer than five rows would lie above it, the rows say too little: the upper twentieth is then continued as a
    generalised Pareto tail that is no heavier than an exponential one. Source: Pickands, Statistical inference using
    extreme order statistics, 1975; moments of Hosking and Wallis, 1987.
    """
    order = np.argsort(-logits)
    above = np.cumsum(weight[order])
    place = int(np.searchsorted(above, rate))
    if place >= TAIL_ROWS:
        return float(np.nextafter(logits[order[min(place, len(order) - 1)]], math.inf))
    start = min(max(int(np.searchsorted(above, TAIL_SHARE)), TAIL_ROWS), len(order) - 1)
    base, tail = float(logits[order[start]]), order[: start + 1]
    share = float(weight[tail].sum())
    excess = logits[tail] - base
    mean = float(np.average(excess, weights=weight[tail]))
    spread = float(np.average((excess - mean) ** 2, weights=weight[tail]))
    shape = min(0.5 * (1.0 - mean**2 / spread), 0.0) if spread > 0 else 0.0
    ratio = max(share / rate, 1.0)
    if shape > -FLAT_TAIL:
        return base + mean * math.log(ratio)
    return base + mean * (1.0 - shape) / shape * (math.pow(ratio, shape) - 1.0)


def best_f1(found: NDArray[np.float64], truth: Floats) -> float:
    """The probability from which techniques are written: the one of highest micro-F1 over the known cells."""
    known = ~np.isnan(truth)
    scores, wanted = found[known], truth[known] > 0.5
    grid = np.linspace(0.05, 0.95, 91)
    best = max(grid, key=lambda cut: _f1(scores >= cut, wanted))
    return round(float(best), 3)


def _f1(said: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    return 2.0 * float(np.sum(said & wanted)) / max(float(np.sum(said)) + float(np.sum(wanted)), 1.0)
