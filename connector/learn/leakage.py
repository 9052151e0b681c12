"""The leakage report: what in a dataset would let a model score well without reading what happened.

Technique ids in texts, groups and near copies on both sides of a split, kinds of event that only one class has, and a
probe that sees only which fields an event has: within a kind it must not tell attack from benign.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Dataset, Row
from connector.learn.near_duplicates import clusters
from connector.learn.scrub import leaks

MOST: Final = 0.6
"""AUC that the probe may reach within a kind."""

LEAST_ROWS: Final = 40
LEAST_GROUPS: Final = 5
"""Rows and groups of each class from which a kind is probed: below, an AUC is chance."""

_FOLDS: Final = 5
_RIDGE: Final = 1.0
_STEPS: Final = 12

Floats = NDArray[np.float64]


class Probe(msgspec.Struct, frozen=True):
    """What the presence of fields alone tells within a kind: rows of each class, and the AUC.

    It is the highest of four: two models, over left-out groups and over left-out rows. The second is the more lenient to the
    probe: what it knows of a group's other rows helps it.
    """

    kind: str
    attacks: int
    benign: int
    auc: float


class Report(msgspec.Struct, frozen=True):
    """What was looked for. ``names`` and ``renamed`` are counted while the dataset is built: it holds no name to look for."""

    rows: int
    ids: int
    groups: tuple[str, ...]
    copies: int
    names: int
    renamed: int
    probes: tuple[Probe, ...]
    unprobed: int
    """Rows whose kind has too few rows or groups of one class to be probed."""

    @property
    def problems(self) -> list[str]:
        """What must not be, in words; empty where the dataset is clean."""
        found = [f"{self.ids} texts name a technique"] if self.ids else []
        found += [f"{group} is in more than one split" for group in self.groups]
        found += [f"{self.copies} rows nearly repeat a row of another split"] if self.copies else []
        found += [f"{self.names} texts hold the name of a host or user that was recorded"] if self.names else []
        return found + [
            f"{probe.kind}: which fields are there tells the class, AUC {probe.auc:.3f}"
            for probe in self.probes
            if probe.auc > MOST
        ]


def report(dataset: Dataset) -> Report:
    """Looks for leaks in a dataset."""
    rows = dataset.rows
    kinds: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.malicious is not None:
            kinds[row.kind].append(row)
    probes = {kind: probe for kind, found in kinds.items() if (probe := probed(kind, found)) is not None}
    return Report(
        rows=len(rows),
        ids=sum(leaks(row.text) for row in rows),
        groups=tuple(_shared(rows)),
        copies=_copies(rows),
        names=dataset.facts.names,
        renamed=dataset.facts.renamed,
        probes=tuple(sorted(probes.values(), key=lambda probe: -probe.auc)),
        unprobed=sum(len(found) for kind, found in kinds.items() if kind not in probes),
    )


def _shared(rows: Iterable[Row]) -> list[str]:
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[f"{row.source}:{row.group}"].add(row.split)
    return sorted(group for group, found in splits.items() if len(found) > 1)


def _copies(rows: Sequence[Row]) -> int:
    """Rows whose cluster of near copies, found anew, has most of its rows in another split."""
    firsts = clusters([row.text for row in rows])
    splits: dict[int, Counter[str]] = defaultdict(Counter)
    for row, first in zip(rows, firsts, strict=True):
        splits[first][row.split] += 1
    return sum(found.total() - max(found.values()) for found in splits.values())


def probed(kind: str, rows: Sequence[Row]) -> Probe | None:
    """The probe of one kind; None where a class has too few rows or groups."""
    sides = [[row for row in rows if row.malicious is malicious] for malicious in (True, False)]
    if any(len(side) < LEAST_ROWS or len({_group(row) for row in side}) < LEAST_GROUPS for side in sides):
        return None
    names = sorted({name for row in rows for name in row.fields})
    present = np.array([[name in row.fields for name in names] for row in rows], np.float64)
    truth = np.array([row.malicious for row in rows], np.bool_)
    found = []
    for place in (_group, _record):
        folds = np.array([hashlib.sha256(place(row).encode()).digest()[0] % _FOLDS for row in rows])
        scores = np.zeros((2, len(rows)))
        for fold in range(_FOLDS):
            out = folds == fold
            if out.any() and not out.all():
                scores[0, out] = _linear(present[~out], truth[~out], present[out])
                scores[1, out] = _by_pattern(present[~out], truth[~out], present[out])
        found += [auc(one, truth) for one in scores]
    return Probe(kind, len(sides[0]), len(sides[1]), max(found))


def _group(row: Row) -> str:
    return f"{row.source}\0{row.group}"


def _record(row: Row) -> str:
    return f"{row.source}\0{row.group}\0{row.record}"


def _linear(present: Floats, truth: NDArray[np.bool_], asked: Floats) -> Floats:
    """Logits of a ridge logistic regression on the presence bits, by Newton's steps."""
    one = np.hstack([present, np.ones((len(present), 1))])
    weights = np.zeros(one.shape[1])
    for _ in range(_STEPS):
        found = 1 / (1 + np.exp(-np.clip(one @ weights, -30, 30)))
        slope = one.T @ (found - truth) + _RIDGE * weights
        curve = (one * (found * (1 - found))[:, None]).T @ one + _RIDGE * np.eye(one.shape[1])
        weights -= np.linalg.solve(curve, slope)
    logits: Floats = np.hstack([asked, np.ones((len(asked), 1))]) @ weights
    return logits


def _by_pattern(present: Floats, truth: NDArray[np.bool_], asked: Floats) -> Floats:
    """The smoothed share of attacks among rows with exactly the same fields."""
    base = float(truth.mean())
    seen: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
    for bits, attack in zip(present, truth, strict=True):
        seen[bits.tobytes()][int(attack)] += 1
    rates = {bits: (attacks + base) / (benign + attacks + 1) for bits, (benign, attacks) in seen.items()}
    return np.array([rates.get(bits.tobytes(), base) for bits in asked])


def auc(scores: Floats, truth: NDArray[np.bool_]) -> float:
    """The probability that a positive scores above a negative, equal scores counting half."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive = int(truth.sum())
    return float((ranks[truth].sum() - positive * (positive + 1) / 2) / (positive * (len(truth) - positive)))
