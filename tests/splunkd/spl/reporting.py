"""Commands that order, choose and count rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tests.splunkd.spl import filters
from tests.splunkd.spl.context import Job, Row, Rows
from tests.splunkd.spl.evaluate import number, text as shown
from tests.splunkd.spl.text import SearchError, Token, tokenise

_MOST_SORTED = 10_000


def names(text: str) -> list[str]:
    """Field names apart by commas or spaces."""
    return [token.text for token in tokenise(text) if not token.is_sign(",")]


def table(text: str, rows: Rows, job: Job) -> Rows:
    """These columns and no others."""
    wanted = names(text)
    job.columns, job.reports = wanted, True
    patterns = [filters.wildcard(name) for name in wanted]
    return [{name: row[name] for name in row if any(one.fullmatch(name) for one in patterns)} for row in rows]


def _count(text: str, command: str) -> int:
    words = [token.text for token in tokenise(text) if not token.is_sign("=") and not token.is_word("LIMIT")]
    if len(words) > 1 or (words and not words[0].isdigit()):
        raise SearchError(f"Error in '{command}' command: only a number of rows is known to this stand-in.")
    return int(words[0]) if words else 10


def head(text: str, rows: Rows, job: Job) -> Rows:
    """The first rows."""
    return rows[: _count(text, "head")]


def tail(text: str, rows: Rows, job: Job) -> Rows:
    """The last rows, last first."""
    count = _count(text, "tail")
    return list(reversed(rows[-count:])) if count else []


def reverse(text: str, rows: Rows, job: Job) -> Rows:
    """The rows from the last to the first."""
    return list(reversed(rows))


def sort(text: str, rows: Rows, job: Job) -> Rows:
    """Ordered rows, of which 10,000 are left unless the search says how many (0: all), as Splunk does."""
    tokens = [token.text for token in tokenise(text) if not token.is_sign(",")]
    most = _MOST_SORTED
    if tokens and tokens[0].isdigit():
        most = int(tokens.pop(0)) or len(rows)
    keys: list[tuple[str, bool]] = []
    down: bool | None = None
    for one in tokens:
        if one in {"-", "+"}:
            down = one == "-"
            continue
        falling = one[0] == "-" if one[0] in "+-" else bool(down)
        keys.append((one.lstrip("+-"), falling))
        down = None
    if not keys:
        raise SearchError("Error in 'sort' command: no field is named.")
    ordered = list(rows)
    for name, falling in reversed(keys):
        plain = name.partition("(")[2].rstrip(")") if "(" in name else name
        ordered.sort(key=lambda row, field=plain: _rank(row, field), reverse=falling)
    return ordered[:most]


def _rank(row: Row, name: str) -> tuple[bool, bool, float, str]:
    value = next(iter(filters.values(row, name)), None)
    if value is None:
        return True, False, 0.0, ""
    as_number = filters.number(value)
    return False, as_number is None, as_number or 0.0, value


def dedup(text: str, rows: Rows, job: Job) -> Rows:
    """The first row of each combination of values; a row that lacks one of the fields goes."""
    wanted = names(text)
    most = int(wanted.pop(0)) if wanted and wanted[0].isdigit() else 1
    if not wanted or any(word.lower() in {"sortby", "keepevents", "keepempty", "consecutive"} for word in wanted):
        raise SearchError("Error in 'dedup' command: only field names are known to this stand-in.")
    seen: dict[tuple[Any, ...], int] = {}
    kept = []
    for row in rows:
        key = tuple(tuple(filters.values(row, name)) for name in wanted)
        if all(key) and seen.get(key, 0) < most:
            seen[key] = seen.get(key, 0) + 1
            kept.append(row)
    return kept


class Aggregate(NamedTuple):
    """``function(field) as name``."""

    function: str
    field: str
    name: str


def stats(text: str, rows: Rows, job: Job) -> Rows:
    """``stats AGGREGATE… [by FIELD…]``."""
    tokens = list(tokenise(text))
    at = next((place for place, token in enumerate(tokens) if token.is_word("BY")), len(tokens))
    by = [token.text for token in tokens[at + 1 :] if not token.is_sign(",")]
    asked = aggregates(tokens[:at])
    job.reports, job.columns = True, [*by, *(one.name for one in asked)]
    return grouped(asked, by, rows)


def aggregates(tokens: list[Token]) -> list[Aggregate]:
    """The aggregates of ``stats`` or ``tstats``. Raises :class:`SearchError`."""
    found = []
    while tokens:
        token = tokens.pop(0)
        if token.is_sign(","):
            continue
        function, of = token.text.lower(), ""
        function = {"c": "count", "distinct_count": "dc", "mean": "avg"}.get(function, function)
        if tokens and tokens[0].is_sign("("):
            of = tokens[1].text if not tokens[1].is_sign(")") else ""
            del tokens[: 3 if of else 2]
        if function not in _AGGREGATES or (not of and function != "count"):
            raise SearchError(
                f"Error in 'stats' command: The aggregate '{function}' is invalid or unknown to this stand-in."
            )
        name = f"{token.text}({of})" if of else token.text
        if tokens and tokens[0].is_word("AS"):
            name = tokens[1].text
            del tokens[:2]
        found.append(Aggregate(function, of, name))
    if not found:
        raise SearchError("Error in 'stats' command: You must specify at least one aggregate.")
    return found


def grouped(asked: Sequence[Aggregate], by: Sequence[str], rows: Rows) -> list[Row]:
    """One row a group in the order of the groups' values; without ``by``, one row even for no events."""
    groups: dict[tuple[str, ...], list[Row]] = {} if by else {(): []}
    for row in rows:
        for key in _keys(row, by):
            groups.setdefault(key, []).append(row)
    return [
        dict(zip(by, key, strict=True))
        | {one.name: value for one in asked if (value := _aggregate(one, members)) is not None}
        for key, members in sorted(groups.items())
    ]


