"""What studies of networks and heads count: how often the right parent technique is first or among three, of all rows and of rare ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row, Split
from connector.learn.training.labels import Floats, parent_of
from connector.learn.training.measure import parent_hits, separation

RARE = 60
"""Training rows below which a technique is rare."""

SPLITS: tuple[Split, ...] = ("dev", "calibration")
"""The splits that fit no weight."""


class Ranks(msgspec.Struct, frozen=True):
    """Of rows with a technique, and of those with a rare one: right parent first, among three."""

    rows: int
    top1: float
    top3: float
    rare: int
    rare1: float
    rare3: float


class Rates(Ranks, frozen=True):
    """The same, and the mean AUC of malice over kinds of event."""

    auc: float


RANKS = "rows | top-1 / top-3 | rare rows | top-1 / top-3"
"""What :func:`cells` gives, as a table's head."""


def cells(seen: Ranks) -> str:
    """The ranks as cells of a table."""
    return f"{seen.rows} | {seen.top1:.3f} / {seen.top3:.3f} | {seen.rare} | {seen.rare1:.3f} / {seen.rare3:.3f}"


def rarely(train: Sequence[Row]) -> frozenset[str]:
    """The parent techniques with fewer than :data:`RARE` training rows."""
    counts = Counter(name for row in train for name in {parent_of(technique) for technique in row.techniques})
    return frozenset(name for name, count in counts.items() if count < RARE)


def ranked(logits: Floats, rows: Sequence[Row], labels: Sequence[str], rare: frozenset[str]) -> Ranks:
    """How well logits (n, labels) rank the techniques of n rows."""
    ranks = parent_hits(logits, rows, labels)
    few = np.array([any(parent_of(name) in rare for name in row.techniques) for row in rows], bool)
    named, seldom = ranks[ranks >= 0], ranks[few]
    return Ranks(
        rows=len(named),
        top1=_share(named, 1),
        top3=_share(named, 3),
        rare=len(seldom),
        rare1=_share(seldom, 1),
        rare3=_share(seldom, 3),
    )


def rated(said: tuple[Floats, Floats], rows: Sequence[Row], labels: Sequence[str], rare: frozenset[str]) -> Rates:
    """The same of logits of techniques (n, labels) and of malice (n,)."""
    techniques, malicious = said
    areas = [kind["auc"] for kind in separation(malicious, rows).values()]
    ranks = msgspec.structs.asdict(ranked(techniques, rows, labels, rare))
    return Rates(**ranks, auc=float(np.mean(areas)) if areas else float("nan"))


def _share(ranks: NDArray[np.int64], depth: int) -> float:
    return float(np.mean(ranks < depth)) if len(ranks) else float("nan")
