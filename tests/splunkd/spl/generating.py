"""Commands that begin a search: events, lookup tables, counts of index-time fields, and rows out of nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.splunkd.events import METADATA, Event, stamp
from tests.splunkd.spl import filters, reporting
from tests.splunkd.spl.context import Job, Row, Rows
from tests.splunkd.spl.text import RunError, SearchError, tokenise
from tests.splunkd.timerange import within_search


def search(text: str, job: Job) -> Rows:
    """Events, newest first."""
    found = _events(text, job)
    shadows = job.site.faults.shadows
    rows = [_shadowed(event) if shadows else event.fields for event in found]
    return [{**row, "_serial": str(number)} for number, row in enumerate(rows)]


def _events(text: str, job: Job) -> list[Event]:
    wanted = filters.parse(text)
    times = within_search(job.range, wanted.times, job.now)
    site = job.site
    allowed = list(filters.named(job.indexes, sorted(site.indexes.names), ()))
    names = list(filters.named(wanted.indexes, allowed, site.default_indexes))
    found = []
    for event in site.indexes.between(names, times.first, times.until):
        job.scanned += 1
        if times.holds(event.time) and wanted.matches(event.fields):
            found.append(event)
    found.reverse()  # of one second, what was indexed last comes first
    found.sort(key=lambda event: -event.time)
    return found


def _shadowed(event: Event) -> Row:
    return event.fields | {name: event.extracted[name] for name in METADATA if name in event.extracted}


def inputlookup(text: str, job: Job) -> Rows:
    """The rows of a lookup table: ``inputlookup [append=…] NAME [where EXPRESSION]``."""
    before, _, after = (
        re.split(r"(\bwhere\b)", text, maxsplit=1, flags=re.IGNORECASE) if "where" in text.lower() else (text, "", "")
    )
    words = [token.text for token in tokenise(before) if token.kind != "sign"]
    named = [word for at, word in enumerate(words) if word != "append" and (at == 0 or words[at - 1] != "append")]
    if len(named) != 1:
        raise SearchError("Error in 'inputlookup' command: exactly one lookup table must be named.")
    rows = job.site.lookups.read(named[0])
    job.reports = True
    if rows is None:
        raise RunError(
            f"Error in 'inputlookup' command: The lookup table '{named[0]}' does not exist or is not available."
        )
    if after:
        wanted = filters.parse(after)
        rows = [row for row in rows if wanted.matches(row)]
    return [{name: value for name, value in row.items() if name not in {"_user", "_key"}} for row in rows]


def makeresults(text: str, job: Job) -> Rows:
    """Rows that hold nothing but the time: ``makeresults [count=N]``."""
    match = re.fullmatch(r"\s*(?:count\s*=\s*(\d+))?\s*", text)
    if match is None:
        raise SearchError("Error in 'makeresults' command: only count=<int> is known to this stand-in.")
    job.reports = True
    return [{"_time": stamp(int(job.now))}] * int(match[1] or 1)


_INDEXED = {*METADATA, "splunk_server", "_time", "_indextime", "_bkt", "_cd"}


def tstats(text: str, job: Job) -> Rows:
    """Statistics over fields that exist at index time: ``tstats AGGREGATE… [where EXPRESSION] [by FIELD…]``."""
    match = re.fullmatch(r"(.*?)(?:\bwhere\b(.*?))?(?:\bby\b(.*))?", text, re.DOTALL | re.IGNORECASE)
    by = [token.text for token in tokenise(match[3] or "") if token.kind != "sign"]
    asked = reporting.aggregates(list(tokenise(match[1])))
    unknown = {one.field for one in asked if one.field} | set(by)
    events = _events(match[2] or "", job)
    held = {name for event in events for name in event.indexed} | _INDEXED
    if events and unknown - held:
        raise SearchError(f"Error in 'tstats' command: not an indexed field: {', '.join(sorted(unknown - held))}.")
    rows: list[Mapping[str, object]] = [
        {**{name: event.fields[name] for name in _INDEXED}, **event.indexed} for event in events
    ]
    job.reports = True
    return reporting.grouped(asked, by, rows)
