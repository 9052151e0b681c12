"""The few highest of each row, where sorting all of it would cost more than what is made of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def highest(values: NDArray[np.float32], count: int) -> NDArray[np.intp]:
    """The places (n, count) of each row's highest values, which are not negative, the first of equal ones first."""
    left, rows = values.copy(), np.arange(len(values))
    best = np.empty((len(values), min(count, values.shape[1])), np.intp)
    for rank in range(best.shape[1]):
        best[:, rank] = left.argmax(axis=1)
        left[rows, best[:, rank]] = -1.0
    return best
