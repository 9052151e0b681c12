"""Ids of other ATT&CK versions, read as ids of the catalogue's version, and forward to v19."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from connector.attack.techniques import catalogue

FACTS = Path(__file__).with_name("crosswalk.json")


class Migration(msgspec.Struct, frozen=True):
    """Where an id leads.

    ``exact``: one live id; ``merged``: v19 made one of several, all given; ``split``: a revoked id with several
    successors, all given; ``unknown``: none, because the id was never given out or has no successor.
    """

    ids: frozenset[str]
    kind: Literal["exact", "merged", "split", "unknown"]


class Crosswalk(msgspec.Struct, frozen=True, kw_only=True):
    """What ``crosswalk.json`` holds: v18.1 id → v19 id, and rows completed by hand, each with its reason."""

    source: str
    map: Mapping[str, str]
    by_hand: Mapping[str, HandRow]


class HandRow(msgspec.Struct, frozen=True, kw_only=True):
    """A v19 id whose v18.1 meaning was read from the detection rules that use it."""

    v18: tuple[str, ...]
    why: str


@cache
def _crosswalk() -> Crosswalk:
    return msgspec.json.decode(FACTS.read_bytes(), type=Crosswalk)


@cache
def _backward() -> Mapping[str, frozenset[str]]:
    """v19 id → v18.1 ids. A row whose v18.1 side is revoked is not inverted: nobody may be told to use that id."""
    live = catalogue().techniques
    merged: dict[str, frozenset[str]] = {}
    for old, new in _crosswalk().map.items():
        if old in live:
            merged[new] = merged.get(new, frozenset()) | {old}
    by_hand = {new: frozenset(row.v18) & live.keys() for new, row in _crosswalk().by_hand.items()}
    return merged | {new: old for new, old in by_hand.items() if old}


@lru_cache(maxsize=4096)
def migrate(technique_id: str) -> Migration:
    """Any technique id as ids of the catalogue's version. Never raises: an unknown id is for the caller to count."""
    wanted = technique_id.strip().upper()
    facts = catalogue()
    if wanted in facts.techniques:
        return Migration(frozenset({wanted}), "exact")
    if wanted in facts.revoked:
        successors = frozenset(facts.revoked[wanted])
        return Migration(successors, "exact" if len(successors) == 1 else "split")
    merged = _backward().get(wanted, frozenset())
    return Migration(merged, ("unknown", "exact", "merged")[min(len(merged), 2)])


def to_v19(technique_id: str) -> str:
    """A v18.1 id as v19 calls it; an id without a row stays as it is."""
    crosswalk = _crosswalk()
    if technique_id in crosswalk.map:
        return crosswalk.map[technique_id]
    backward = (new for new, row in crosswalk.by_hand.items() if row.v18 == (technique_id,))
    return next(backward, technique_id)
