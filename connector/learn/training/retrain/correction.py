"""What closures change about a head: a linear correction of its logits over frozen features.

Closures pull by their loss; base rows hold by how far their logits would move, whatever their labels say. A network knows
its own training rows too well for their loss to hold anything: it stays near nothing until they are judged wrongly.
Sources: Li and Hoiem, Learning without Forgetting, arXiv:1606.09282; Benjamin, Rolnick, Kording, Measuring and Regularizing
Networks in Function Space, arXiv:1805.08289.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connector.learn.training.retrain.replay import Floats
from connector.models.calibration import scaled, sigmoid
from connector.models.manifest import Platt

_RIDGE: Final = 1e-3
"""Of the mean inertia: what no base row shows is held a little too."""

_STEPS: Final = 50
_SMALL: Final = 1e-7
_HALVINGS: Final = 20


def widened(features: NDArray[np.floating]) -> Floats:
    """Features (n, d) with a column of ones: a correction's last weight is its bias."""
    return np.concatenate([features.astype(np.float64), np.ones((len(features), 1))], axis=1)


def inertia(features: Floats, weight: Floats) -> Floats:
    """The matrix (d, d) of what it costs to move the calibrated logits of base rows, by widened features (n, d)."""
    held: Floats = (features * weight[:, None]).T @ features
    return held + np.eye(len(held)) * _RIDGE * max(float(np.trace(held)) / len(held), 1e-12)


def fitted(  # noqa: PLR0917  (arrays of one fit, in the order of the formula)
    features: Floats, logits: Floats, truth: Floats, weight: Floats, platt: Platt, held: Floats
) -> Floats:
    """The correction (d,) of raw logits, by Newton's method.

    Of closures: widened ``features`` (n, d), the incumbent's raw ``logits`` (n,), ``truth`` (n,) of 0 and 1, ``weight`` (n,).
    ``platt`` makes the logits probabilities; ``held`` is the :func:`inertia` of base rows.
    """
    start = scaled(logits, platt)

    def cost(correction: Floats) -> float:
        said = start + features @ correction
        return float(weight @ (np.logaddexp(0.0, said) - truth * said) + correction @ held @ correction / 2.0)

    found = np.zeros(features.shape[1])
    for _ in range(_STEPS):
        p = sigmoid(start + features @ found)
        slope = features.T @ (weight * (p - truth)) + held @ found
        curvature = (features * (weight * p * (1.0 - p))[:, None]).T @ features + held
        step = np.linalg.solve(curvature, slope)
        before = cost(found)
        for _ in range(_HALVINGS):
            if cost(found - step) <= before:
                break
            step /= 2.0
        found -= step
        if float(np.abs(step).max()) < _SMALL:
            break
    corrected: Floats = found / platt.a
    return corrected


def columns(  # noqa: PLR0917  (as above)
    features: Floats, logits: Floats, truth: Floats, weight: Floats, platts: Sequence[Platt], held: Floats
) -> Floats:
    """Corrections (d, labels) of technique logits (n, labels); ``truth`` (n, labels) is nan where nobody said.

    A technique that no closure is about stays as it is.
    """
    found = np.zeros((features.shape[1], logits.shape[1]))
    for place in concerned(logits, truth, platts):
        said = ~np.isnan(truth[:, place])
        rows = (features[said], logits[said, place], truth[said, place], weight[said])
        found[:, place] = fitted(*rows, platts[place], held)
    return found


def concerned(logits: Floats, truth: Floats, platts: Sequence[Platt]) -> list[int]:
    """The labels that some closure names, or that the incumbent finds likelier than not where a closure says otherwise."""
    wanted: list[int] = []
    for place, platt in enumerate(platts):
        said = ~np.isnan(truth[:, place])
        wrong = (truth[said, place] == 0.0) & (scaled(logits[said, place], platt) > 0.0)
        if wrong.any() or (truth[said, place] > 0.0).any():
            wanted.append(place)
    return wanted
