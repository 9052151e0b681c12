"""From combined scores to predictions: the five most probable techniques, what passed, and why nothing is said."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from connector.models.ensemble import Combined
from connector.models.highest import highest
from connector.models.manifest import Abstention, TechniqueThresholds
from connector.types import Prediction, TechniqueScore

SHOWN = 5
"""How many techniques a verdict lists."""

STANDS_OUT = 0.5
"""A sub-technique is named where it has at least this share of its parent's probability."""

DIGITS = 4
"""Technique probabilities are rounded: more digits than this are noise, and equal ones share one object."""

NO_VIEW = "no member has a view of this event"
NO_EVIDENCE = "no member whose vote counts has a view of this event"


@lru_cache(maxsize=1 << 16)
def technique_score(technique: str, probability: float, sub: str | None = None, share: float = 0.0) -> TechniqueScore:
    """A technique's score; equal ones are one object, since most events share most of theirs."""
    below = None if sub is None else TechniqueScore(id=sub, probability=share)
    return TechniqueScore(id=technique, probability=probability, subtechnique=below)


class Predictor:
    """Turns rows of scores into predictions, for one set of labels and thresholds.

    A parent is at least as probable as each of its sub-techniques, whether or not it has a column of its own.
    """

    def __init__(self, labels: Sequence[str], thresholds: TechniqueThresholds, abstention: Abstention) -> None:
        self._labels = tuple(labels)
        parent_of = [label.partition(".")[0] for label in labels]
        self._parents = tuple(sorted(set(parent_of)))
        self._order = np.array(sorted(range(len(labels)), key=lambda i: (parent_of[i], labels[i])), np.intp)
        starts = [i for i, c in enumerate(self._order) if i == 0 or parent_of[c] != parent_of[self._order[i - 1]]]
        self._starts = np.array(starts, np.intp)
        self._below = _below(self._parents, self._labels)
        self._parent_of = np.array([self._parents.index(parent) for parent in parent_of], np.intp)
        self._limits = np.array([thresholds.of(label) for label in labels])
        self._parent_limits = np.array([thresholds.of(parent) for parent in self._parents])
        self._abstention = abstention

    def predict(self, combined: Combined, names: Sequence[str], notes: Sequence[tuple[str, ...]]) -> list[Prediction]:
        """One prediction a row; ``notes`` are the members' explanations, one tuple a row."""
        columns = np.nan_to_num(combined.techniques, nan=0.0)
        parents = np.maximum.reduceat(columns[:, self._order], self._starts, axis=1)
        best = highest(parents, SHOWN)
        shown = self._shown(parents, columns, best)
        passed = self._passed(parents, columns, best)
        votes = combined.votes.T.tolist()
        return [
            Prediction(
                p_malicious=p,
                techniques=shown[row],
                passed=passed.get(row, ()),
                members={n: None if math.isnan(v) else v for n, v in zip(names, votes[row], strict=True)},
                abstain=self._silence(p, spread, notes[row], heard=any(map(math.isfinite, votes[row]))),
                explanation=notes[row],
            )
            for row, (p, spread) in enumerate(zip(combined.p_malicious.tolist(), combined.spread.tolist(), strict=True))
        ]

    def _shown(
        self, parents: NDArray[np.float32], columns: NDArray[np.float32], best: NDArray[np.intp]
    ) -> list[tuple[TechniqueScore, ...]]:
        """The likeliest techniques of each row, each with its likeliest sub-technique where that stands out."""
        likely = np.take_along_axis(parents, best, axis=1)
        below = self._below[best]
        known = np.concatenate([columns, np.full((len(columns), 1), -1.0, np.float32)], axis=1)
        shares = known[np.arange(len(columns))[:, None, None], below]
        subs = np.take_along_axis(below, shares.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        most = shares.max(axis=2)
        subs[most < STANDS_OUT * likely] = len(self._labels)
        rows = zip(best.tolist(), likely.tolist(), subs.tolist(), most.tolist(), strict=True)
        return [tuple(map(self._score, *row)) for row in rows]

    def _score(self, place: int, probability: float, sub: int, share: float) -> TechniqueScore:
        if sub == len(self._labels):
            return technique_score(self._parents[place], round(probability, DIGITS))
        return technique_score(
            self._parents[place], round(probability, DIGITS), self._labels[sub], round(share, DIGITS)
        )

    def _passed(
        self, parents: NDArray[np.float32], columns: NDArray[np.float32], best: NDArray[np.intp]
    ) -> dict[int, tuple[str, ...]]:
        """The ids above their thresholds of each row that has any, best first; a sub-technique brings its parent with it.

        They are of the likeliest techniques alone: where a text says so little that dozens pass, the rest is noise.
        """
        found: defaultdict[int, dict[str, float]] = defaultdict(dict)
        told = np.zeros(parents.shape, bool)
        np.put_along_axis(told, best, values=True, axis=1)
        rows, places = np.nonzero(told & (parents >= self._parent_limits))
        for row, place, p in zip(rows.tolist(), places.tolist(), parents[rows, places].tolist(), strict=True):
            found[row][self._parents[place]] = p
        rows, places = np.nonzero(columns >= self._limits)
        above = self._parent_of[places]
        likely = told[rows, above]
        rows, places, above = rows[likely], places[likely], above[likely]
        whole, own = parents[rows, above].tolist(), columns[rows, places].tolist()
        for row, place, parent, p, q in zip(rows.tolist(), places.tolist(), above.tolist(), whole, own, strict=True):
            found[row].setdefault(self._parents[parent], p)
            if self._labels[place] != self._parents[parent]:
                found[row][self._labels[place]] = q
        return {row: tuple(sorted(ids, key=lambda label: (-ids[label], label))) for row, ids in found.items()}

    def _silence(self, p_malicious: float, spread: float, notes: tuple[str, ...], *, heard: bool) -> str | None:
        if math.isnan(p_malicious):
            return "; ".join((NO_EVIDENCE if heard else NO_VIEW, *notes))
        limit = self._abstention.spread
        if limit is not None and spread > limit:
            return f"members are {spread:.2f} apart, more than {limit:.2f}"
        return None


def _below(parents: Sequence[str], labels: Sequence[str]) -> NDArray[np.intp]:
    """The columns of each parent's sub-techniques (parents, most of any); the place behind the last label is none."""
    found = [[place for place, label in enumerate(labels) if label.startswith(f"{parent}.")] for parent in parents]
    table = np.full((len(parents), max(1, *map(len, found))), len(labels), np.intp)
    for row, places in enumerate(found):
        table[row, : len(places)] = places
    return table