def _keys(row: Row, by: Sequence[str]) -> list[tuple[str, ...]]:
    keys: list[tuple[str, ...]] = [()]
    for name in by:
        keys = [(*key, value) for key in keys for value in filters.values(row, name)]
    return keys


def _aggregate(one: Aggregate, rows: Sequence[Row]) -> Any:
    if not one.field:
        return str(len(rows))
    found = [value for row in rows for value in filters.values(row, one.field)]
    return shown(_AGGREGATES[one.function](found, rows, one.field))


def _numbers(found: Sequence[str]) -> list[float]:
    return [value for one in found if (value := number(one)) is not None]


def _ranked(found: Sequence[str]) -> list[str]:
    return sorted(found, key=lambda one: _rank({"": one}, ""))


def _by_time(rows: Sequence[Row], name: str, *, last: bool) -> Any:
    held = [row for row in rows if row.get(name) is not None]
    return (max if last else min)(held, key=lambda row: str(row.get("_time", "")))[name] if held else None


_AGGREGATES: Mapping[str, Callable[[Sequence[str], Sequence[Row], str], Any]] = {
    "count": lambda found, *_: float(len(found)),
    "dc": lambda found, *_: float(len(set(found))),
    "values": lambda found, *_: sorted(set(found)) or None,
    "list": lambda found, *_: list(found)[:100] or None,
    "sum": lambda found, *_: sum(_numbers(found)),
    "avg": lambda found, *_: sum(_numbers(found)) / len(_numbers(found)) if _numbers(found) else None,
    "min": lambda found, *_: _ranked(found)[0] if found else None,
    "max": lambda found, *_: _ranked(found)[-1] if found else None,
    "first": lambda found, *_: found[0] if found else None,
    "last": lambda found, *_: found[-1] if found else None,
    "latest": lambda found, rows, name: _by_time(rows, name, last=True),
    "earliest": lambda found, rows, name: _by_time(rows, name, last=False),
}
