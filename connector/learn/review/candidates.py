"""What may be asked about: recent events with a snapshot that nobody labelled and nobody was asked about.

Copies are one candidate. What is ordinary comes by the million, so the scan is bounded; of what it finds, the events next
to a level and the rarest ones are read from their snapshots.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import nlargest, nsmallest
from typing import Final, NamedTuple

import numpy as np

from connector.events import canonical, render
from connector.learn.export.snapshot import group_in, kept_in
from connector.learn.sampling import apart, boundary_margin
from connector.ledger import Ledger, Review
from connector.models.ensemble import META
from connector.models.manifest import Thresholds
from connector.types import ModelRef, Verdict

SCANNED: Final = 50_000
"""Events whose verdicts are looked at, newest first."""

READ: Final = 2_000
"""Distinct events whose snapshots are read."""


class Seen(NamedTuple):
    """A distinct event by the newest of its copies: how far its members are apart, and it from the nearest level (logits)."""

    event_id: str
    fingerprint: str
    confidence: float
    disagreement: float
    margin: float = math.nan
    copies: int = 1


class Read(NamedTuple):
    """The same, with what the text member reads of it, and what it shares with its near-duplicates."""

    seen: Seen
    text: str
    group: str


def levels_of(thresholds: Thresholds) -> tuple[float, ...]:
    """The levels of p_malicious at which a verdict changes its name."""
    return thresholds.suspicious, thresholds.malicious


def distinct(
    verdicts: Iterable[Verdict], model: ModelRef, levels: Sequence[float], known: Collection[str]
) -> list[Seen]:
    """Distinct events that this model has a score for, without those whose fingerprints are known.

    What a list decided is left out: a person has spoken already.
    """
    first: dict[str, Seen] = {}
    copies: Counter[str] = Counter()
    for verdict in verdicts:
        if verdict.fingerprint in known:
            continue
        if verdict.model == model and verdict.confidence is not None and verdict.scored is None:
            copies[verdict.fingerprint] += 1
            if verdict.fingerprint not in first:
                first[verdict.fingerprint] = _seen(verdict, verdict.confidence)
    found = list(first.values())
    margins = boundary_margin(np.array([one.confidence for one in found], np.float64), levels).tolist()
    return [
        one._replace(copies=copies[one.fingerprint], margin=margin) for one, margin in zip(found, margins, strict=True)
    ]


def worth_reading(found: Sequence[Seen], most: int) -> list[Seen]:
    """As many as may be read: one half nearest to a level, the other half the rarest."""
    nearest = nsmallest(most - most // 2, found, key=lambda one: (one.margin, one.event_id))
    taken = {one.event_id for one in nearest}
    rest = (one for one in found if one.event_id not in taken)
    return nearest + nsmallest(most // 2, rest, key=lambda one: (one.copies, one.event_id))


def candidates(
    ledger: Ledger,
    since: datetime,
    *,
    model: ModelRef,
    levels: Sequence[float],
    labelled: Collection[str],
    asked: Iterable[Review],
) -> list[Read]:
    """Distinct events as they are read, none of a group of near-duplicates that was asked about or labelled, whenever."""
    known = list(asked)
    prints, groups = _known(ledger, labelled)
    prints |= {one.fingerprint for one in known}
    groups |= {one.group for one in known}
    wanted = worth_reading(distinct(ledger.with_snapshots(since, SCANNED), model, levels, prints), READ)
    snapshots = ledger.snapshots([one.event_id for one in wanted])
    read = (_read(one, snapshots.get(one.event_id)) for one in wanted)
    return [one for one in read if one is not None and one.group not in groups]


def _known(ledger: Ledger, labelled: Collection[str]) -> tuple[set[str], set[str]]:
    """Fingerprints of labelled events, and groups of the newest of them whose snapshots are left."""
    verdicts = ledger.newest(labelled)
    newest = nlargest(READ, verdicts.values(), key=lambda one: (str(one.at or ""), one.event_id))
    snapshots = ledger.snapshots([one.event_id for one in newest])
    groups = {group for group in map(group_in, snapshots.values()) if group is not None}
    return {one.fingerprint for one in verdicts.values()}, groups


def text_of(snapshot: bytes | None) -> tuple[str, str] | None:
    """Kind and text of an event as the text member reads it; None where its snapshot cannot be read."""
    kept = None if snapshot is None else kept_in(snapshot)
    return None if kept is None else (kept.kind, render(canonical(kept.ecs, kept.kind)))


def _seen(verdict: Verdict, confidence: float) -> Seen:
    votes = [[math.nan if vote is None else vote] for name, vote in verdict.members.items() if name != META]
    disagreement = float(apart(np.array(votes, np.float64))[0]) if votes else math.nan
    return Seen(verdict.event_id, verdict.fingerprint, confidence, disagreement)


def _read(one: Seen, snapshot: bytes | None) -> Read | None:
    told = text_of(snapshot)
    group = None if snapshot is None else group_in(snapshot)  # without one an answer would label nothing
    return None if told is None or group is None else Read(one, told[1], group)
