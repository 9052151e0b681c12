"""Commands that look at one row at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from tests.splunkd.events import Row as Fields, flatten
from tests.splunkd.spl import filters
from tests.splunkd.spl.context import Job, Row, Rows
from tests.splunkd.spl.evaluate import assignments, condition, text as shown
from tests.splunkd.spl.reporting import names
from tests.splunkd.spl.text import RunError, SearchError, Token, tokenise


def search(text: str, rows: Rows, job: Job) -> Rows:
    """Rows that match a search expression."""
    wanted = filters.parse(text)
    if wanted.times:
        raise SearchError("Error in 'search' command: time modifiers stand in the first command alone.")
    return [row for row in rows if wanted.matches(row)]


def where(text: str, rows: Rows, job: Job) -> Rows:
    """Rows for which an expression is true."""
    test = condition(text, job.now)
    return [row for row in rows if test(row) is True]


def evaluate(text: str, rows: Rows, job: Job) -> Rows:
    """Fields from expressions; one that is null takes its field away."""
    found = assignments(text, job.now)
    changed = []
    for row in rows:
        fresh = dict(row)
        for one in found:
            value = shown(one.value(fresh))
            if value is None:
                fresh.pop(one.name, None)
            else:
                fresh[one.name] = value
        changed.append(fresh)
    if job.columns is not None:
        job.columns += [one.name for one in found if one.name not in job.columns]
    return changed


def fields(text: str, rows: Rows, job: Job) -> Rows:
    """``fields [+|-] NAME…``: keeps what is named and every field that begins with ``_``, or takes what is named away."""
    wanted = names(text)
    sign = wanted.pop(0) if wanted and wanted[0] in {"+", "-"} else "+"
    patterns = [filters.wildcard(name) for name in wanted]
    if not patterns:
        raise SearchError("Error in 'fields' command: no field is named.")

    @cache
    def named(name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in patterns)

    if sign == "-":
        return [{name: value for name, value in row.items() if not named(name)} for row in rows]
    return [{name: value for name, value in row.items() if name[:1] == "_" or named(name)} for row in rows]


def rename(text: str, rows: Rows, job: Job) -> Rows:
    """``rename OLD as NEW, …``."""
    words = [token for token in tokenise(text) if not token.is_sign(",")]
    if not words or len(words) % 3 or any(not word.is_word("AS") for word in words[1::3]):
        raise SearchError("Error in 'rename' command: it is `rename OLD AS NEW`.")
    pairs = {old.text: new.text for old, new in zip(words[::3], words[2::3], strict=True)}
    return [{pairs.get(name, name): value for name, value in row.items()} for row in rows]


def lookup(text: str, rows: Rows, job: Job) -> Rows:
    """``lookup TABLE KEY [as FIELD] [, …] [OUTPUT|OUTPUTNEW COLUMN [as FIELD], …]``; several matches give several values."""
    tokens = [token for token in tokenise(text) if not token.is_sign(",")]
    while len(tokens) > 1 and tokens[1].is_sign("="):
        del tokens[:3]
    table, tokens = tokens[0].text, tokens[1:]
    at = next((place for place, token in enumerate(tokens) if token.is_word("OUTPUT", "OUTPUTNEW")), len(tokens))
    only_new = at < len(tokens) and tokens[at].is_word("OUTPUTNEW")
    keys, wanted = _pairs(tokens[:at]), _pairs(tokens[at + 1 :])
    held = job.site.lookups.read(table)
    if held is None:
        raise RunError(f"Error in 'lookup' command: Could not find the lookup table '{table}'.")
    return [_looked_up(row, held, keys, wanted, only_new=only_new) for row in rows]


def _looked_up(row: Row, held: Rows, keys: Mapping[str, str], wanted: Mapping[str, str], *, only_new: bool) -> Row:
    asked = {column: filters.values(row, name) for column, name in keys.items()}
    found = [
        one for one in held if all(set(filters.values(one, column)) & set(given) for column, given in asked.items())
    ]
    columns = wanted or {name: name for one in found for name in one if name not in keys and name[:1] != "_"}
    fresh = dict(row)
    for column, name in columns.items():
        if only_new and name in row:
            continue
        values = [value for one in found for value in filters.values(one, column)]
        if values:
            fresh[name] = values[0] if len(values) == 1 else values
    return fresh


def _pairs(tokens: list[Token]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    left = list(tokens)
    while left:
        name = left.pop(0).text
        if left and left[0].is_word("AS"):
            pairs[name] = left[1].text
            del left[:2]
        else:
            pairs[name] = name
    return pairs


def mvexpand(text: str, rows: Rows, job: Job) -> Rows:
    """One row for each value of a field."""
    (name,) = names(text)
    return [
        {**row, name: value} for row in rows for value in filters.values(row, name) or ([] if name in row else [None])
    ]


def fillnull(text: str, rows: Rows, job: Job) -> Rows:
    """``fillnull [value=TEXT] FIELD…``."""
    tokens = list(tokenise(text))
    filler = "0"
    if len(tokens) > 2 and tokens[0].is_word("VALUE") and tokens[1].is_sign("="):
        filler = tokens[2].text
        del tokens[:3]
    wanted = [token.text for token in tokens if not token.is_sign(",")]
    if not wanted:
        raise SearchError("Error in 'fillnull' command: this stand-in wants the fields named.")
    return [{**row, **{name: filler for name in wanted if row.get(name) is None}} for row in rows]


def addinfo(text: str, rows: Rows, job: Job) -> Rows:
    """The search's own time range and id."""
    info = {
        "info_min_time": f"{job.range.earliest:.3f}",
        "info_max_time": f"{job.range.latest:.3f}",
        "info_search_time": f"{job.now:.3f}",
        "info_sid": job.sid,
    }
    return [{**row, **info} for row in rows]


