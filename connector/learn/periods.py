"""Closures by day, ISO week or month, for reports over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from connector.learn.export.rows import Row


class By(StrEnum):
    """How long a period is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def name_of(at: datetime, by: By) -> str:
    """The period of a time: ``2026-03-09``, ``2026-W11`` or ``2026-03``."""
    if by is By.WEEK:
        year, week, _ = at.isocalendar()
        return f"{year}-W{week:02}"
    return at.strftime("%Y-%m-%d" if by is By.DAY else "%Y-%m")


def by_period(rows: Iterable[Row], at: Callable[[Row], datetime], by: By) -> Mapping[str, list[Row]]:
    """The rows of each period that has any, the earliest first."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[name_of(at(row), by)].append(row)
    return dict(sorted(found.items()))
