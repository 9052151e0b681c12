"""Wall times as the tables hold them: integer microseconds since the epoch, which compare and index exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since the epoch, without rounding. ``moment`` must be aware."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(value: int) -> datetime:
    """The UTC time that :func:`micros` was given."""
    return _EPOCH + value * _MICROSECOND


def maybe_moment(value: int | None) -> datetime | None:
    """As :func:`moment`; None stays None."""
    return None if value is None else moment(value)
