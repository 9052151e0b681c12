"""Levelling: within a kind of event, which fields are there says nothing of the label.

Sources differ in which fields their records hold (an old Sysmon, a flattened export, a rule's own test), and sources
differ in their labels. So fields are taken out of rows, of as few as it takes, until attack and benign rows of a kind
hold each combination of fields equally often: by the chain rule, field after field, within rows alike in all fields
before. Which rows lose a field is drawn by hash. The text is then the render of the fields that are left.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

LEAST: Final = 20
"""Rows of each class that a kind must have: fewer would take fields from many rows for the sake of a few."""


class Shape(msgspec.Struct, frozen=True):
    """A row's key, its kind, its label, and the fields that its canonical form has, in order."""

    key: str
    kind: str
    malicious: bool
    fields: tuple[str, ...]


def levelled(shapes: Iterable[Shape]) -> dict[str, frozenset[str]]:
    """The fields that each row loses, by key; a row that loses none is not there."""
    kinds: dict[str, tuple[list[Shape], list[Shape]]] = defaultdict(lambda: ([], []))
    for shape in shapes:
        kinds[shape.kind][shape.malicious].append(shape)
    lost: dict[str, set[str]] = defaultdict(set)
    for sides in kinds.values():
        if min(map(len, sides)) >= LEAST:
            _level(sides, _order(sides), lost)
    return {key: frozenset(fields) for key, fields in lost.items()}


def _order(sides: Sequence[Sequence[Shape]]) -> list[str]:
    """The kind's fields as their rows have them: the telling ones first."""
    places: dict[str, list[int]] = defaultdict(list)
    for shape in (*sides[0], *sides[1]):
        for place, field in enumerate(shape.fields):
            places[field].append(place)
    return sorted(places, key=lambda field: (sum(places[field]) / len(places[field]), field))


def _level(sides: Sequence[Sequence[Shape]], order: Sequence[str], lost: dict[str, set[str]]) -> None:
    strata: list[Sequence[Sequence[Shape]]] = [sides]
    for field in order:
        parted: list[Sequence[Sequence[Shape]]] = []
        for stratum in strata:
            held = [[shape for shape in side if field in shape.fields] for side in stratum]
            share = min(len(found) / len(side) for found, side in zip(held, stratum, strict=True))
            kept = [_drawn(found, field, round(share * len(side))) for found, side in zip(held, stratum, strict=True)]
            keys = [{shape.key for shape in found} for found in kept]
            for shape in (*held[0], *held[1]):
                if shape.key not in keys[shape.malicious]:
                    lost[shape.key].add(field)
            rest = [[shape for shape in side if shape.key not in keys[shape.malicious]] for side in stratum]
            parted += [half for half in (kept, rest) if all(half)]
        strata = parted


def _drawn(found: Sequence[Shape], field: str, count: int) -> list[Shape]:
    """So many of the rows, the same ones whatever else is there."""
    return sorted(found, key=lambda shape: hashlib.sha256(f"{field}\0{shape.key}".encode()).digest())[:count]
