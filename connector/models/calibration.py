"""From logits to probabilities that mean what they say, at the prevalence of the reader's own stream."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from connector.models.manifest import Calibration, HeadCalibration, Platt

EDGE = 1e-7
"""Probabilities are kept this far from 0 and 1: float32 cannot tell more apart, and logits stay finite."""

Array = NDArray[np.float64]


def sigmoid(logits: Array) -> Array:
    """The logistic function, without overflow; nan stays nan."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))


def logit(probabilities: NDArray[np.floating]) -> Array:
    """The inverse of :func:`sigmoid`, of probabilities kept :data:`EDGE` away from 0 and 1; nan stays nan."""
    kept = np.clip(probabilities.astype(np.float64), EDGE, 1.0 - EDGE)
    return np.log(kept) - np.log1p(-kept)


def scaled(logits: Array, platt: Platt) -> Array:
    """Platt scaling, still in logits."""
    return platt.a * logits + platt.b


def technique_scale(calibration: HeadCalibration, labels: tuple[str, ...]) -> tuple[Array, Array]:
    """The slope and the intercept of each label, (n labels,) each."""
    platts = [calibration.labels.get(label, calibration.techniques) for label in labels]
    return np.array([p.a for p in platts]), np.array([p.b for p in platts])


def prior_shift(calibration: Calibration) -> float:
    """What is added to a logit to move it from the training prevalence to the reference prevalence.

    Bayes: posterior odds are prior odds times the likelihood ratio, and only the prior differs between the two.
    Source: Saerens, Latinne, Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities, 2002.
    """
    return log_odds(calibration.reference_prevalence) - log_odds(calibration.train_prevalence)


def log_odds(probability: float) -> float:
    """Of a probability within (0, 1), in nats."""
    return math.log(probability) - math.log1p(-probability)
