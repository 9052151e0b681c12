"""Faults that a test arranges beforehand, taken one a call."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable

from connector.errors import TransientError


class Faults:
    """Errors that wait for calls. A call by a name raises the first that waits under that name, and uses it up."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, deque[Exception]] = defaultdict(deque)

    def add(self, call: str, *, times: int = 1, error: Callable[[], Exception] | None = None) -> None:
        """The next ``times`` calls fail; by default with a ``TransientError`` that says nothing was sent."""
        make = error or (lambda: TransientError(f"the test wants {call} to fail", sent=False))
        self._waiting[call].extend(make() for _ in range(times))

    def meet(self, call: str) -> None:
        """Raises what waits for this call, if anything does."""
        if self._waiting[call]:
            raise self._waiting[call].popleft()
