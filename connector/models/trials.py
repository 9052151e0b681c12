"""How many runs side by side are fastest on this machine, found by short trials.

Runs of a fraction of a millisecond wait for the interpreter as much as for a CPU, so more threads may be slower. Fewer than
there are CPUs are taken only where they are clearly faster: a trial at start sees the machine for a moment, and on one that is
busy just then more threads look worth less than they are.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

BUDGET: Final = 0.2
"""Seconds that the trials may take in all; the one that is under way then is finished."""

ROUNDS: Final = 20
"""Trials of each number, at the most."""

CLEARLY: Final = 0.8
"""Fewer threads are taken where they need at most this share of the time."""


def fastest(most: int, trial: Callable[[int], float], budget: float = BUDGET) -> int:
    """``most``, or the half, a quarter, … of it that is clearly faster; ``trial`` gives the seconds of one run.

    The number is halved until it is clearly slower than the best. Of each number the least time of several trials counts.
    """
    end = perf_counter() + budget
    best = {most: trial(most)}
    threads = most // 2
    while threads and perf_counter() < end:
        best[threads] = trial(threads)
        if CLEARLY * best[threads] > min(best.values()):
            break
        threads //= 2
    for _ in range(ROUNDS if len(best) > 1 else 0):
        if perf_counter() >= end:
            break
        best = {tried: min(least, trial(tried)) for tried, least in best.items()}
    found = min(best, key=lambda tried: (best[tried], -tried))
    return found if best[found] <= CLEARLY * best[most] else most
