"""A clock that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


class ManualClock:
    """Gives the time at which it was set; time passes by :meth:`advance` alone."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """The time, in UTC."""
        return self._now

    def advance(self, by: timedelta | float) -> None:
        """Lets time pass: a duration, or seconds."""
        self._now += by if isinstance(by, timedelta) else timedelta(seconds=by)

    def micros(self) -> int:
        """The time in microseconds since the epoch, as positions count it."""
        return micros(self._now)


def micros(moment: datetime) -> int:
    """A time in microseconds since the epoch, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)
