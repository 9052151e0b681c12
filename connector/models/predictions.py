"""From combined scores to predictions: the five most probable techniques, what passed, and why nothing is said."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

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

UNITS = 10_000
"""Technique probabilities are rounded to this part of one: more digits are noise, and equal ones share one object."""

NO_VIEW = "no member has a view of this event"
NO_EVIDENCE = "no member whose vote counts has a view of this event"


@lru_cache(maxsize=1 << 16)
def technique_score(technique: str, probability: float, sub: str | None = None, share: float = 0.0) -> TechniqueScore:
    """A technique's score; equal ones are one object, since most events share most of theirs."""
    below = None if sub is None else TechniqueScore(id=sub, probability=share)
    return TechniqueScore(id=technique, probability=probability, subtechnique=below)


class _Likeliest(NamedTuple):
    """The likeliest techniques of n rows: their ``places`` and how ``likely`` they are, (n, SHOWN).

    ``below`` are the columns of each one's sub-techniques, (n, SHOWN, most of any), with their ``shares``; -1 where none is.
    """

    places: NDArray[np.intp]
    likely: NDArray[np.float32]
    below: NDArray[np.intp]
    shares: NDArray[np.float32]


class Predictor:
    """Turns rows of scores into predictions, for one set of labels and thresholds.

    A parent is at least as probable as each of its sub-techniques, whether or not it has a column of its own.
    """

    def __init__(self, labels: Sequence[str], thresholds: TechniqueThresholds, abstention: Abstention) -> None:
        self._labels = tuple(labels)
        self._parents = tuple(sorted({label.partition(".")[0] for label in labels}))
        own = [[i for i, label in enumerate(labels) if label.partition(".")[0] == parent] for parent in self._parents]
        self._ranks = tuple(_ranks(own))
        self._below = _below(self._parents, self._labels)
        self._limits = np.array([*map(thresholds.of, labels), np.inf])
        self._parent_limits = np.array([thresholds.of(parent) for parent in self._parents])
        self._abstention = abstention

    def predict(self, combined: Combined, names: Sequence[str], notes: Sequence[tuple[str, ...]]) -> list[Prediction]:
        """One prediction a row; ``notes`` are the members' explanations, one tuple a row."""
        likeliest = self._likeliest(combined.techniques)
        shown, passed = self._shown(likeliest), self._passed(likeliest)
        heard = combined.votes.astype(object)
        heard[np.isnan(combined.votes)] = None
        votes = heard.T.tolist()
        return [
            Prediction(
                p_malicious=p,
                techniques=shown[row],
                passed=passed.get(row, ()),
                members=dict(zip(names, votes[row], strict=True)),
                abstain=self._silence(p, spread, notes[row], votes[row]),
                explanation=notes[row],
            )
            for row, (p, spread) in enumerate(zip(combined.p_malicious.tolist(), combined.spread.tolist(), strict=True))
        ]

    def _likeliest(self, techniques: NDArray[np.float32]) -> _Likeliest:
        columns = np.full((len(self._labels) + 1, len(techniques)), -1.0, np.float32)
        np.fmax(techniques.T, 0.0, out=columns[:-1])
        parents = np.zeros((len(self._parents), len(techniques)), np.float32)
        # each parent's labels one after the other: ``reduceat`` walks row by row, and takes ten times as long
        for places, own in self._ranks:
            parents[places] = np.maximum(parents[places], columns[own])
        parents = np.ascontiguousarray(parents.T)
        places = highest(parents, SHOWN)
        below = self._below[places]
        shares = columns[below, np.arange(len(techniques))[:, None, None]]
        return _Likeliest(places, np.take_along_axis(parents, places, axis=1), below, shares)

    def _shown(self, likeliest: _Likeliest) -> list[tuple[TechniqueScore, ...]]:
        """The likeliest techniques of each row, each with its likeliest sub-technique where that stands out.

        One object stands for all equal scores of a batch: most of its rows are alike.
        """
        places, likely, below, shares = likeliest
        subs = np.take_along_axis(below, shares.argmax(axis=2)[:, :, None], axis=2)[:, :, 0]
        most = shares.max(axis=2)
        alone = most < STANDS_OUT * likely
        subs[alone], most[alone] = len(self._labels), 0.0
        shape = (len(self._parents), len(self._labels) + 1, UNITS + 1, UNITS + 1)
        codes = np.ravel_multi_index((places, subs, _units(likely), _units(most)), shape)
        distinct, back = np.unique(codes, return_inverse=True)
        scores = [self._score(*parts) for parts in np.stack(np.unravel_index(distinct, shape), axis=1).tolist()]
        return [tuple([scores[place] for place in row]) for row in back.reshape(len(places), places.shape[1]).tolist()]

    def _score(self, place: int, sub: int, probability: int, share: int) -> TechniqueScore:
        below = None if sub == len(self._labels) else self._labels[sub]
        return technique_score(self._parents[place], probability / UNITS, below, share / UNITS)

    def _passed(self, likeliest: _Likeliest) -> dict[int, tuple[str, ...]]:
        """The ids above their thresholds of each row that has any, best first; a sub-technique brings its parent with it.

        They are of the likeliest techniques alone: where a text says so little that dozens pass, the rest is noise.
        """
        places, likely, below, shares = likeliest
        found: defaultdict[int, dict[str, float]] = defaultdict(dict)
        at = np.nonzero(likely >= self._parent_limits[places])
        for row, parent, p in zip(at[0].tolist(), places[at].tolist(), likely[at].tolist(), strict=True):
            found[row][self._parents[parent]] = p
        at = np.nonzero(shares >= self._limits[below])
        whose = places[at[:2]].tolist(), likely[at[:2]].tolist()
        for row, parent, p, label, q in zip(
            at[0].tolist(), *whose, below[at].tolist(), shares[at].tolist(), strict=True
        ):
            found[row].setdefault(self._parents[parent], p)
            found[row][self._labels[label]] = q
        return {row: tuple(sorted(ids, key=lambda label: (-ids[label], label))) for row, ids in found.items()}

    def _silence(
        self, p_malicious: float, spread: float, notes: tuple[str, ...], votes: Sequence[float | None]
    ) -> str | None:
        if math.isnan(p_malicious):
            return "; ".join((NO_VIEW if all(vote is None for vote in votes) else NO_EVIDENCE, *notes))
        limit = self._abstention.spread
        if limit is not None and spread > limit:
            return f"members are {spread:.2f} apart, more than {limit:.2f}"
        return None


def _ranks(groups: Sequence[Sequence[int]]) -> Iterator[NDArray[np.intp]]:
    """(2, n) each: the groups that have a first member, and it; those that have a second; and so on."""
    for rank in range(max(map(len, groups), default=0)):
        yield np.array([(place, group[rank]) for place, group in enumerate(groups) if len(group) > rank], np.intp).T


def _below(parents: Sequence[str], labels: Sequence[str]) -> NDArray[np.intp]:
    """The columns of each parent's sub-techniques (parents, most of any); the place behind the last label is none."""
    found = [[place for place, label in enumerate(labels) if label.startswith(f"{parent}.")] for parent in parents]
    table = np.full((len(parents), max(1, *map(len, found))), len(labels), np.intp)
    for row, places in enumerate(found):
        table[row, : len(places)] = places
    return table


def _units(probabilities: NDArray[np.float32]) -> NDArray[np.intp]:
    """Probabilities as whole :data:`UNITS`, rounded as :func:`round` does: in doubles the product is exact.

    A member's own rounding may put one above 1.
    """
    return np.rint(np.minimum(probabilities, 1.0).astype(np.float64) * UNITS).astype(np.intp)
