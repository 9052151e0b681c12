"""What was said in production against what analysts decided: by threshold, technique and source, and over time.

Only what was closed is known. Analysts close what was shown to them, so precision is that of shown alerts, and what was
missed is what another alert brought to light.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from connector.learn.evaluation.bootstrap import FEW_DRAWS, Interval, share
from connector.learn.export.rows import Row
from connector.learn.periods import By, by_period

POINTS: Final = 20
"""Thresholds of the curve at most: so many confidences that occurred, evenly over the events."""

TRIGGER: Final = "trigger"


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """So many closed events: ``malicious`` by analysts, ``flagged`` by Triaged, ``right`` of these, ``missed`` of the malicious.

    ``precision`` is of the flagged, with its interval over groups of near-duplicates; nan where nothing was flagged.
    """

    closed: int
    malicious: int
    flagged: int
    right: int
    missed: int
    precision: Interval


class Technique(msgspec.Struct, frozen=True, kw_only=True):
    """A parent technique over events whose techniques are known: named by people, told by Triaged, and both."""

    named: int
    told: int
    both: int


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """``levels`` by name, ``curve`` by confidence; ``abstained``: closed events on which Triaged had no opinion."""

    closed: int
    abstained: int
    levels: Mapping[str, Tally]
    curve: Sequence[tuple[float, Tally]]
    techniques: Mapping[str, Technique]
    sources: Mapping[str, Tally]
    periods: Mapping[str, Tally]


def scorecard(rows: Iterable[Row], triggers: Mapping[str, float] | None = None, by: By = By.WEEK) -> Scorecard:
    """The card over the rows of an export. Labels that stand count, each event once, in the period in which it was scored.

    ``suspicious`` and ``malicious`` are the verdicts as they were written. ``triggers`` gives the level ``trigger`` of
    p_malicious by bundle; events of other bundles are not counted at it.
    """
    labels = [row for row in rows if row.stands]
    sources: dict[str, list[Row]] = defaultdict(list)
    for row in labels:
        sources[f"{row.siem}/{row.index}"].append(row)
    return Scorecard(
        closed=len(labels),
        abstained=sum(row.verdict == "abstain" for row in labels),
        levels=_levels(labels, triggers or {}),
        curve=[(cut, _tally(labels, [_confidence(row) >= cut for row in labels])) for cut in _cuts(labels)],
        techniques=_techniques(labels),
        sources={name: _flagged(part) for name, part in sorted(sources.items())},
        periods={name: _flagged(part) for name, part in by_period(labels, lambda row: row.scored_at, by).items()},
    )


def _levels(labels: Sequence[Row], triggers: Mapping[str, float]) -> dict[str, Tally]:
    found = {
        "suspicious": _flagged(labels),
        "malicious": _tally(labels, [row.verdict == "malicious" for row in labels]),
    }
    known = [row for row in labels if row.model in triggers]
    if known:
        found[TRIGGER] = _tally(known, [_confidence(row) >= triggers[row.model] for row in known])
    return found


def _flagged(labels: Sequence[Row]) -> Tally:
    return _tally(labels, [row.verdict in {"suspicious", "malicious"} for row in labels])


def _tally(labels: Sequence[Row], flags: Sequence[bool]) -> Tally:
    truth, flagged = np.array([bool(row.malicious) for row in labels], bool), np.array(flags, bool)
    groups = [row.group for row, flag in zip(labels, flags, strict=True) if flag]
    return Tally(
        closed=len(labels),
        malicious=int(truth.sum()),
        flagged=int(flagged.sum()),
        right=int((truth & flagged).sum()),
        missed=int((truth & ~flagged).sum()),
        precision=share(truth[flagged], groups, FEW_DRAWS),
    )


def _cuts(labels: Sequence[Row]) -> list[float]:
    """Confidences that occurred, so many events apart, the lowest first."""
    seen = sorted(said for row in labels if (said := _confidence(row)) >= 0.0)
    return sorted(set(seen[:: math.ceil(len(seen) / POINTS) or 1]))


def _confidence(row: Row) -> float:
    """Below every threshold where Triaged had no opinion, whatever its members said."""
    return -1.0 if row.confidence is None or row.verdict == "abstain" else row.confidence


def _techniques(labels: Iterable[Row]) -> dict[str, Technique]:
    """By parent, over labels that name techniques and events that were given an opinion."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in labels:
        named, told = _parents(row.techniques), _parents(row.passed)
        if named and row.verdict != "abstain":
            for technique in named | told:
                ticks = (technique in named, technique in told, technique in named & told)
                counts[technique] = [count + tick for count, tick in zip(counts[technique], ticks, strict=True)]
    return {name: Technique(named=n, told=t, both=b) for name, (n, t, b) in sorted(counts.items())}


def _parents(techniques: Iterable[str]) -> frozenset[str]:
    return frozenset(technique.partition(".")[0] for technique in techniques)
