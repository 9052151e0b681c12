"""The steps of the loops: each is told to whoever watches once it is done, and the longer ones are timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector.telemetry import STEP_SECONDS

Steps = Callable[[str], None]
"""Told the name of each step of the loops once it is done; crash tests end the process there."""


@contextmanager
def timed(step: str, steps: Steps) -> Iterator[None]:
    """Times a step and, unless it fails, tells of it."""
    with STEP_SECONDS.labels(step=step).time():
        yield
    steps(step)