def rex(text: str, rows: Rows, job: Job) -> Rows:
    """``rex [field=NAME] "(?<name>…)"``."""
    tokens = list(tokenise(text))
    name = "_raw"
    if len(tokens) > 2 and tokens[0].is_word("FIELD") and tokens[1].is_sign("="):
        name = tokens[2].text
        del tokens[:3]
    if len(tokens) != 1 or tokens[0].kind != "quoted":
        raise SearchError("Error in 'rex' command: only one pattern in quotes is known to this stand-in.")
    pattern = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", tokens[0].text))
    return [{**row, **_captured(pattern, row, name)} for row in rows]


def _captured(pattern: re.Pattern[str], row: Row, name: str) -> dict[str, str]:
    match = next((found for value in filters.values(row, name) if (found := pattern.search(value))), None)
    return {} if match is None else {key: value for key, value in match.groupdict().items() if value is not None}


def spath(text: str, rows: Rows, job: Job) -> Rows:
    """``spath [input=NAME]``: every field of the JSON in a field."""
    match = re.fullmatch(r"\s*(?:input\s*=\s*(\w+))?\s*", text)
    if match is None:
        raise SearchError("Error in 'spath' command: only input=<field> is known to this stand-in.")
    return [{**_json(row.get(match[1] or "_raw")), **row} for row in rows]


def _json(value: Any) -> Fields:
    found: Fields = {}
    try:
        flatten(json.loads(value or ""), "", found)
    except (ValueError, TypeError):
        return {}
    return found


def outputlookup(text: str, rows: Rows, job: Job) -> Rows:
    """``outputlookup [append=true] [key_field=…] NAME``."""
    options = dict(re.findall(r"(\w+)\s*=\s*(\w+)", text))
    (name,) = names(re.sub(r"\w+\s*=\s*\w+", "", text))
    append = options.get("append", "").lower() in {"1", "t", "true"} or "key_field" in options
    keyed = [{**row, "_key": row[options["key_field"]]} for row in rows] if "key_field" in options else rows
    if not job.site.lookups.write(name, keyed, append=append):
        raise RunError(f"Error in 'outputlookup' command: The lookup table '{name}' does not exist.")
    return rows
