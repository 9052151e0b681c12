"""A search from its text to its rows: each command takes rows and gives rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from tests.splunkd.spl import generating, reporting, streaming
from tests.splunkd.spl.context import Job, Row, Rows
from tests.splunkd.spl.text import INTERNAL, Command, SearchError, commands, expand

_GENERATING: Mapping[str, Callable[[str, Job], Rows]] = {
    "search": generating.search,
    "inputlookup": generating.inputlookup,
    "makeresults": generating.makeresults,
    "tstats": generating.tstats,
}
_LATER: Mapping[str, Callable[[str, Rows, Job], Rows]] = {
    "search": streaming.search,
    "where": streaming.where,
    "eval": streaming.evaluate,
    "fields": streaming.fields,
    "rename": streaming.rename,
    "lookup": streaming.lookup,
    "mvexpand": streaming.mvexpand,
    "fillnull": streaming.fillnull,
    "addinfo": streaming.addinfo,
    "rex": streaming.rex,
    "spath": streaming.spath,
    "outputlookup": streaming.outputlookup,
    "table": reporting.table,
    "head": reporting.head,
    "tail": reporting.tail,
    "reverse": reporting.reverse,
    "sort": reporting.sort,
    "dedup": reporting.dedup,
    "stats": reporting.stats,
}


def check(search: str, job: Job) -> list[Command]:
    """The commands of a search with its macros expanded. Raises :class:`SearchError` for what this stand-in doesn't know."""
    found = commands(expand(search, job.site.macros))
    for place, command in enumerate(found):
        if command.name in job.site.commands:
            known = True
        elif command.name.startswith(INTERNAL):
            known = place > 0
        else:
            known = command.name in (_LATER if place else _GENERATING)
        if not known:
            raise SearchError(_unknown(command.name, first=place == 0))
    return found


def _unknown(name: str, *, first: bool) -> str:
    if not first and name in _GENERATING:
        return f"Error in '{name}' command: This command must be the first command of a search."
    if first and name in _LATER:
        return f"Error in '{name}' command: This stand-in does not start a search with it."
    return f"Unknown search command '{name}'."


def run(search: str, job: Job) -> list[Row]:
    """The rows of a search, newest event first. Raises :class:`SearchError`; what is merely wrong is in the job's messages."""
    first, *rest = check(search, job)
    faults = job.site.faults
    rows = _told(first, lambda: _first(first, job))
    for command in rest:
        before = rows
        rows = _told(command, lambda command=command, before=before: _apply(command, before, job))
    if faults.peer_message:
        for peer in sorted(faults.peers_down):
            job.messages.append((faults.peer_message, _DOWN.format(peer=peer)))
    job.messages += faults.messages
    if faults.most_rows is not None and len(rows) > faults.most_rows:
        rows = rows[: faults.most_rows]
        job.messages.append(("WARN", f"The search result was truncated: more than {faults.most_rows} results."))
    return list(rows)


def _told(command: Command, work: Callable[[], Rows]) -> Rows:
    """Work whose failure at the user's text is a refusal: a pattern that is none, too few arguments, a name that is missing."""
    try:
        return work()
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, re.error) as error:
        raise SearchError(f"Error in '{command.name}' command: it cannot be understood: {error}") from error


def _first(command: Command, job: Job) -> Rows:
    external = job.site.commands.get(command.name)
    return external(command.text, [], job, first=True) if external else _GENERATING[command.name](command.text, job)


def _apply(command: Command, rows: Rows, job: Job) -> Rows:
    if command.name.startswith(INTERNAL):
        return job.site.internal[command.name[1:]](rows, job)
    if external := job.site.commands.get(command.name):
        return external(command.text, rows, job, first=False)
    return _LATER[command.name](command.text, rows, job)


_DOWN = "Unable to distribute to peer named {peer} because peer has status=Down. Search results may be incomplete."
