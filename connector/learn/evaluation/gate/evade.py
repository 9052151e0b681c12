"""Commands of left-out rows written otherwise: what one bundle still finds of them, against the other.

A row holds the text that a model reads and no event, so its command line is put into a process start of its own; both the
plain and the changed command go the way that events go. One way of writing a family, drawn from the row's fingerprint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from connector.errors import PermanentError
from connector.events import normalise, render
from connector.learn.corpora import wrap
from connector.learn.dataset import Row
from connector.learn.evaluation.gate.checks import LEAST_GROUPS
from connector.learn.evaluation.gate.compared import Demand, Weighed, mean
from connector.learn.evaluation.gate.report import Check
from connector.learn.evaluation.gate.said import Said
from connector.learn.evaluation.truth import group_of
from connector.learn.evasion.events import mutated
from connector.learn.evasion.families import FAMILIES
from connector.types import Event, RawEvent, SourceRef

COMMANDS: Final = 150
"""Commands of each side, no two of one group."""

MARGIN: Final = 0.03
LEVEL: Final = "suspicious"

_COMMAND = re.compile(r"\A[^|]+ \|[^|]*(?:\|[^|]*){0,3}\| command ")
_UNIX = re.compile(r"\A[^|]+(?:\| [^|]+){2,3}\| /")
_NEXT = re.compile(r" \| (?:parent|integrity|elevation|user|in|original|subject) ")


class Written(NamedTuple):
    """A command written otherwise, as the model reads it."""

    text: str
    family: str
    malicious: bool
    group: tuple[str, str]


def written(rows: Sequence[Row]) -> list[Written]:
    """At most :data:`COMMANDS` commands a side in every family that can write them otherwise, the same ones for the same rows."""
    found: list[Written] = []
    for side in (True, False):
        taken: set[tuple[str, str]] = set()
        for row in sorted(rows, key=lambda row: row.fingerprint):
            line = command_of(row.text) if row.malicious is side and group_of(row) not in taken else None
            if line is not None and len(taken) < COMMANDS:
                taken.add(group_of(row))
                found += _ways(row, line)
    return found


def checked(commands: Sequence[Written], challenger: Said, incumbent: Said) -> Iterator[Check]:
    """Attack commands still found, and ordinary ones flagged; then attack commands by family."""
    both = (challenger, incumbent)
    for side, name in (
        (True, "attack commands written otherwise, found"),
        (False, "ordinary commands written otherwise, flagged"),
    ):
        places = [place for place, command in enumerate(commands) if command.malicious is side]
        yield from _check(name, commands, places, both, Demand(MARGIN, good=side))
    for family in FAMILIES:
        places = [place for place, command in enumerate(commands) if command.malicious and command.family == family]
        yield from _check(f"attack commands found, {family}", commands, places, both, Demand(MARGIN, part=True))


def _check(
    name: str, commands: Sequence[Written], places: list[int], both: tuple[Said, Said], demand: Demand
) -> Iterator[Check]:
    if len({commands[place].group for place in places}) >= LEAST_GROUPS:
        rows = Weighed.by_group([commands[place].group for place in places])
        yield mean(name, (both[0].over[LEVEL][places], both[1].over[LEVEL][places]), rows, demand)


def command_of(text: str) -> str | None:
    """The command line that a row's text shows; None where it shows none."""
    match = _COMMAND.match(text)
    return None if match is None else _NEXT.split(text[match.end() :], maxsplit=1)[0]


def _ways(row: Row, line: str) -> Iterator[Written]:
    event = _event(row, line)
    if event is None:
        return
    for family, ways in FAMILIES.items():
        draw = wrap.seeded("gate", family, row.fingerprint)
        for way in draw.sample(ways, len(ways)):
            if other := mutated(event, way, draw):
                yield Written(render(other.canonical), family, row.malicious is True, group_of(row))
                break


def _event(row: Row, line: str) -> Event | None:
    """A process start of the command; what surrounds it is drawn, and the same for both."""
    draw = wrap.seeded("gate", row.fingerprint)
    data = wrap.linux_process(line, draw) if _UNIX.match(row.text) else wrap.process(line, draw)
    ref = SourceRef(siem="gate", index=row.source, id=row.fingerprint)
    try:
        return normalise(RawEvent(deployment="gate", native_id=row.fingerprint, ref=ref, data=data))
    except PermanentError:
        return None
