"""How work grows with its input, told without any absolute time: a ratio of processor times, the least of a few tries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LINEAR = 3.0
"""Twice the input takes about twice the time; a quadratic way takes four times, in every try."""

_TRIES = 5
_TELLING = 0.02
"""Seconds of processor time below which a ratio would be noise; input that costs less is small, whatever it grows like."""


def _cost(run: Callable[[T], object], value: T) -> float:
    start = time.process_time()
    run(value)
    return time.process_time() - start


def ratio(make: Callable[[int], T], run: Callable[[T], object], size: int) -> float:
    """What twice ``size`` costs, as a multiple of what ``size`` costs; 0 where it is too little to tell."""
    single, double = make(size), make(2 * size)
    least = float("inf")
    for _ in range(_TRIES):
        one, two = _cost(run, single), _cost(run, double)
        if two < _TELLING:
            return 0.0
        least = min(least, two / max(one, 1e-6))
        if least < LINEAR:
            break
    return least
