"""What the loops ask before each batch: whether to stop."""

from __future__ import annotations


class Flag:
    """Raised once and for good. Not an event: a signal handler raises it, and an event's lock lets nobody in twice."""

    def __init__(self) -> None:
        self._raised = False

    def set(self) -> None:
        """Raises it. Safe in a signal handler, whatever it interrupts."""
        self._raised = True

    def is_set(self) -> bool:
        """Whether it was raised."""
        return self._raised
