"""All mutations by family, and which families training may use: the others are only ever measured."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from connector.events.masks import fold_spaces, lower
from connector.events.payload import reveal
from connector.events.plain import plain
from connector.events.render import MAX_TEXT
from connector.learn.evasion import length, options, programs, quoting, spelling, strings, variables
from connector.learn.evasion.line import Line, Mutation, windows_line

MUTATIONS: tuple[Mutation, ...] = (
    *quoting.MUTATIONS,
    *variables.MUTATIONS,
    *strings.MUTATIONS,
    *spelling.MUTATIONS,
    *options.MUTATIONS,
    *programs.MUTATIONS,
    *length.MUTATIONS,
)

FAMILIES: Mapping[str, tuple[Mutation, ...]] = {
    family: tuple(mutation for mutation in MUTATIONS if mutation.family == family)
    for family in dict.fromkeys(mutation.family for mutation in MUTATIONS)
}

TRAINED: frozenset[str] = frozenset({"carets", "strings", "case", "blanks", "paths", "options", "truncation"})
"""Families that training may change its rows by."""

LEFT_OUT: frozenset[str] = frozenset(FAMILIES) - TRAINED
"""Families that no training row was ever changed by: ``triaged evasion`` measures what has never been seen."""

_MAY_TRAIN = tuple(mutation for mutation in MUTATIONS if mutation.family in TRAINED)
_COMMAND = "command "


def augmented(text: str, draw: Random) -> str:
    """A row's text with its command changed by one of the trained families, as ``render`` would show it.

    ``text`` is the model text of an event. The same comes back where it shows no command or nothing applies.
    """
    fields = text.split(" | ")
    place = next((number for number, field in enumerate(fields) if field.startswith(_COMMAND)), None)
    if place is not None:
        line = windows_line(fields[place][len(_COMMAND) :])
        if fields[1].startswith("/"):
            line = Line("sh", "", line.text)
    elif fields[0] == "powershell script" and len(fields) > 1:
        place, line = 1, Line("powershell", "", fields[1])
    else:
        return text
    mutation = draw.choice([one for one in _MAY_TRAIN if line.shell in one.shells])
    shown = reveal(plain(fold_spaces(lower(mutation.apply(line, draw).text)), unix=line.shell == "sh"))
    fields[place] = (_COMMAND if fields[place].startswith(_COMMAND) else "") + shown
    return " | ".join(fields)[:MAX_TEXT]
