"""What may be asked about: recent events with a snapshot that nobody labelled and nobody was asked about.

Copies are one candidate. What is ordinary comes by the million, so the scan is bounded; of what it finds, the events next
to a level and the rarest ones are read from their snapshots.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from heapq import nsmallest
from typing import Final, NamedTuple

import numpy as np

from connector.events import canonical, render
from connector.learn.export.snapshot import group_of, kept_in
from connector.learn.sampling import apart, boundary_margin
from connector.ledger import Ledger, Review
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
    verdicts: Iterable[Verdict], model: ModelRef, levels: Sequence[float], labelled: Collection[str]
) -> list[Seen]:
    """Distinct events that this model has a score for, without those of which a copy is labelled.

    What a list decided is left out: a person has spoken already.
    """
    first: dict[str, Seen] = {}
    copies: Counter[str] = Counter()
    known: set[str] = set()
    for verdict in verdicts:
        if verdict.event_id in labelled:
            known.add(verdict.fingerprint)
        elif verdict.model == model and verdict.confidence is not None and verdict.scored is None:
            copies[verdict.fingerprint] += 1
            if verdict.fingerprint not in first:
                first[verdict.fingerprint] = _seen(verdict, verdict.confidence)
    found = [one for one in first.values() if one.fingerprint not in known]
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
    """Distinct events as they are read, none of a group of near-duplicates that was asked about."""
    known = list(asked)
    prints, groups = {one.fingerprint for one in known}, {one.group for one in known}
    found = distinct(ledger.with_snapshots(since, SCANNED), model, levels, labelled)
    wanted = worth_reading([one for one in found if one.fingerprint not in prints], READ)
    snapshots = ledger.snapshots([one.event_id for one in wanted])
    read = (_read(one, snapshots.get(one.event_id)) for one in wanted)
    return [one for one in read if one is not None and one.group not in groups]


def text_of(snapshot: bytes | None) -> tuple[str, str] | None:
    """Kind and text of an event as the text member reads it; None where its snapshot cannot be read."""
    kept = None if snapshot is None else kept_in(snapshot)
    return None if kept is None else (kept.kind, render(canonical(kept.ecs, kept.kind)))


def _seen(verdict: Verdict, confidence: float) -> Seen:
    votes = [[math.nan if vote is None else vote] for vote in verdict.members.values()]
    disagreement = float(apart(np.array(votes, np.float64))[0]) if votes else math.nan
    return Seen(verdict.event_id, verdict.fingerprint, confidence, disagreement)


def _read(one: Seen, snapshot: bytes | None) -> Read | None:
    told = text_of(snapshot)
    return None if told is None else Read(one, told[1], group_of(*told))
