"""Why alerts were false: what analysts said of it, over time, by kind of event, and what comes back again and again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from connector.learn.export.rows import Row
from connector.learn.periods import By, by_period

UNEXPLAINED: Final = "unexplained"
"""Of closures that name no cause."""

SHOWN: Final = 20
_TEXT: Final = 200


class Recurring(msgspec.Struct, frozen=True, kw_only=True):
    """Near-duplicates that were closed as harmless so often; ``cause`` is the one that most of them name."""

    group: str
    closures: int
    cause: str
    kind: str
    first: str
    last: str
    text: str


class Causes(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of closures by cause, ``unexplained`` among them: of all, of each period, of each kind of event."""

    closures: int
    harmless: int
    causes: Mapping[str, int]
    periods: Mapping[str, Mapping[str, int]]
    kinds: Mapping[str, Mapping[str, int]]
    recurring: tuple[Recurring, ...]


def causes(rows: Iterable[Row], by: By = By.WEEK) -> Causes:
    """The report over the rows of an export. Labels that stand count, each event once, in the period of its decision."""
    standing = [row for row in rows if row.stands]
    harmless = [row for row in standing if row.malicious is False]
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in harmless:
        kinds[row.kind].append(row)
    return Causes(
        closures=len(standing),
        harmless=len(harmless),
        causes=_counted(harmless),
        periods={name: _counted(part) for name, part in by_period(harmless, lambda row: row.changed_at, by).items()},
        kinds={name: _counted(part) for name, part in sorted(kinds.items())},
        recurring=_recurring(harmless),
    )


def _counted(rows: Iterable[Row]) -> Mapping[str, int]:
    return dict(Counter(row.cause or UNEXPLAINED for row in rows).most_common())


def _recurring(rows: Iterable[Row]) -> tuple[Recurring, ...]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.group].append(row)
    often = sorted((part for part in groups.values() if len(part) > 1), key=lambda part: (-len(part), part[0].group))
    return tuple(_described(part) for part in often[:SHOWN])


def _described(rows: list[Row]) -> Recurring:
    times = sorted(row.changed_at for row in rows)
    return Recurring(
        group=rows[0].group,
        closures=len(rows),
        cause=next(iter(_counted(rows))),
        kind=rows[0].kind,
        first=f"{times[0]:%Y-%m-%d}",
        last=f"{times[-1]:%Y-%m-%d}",
        text=rows[0].text[:_TEXT],
    )
