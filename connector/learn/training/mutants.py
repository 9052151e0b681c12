"""Rows written otherwise: the commands in training texts under the mutations that training may use, as often on either side.

A text shows a command as ``render`` does, without what ``plain`` undoes; a mutation that changes nothing there is left out.
Within a kind of event the harmless and the malicious rows are written otherwise equally often in every family, whatever
either class has more of, so that no mutation tells the class. Source of the balance: the leak that
docs/dataset.md describes for fields.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from random import Random
from typing import Final, TypeAlias

import msgspec

from connector.events.canonical import TABLE
from connector.events.plain import plain
from connector.events.render import MAX_TEXT
from connector.learn.dataset import Row
from connector.learn.evasion.events import LEAST
from connector.learn.evasion.families import FAMILIES, TRAINED
from connector.learn.evasion.line import Line, windows_line

FIELD: Final = " | "
SCRIPT: Final = "powershell.script"
COMMANDS: Final = (
    "process.command_line",
    "named.process.command_line",
    "audit.command",
    "macos.command_line",
    SCRIPT,
)
"""Fields whose value is a whole command or script."""

Written: TypeAlias = Mapping[str, tuple[str, ...]]
"""By family, a row's text under each mutation that changes it."""


class Mutants(msgspec.Struct, frozen=True):
    """For each of n rows, the texts by family, each with the chance that a pass reads the row so."""

    chances: tuple[tuple[tuple[float, tuple[str, ...]], ...], ...]

    def drawn(self, place: int, draw: Random) -> str | None:
        """The row at ``place`` written otherwise, or None where this pass reads it as it is."""
        left = draw.random()
        for chance, texts in self.chances[place]:
            if left < chance:
                return draw.choice(texts)
            left -= chance
        return None


def mutants(rows: Sequence[Row], share: float, seed: int) -> Mutants:
    """The rows written otherwise; of a kind's rows a pass reads at most ``share`` so, spread evenly over the families."""
    found = [written(row, Random(f"{seed} {row.fingerprint}")) for row in rows]  # noqa: S311 - no secret
    rates = _rates(rows, found)
    families = Counter(kind for kind, family, malicious in rates if malicious)
    return Mutants(
        tuple(
            tuple(
                (share / families[row.kind] * rates[row.kind, family, row.malicious], texts)
                for family, texts in one.items()
                if (row.kind, family, True) in rates
            )
            for row, one in zip(rows, found, strict=True)
        )
    )


def _rates(rows: Sequence[Row], found: Sequence[Written]) -> Mapping[tuple[str, str, bool | None], float]:
    """By kind, family and class, the chance at which both classes are written otherwise equally often.

    A family that one class of a kind has nothing of is not there. Rows that say no class have the lower chance.
    """
    total = Counter((row.kind, row.malicious) for row in rows)
    changed = Counter((row.kind, family, row.malicious) for row, one in zip(rows, found, strict=True) for family in one)
    rates: dict[tuple[str, str, bool | None], float] = {}
    for kind, family in {(kind, family) for kind, family, _ in changed}:
        shares = {side: changed[kind, family, side] / max(total[kind, side], 1) for side in (False, True)}
        if least := min(shares.values()):
            rates |= {(kind, family, side): least / found for side, found in shares.items()}
            rates[kind, family, None] = least / max(shares.values())
    return rates


def written(row: Row, draw: Random) -> Written:
    """A row's text under every mutation of the families that training may use and that changes it."""
    place = _place(row)
    if place is None:
        return {}
    start, stop, line = place
    bare = _bare(line)
    found: dict[str, list[str]] = defaultdict(list)
    for family in sorted(TRAINED):
        for mutation in FAMILIES[family]:
            if line.shell in mutation.shells:
                other = _bare(mutation.apply(line, draw))
                if other != bare:
                    found[family].append((row.text[:start] + other + row.text[stop:])[:MAX_TEXT])
    return {family: tuple(texts) for family, texts in found.items()}


def _bare(line: Line) -> str:
    """A command as a rendered text shows it: in lower case, with single blanks, without what ``plain`` undoes."""
    return plain(" ".join(line.text.lower().split()))


def _place(row: Row) -> tuple[int, int, Line] | None:
    """Where the row's text shows a command, and the command; None where it shows none."""
    number = next((number for number, name in enumerate(row.fields) if name in COMMANDS), None)
    if number is None:
        return None
    name = row.fields[number]
    before = FIELD if name == SCRIPT else f"{FIELD}{TABLE.labels.get(name, '')} "
    start = row.text.find(before) + len(before)
    if start < len(before):
        return None
    labels = [TABLE.labels.get(later) for later in row.fields[number + 1 :]]
    ends = (row.text.find(f"{FIELD}{label} ", start) for label in labels if label)
    stop = next((end for end in ends if end >= 0), len(row.text))
    text = row.text[start:stop].lower()
    if len(text) < LEAST:
        return None
    if name == SCRIPT:
        return start, stop, Line("powershell", "", text)
    return start, stop, Line("sh", "", text) if f"{FIELD}/" in row.text[:start] else windows_line(text)
