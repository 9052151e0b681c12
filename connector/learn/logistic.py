"""Logistic regression in numpy: few features, few rows, the same answer every time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from connector.models.calibration import sigmoid

Floats = NDArray[np.float64]
_STEPS = 30
_SMALL = 1e-6


def fitted(rows: Floats, truth: Floats, weight: Floats, ridge: float) -> Floats:
    """Weights (features + 1, the last one the intercept) of a ridge-penalised logistic regression, by Newton's method.

    ``rows`` (n, features), ``truth`` (n,) of 0 and 1, ``weight`` (n,). The intercept is not penalised.
    Source: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, section 4.4.1.
    """
    wide = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    penalty = np.full(wide.shape[1], ridge)
    penalty[-1] = _SMALL
    found = np.zeros(wide.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(wide @ found)
        slope = wide.T @ (weight * (p - truth)) + penalty * found
        curvature = (wide * (weight * np.maximum(p * (1.0 - p), _SMALL))[:, None]).T @ wide + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        found -= step
        if float(np.abs(step).max()) < _SMALL:
            break
    return found
