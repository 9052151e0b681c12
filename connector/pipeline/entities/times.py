"""When an event took place, as far as that can be believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from connector.ledger.times import micros
from connector.policy.decide import timestamp_of
from connector.types import Event

LATE: Final = timedelta(hours=24)
"""How much older than its arrival in the SIEM an event may say that it is. Who sets a host's clock back gains no more."""

_LATE_US: Final = LATE // timedelta(microseconds=1)


def event_time(event: Event, now: datetime) -> int:
    """Microseconds since the epoch: the event's own time, not after now, and at most :data:`LATE` before it arrived.

    Files and pushed events tell no arrival; an event without a time took place when it arrived, or now.
    """
    latest = micros(now)
    arrived = event.position.offset if event.position is not None and not event.position.partition else None
    told = timestamp_of(event.ecs.get("@timestamp"))
    at = micros(datetime.fromisoformat(told).astimezone(UTC)) if told is not None else (arrived or latest)
    return min(at if arrived is None else max(at, arrived - _LATE_US), latest)
