"""Splunk's time range: what a search looks at, by the time of an event and by the time of its indexing.

Both ranges are half-open. The range over ``_time`` always applies: its end is now unless the search says otherwise, which is
why events from a clock that is ahead are missing from a search that asks for index times alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from tests.splunkd.wire import RefusedError

_UNITS = {"s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1}
_UNITS |= dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60)
_UNITS |= dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600)
_UNITS |= dict.fromkeys(("d", "day", "days"), 86400)
_UNITS |= dict.fromkeys(("w", "week", "weeks"), 7 * 86400)
_RELATIVE = re.compile(r"(?:([+-])(\d*)([a-z]+))?(?:@([a-z]+))?")
_EARLIEST = {"earliest_time": "earliest", "latest_time": "latest", "index_earliest": "first", "index_latest": "until"}
_IN_SEARCH = {"earliest": "earliest", "latest": "latest", "_index_earliest": "first", "_index_latest": "until"}


@dataclass(frozen=True, slots=True)
class TimeRange:
    """``earliest <= _time < latest`` and ``first <= _indextime < until``; ``None`` is no bound."""

    earliest: float
    latest: float
    first: int | None = None
    until: int | None = None

    def holds(self, time: float) -> bool:
        """Whether an event of this time is looked at."""
        return self.earliest <= time < self.latest


def of_job(params: Mapping[str, str], now: float) -> TimeRange:
    """The range that a job's parameters give: from the beginning of time to now, where they say nothing.

    Raises :class:`RefusedError` for a time that cannot be read, or a range that ends before it begins.
    """
    chosen = TimeRange(0.0, now)
    for name, bound in _EARLIEST.items():
        if params.get(name):
            chosen = _bounded(chosen, bound, params[name], now)
    if chosen.earliest > chosen.latest:
        raise RefusedError(400, "Invalid earliest_time: earliest_time is after latest_time.", kind="FATAL")
    return chosen


def within_search(base: TimeRange, modifiers: Mapping[str, str], now: float) -> TimeRange:
    """The range after ``earliest=``, ``latest=``, ``_index_earliest=`` and ``_index_latest=`` in the search itself."""
    for name, text in modifiers.items():
        base = _bounded(base, _IN_SEARCH[name], text, now)
    return base


def _bounded(base: TimeRange, bound: str, text: str, now: float) -> TimeRange:
    seconds = moment(text, now)
    return replace(base, **{bound: int(seconds) if bound in {"first", "until"} else seconds})


def moment(text: str, now: float) -> float:
    """A time modifier as epoch seconds: an epoch, ISO 8601, ``now``, or relative like ``-24h@h``. Raises :class:`RefusedError`."""
    text = text.strip()
    if text in {"now", "now()"}:
        return now
    try:
        return float(text)
    except ValueError:
        pass
    if match := _RELATIVE.fullmatch(text):
        return _relative(match, now, text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(400, f'Invalid time "{text}".', kind="FATAL") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _relative(match: re.Match[str], now: float, text: str) -> float:
    sign, count, unit, snap = match.groups()
    if {unit, snap} - {None} - set(_UNITS):
        raise RefusedError(400, f'Invalid time "{text}": only seconds to weeks are known here.', kind="FATAL")
    seconds = int(count or 1) * _UNITS[unit] if unit else 0
    shifted = now + (-seconds if sign == "-" else seconds)
    if snap is None:
        return shifted
    if _UNITS[snap] == _UNITS["w"]:
        day = datetime.fromtimestamp(shifted, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return (day - timedelta(days=day.isoweekday() % 7)).timestamp()
    return shifted - shifted % _UNITS[snap]
