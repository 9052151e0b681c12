"""Which verdicts to ask an analyst about: the uncertain and the unlike, no two near copies, within a budget.

Three reasons take turns: nearness to a decision boundary (Lewis and Gale, A sequential algorithm for training text
classifiers, 1994), disagreement of the members (Seung and others, Query by committee, 1992), and rarity. The uncertain are
shortlisted and then spread out (Zhdanov, Diverse mini-batch active learning, 2019); the rare are those farthest from
everything answered or chosen, the greedy k-center rule (Sener and Savarese, Active learning for CNNs: a core-set
approach, 2018).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.models.calibration import logit

Floats = NDArray[np.floating]
Reason: TypeAlias = Literal["margin", "disagreement", "rare"]

REASONS: Final[tuple[Reason, ...]] = ("margin", "disagreement", "rare")
"""In the order in which they take turns."""

SHORTLIST: Final = 4
"""A reason that is about doubt spreads its share of the budget over so many times as many of the most doubtful."""

_BLOCK: Final = 1024


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What may be asked about.

    ``margin`` is the distance to the nearest decision boundary, 0 on it; ``disagreement`` how far the members are
    apart, 0 where they agree; either is nan where nothing is known. ``cluster`` is shared by near copies, of which one answer
    tells enough; without one a candidate is its own.
    """

    key: str
    margin: float
    disagreement: float = math.nan
    cluster: str = ""


class Chosen(msgspec.Struct, frozen=True):
    """A candidate to ask about, its place among the candidates, and why it was chosen."""

    key: str
    place: int
    reason: Reason


def boundary_margin(p: Floats, cuts: Sequence[float]) -> Floats:
    """How far probabilities (n,) are from the nearest of the cuts, in logits; nan stays nan."""
    return np.asarray(np.abs(logit(p)[:, None] - logit(np.asarray(cuts, np.float64))).min(axis=1))


def class_margin(p: Floats) -> Floats:
    """The likeliest class's lead over the next, of probabilities (n, classes)."""
    highest = np.partition(p, -2, axis=1)
    return np.asarray(highest[:, -1] - highest[:, -2])


def apart(votes: Floats) -> Floats:
    """How far the votes (members, n) are apart, from 0 to 1; nan where fewer than two members have a view."""
    spread = np.fmax.reduce(votes, axis=0) - np.fmin.reduce(votes, axis=0)
    return np.asarray(np.where((~np.isnan(votes)).sum(axis=0) > 1, spread, np.nan))


def choose(
    candidates: Sequence[Candidate], budget: int, *, vectors: Floats | None = None, known: Floats | None = None
) -> tuple[Chosen, ...]:
    """At most ``budget`` candidates, one a cluster, in the order of their worth.

    ``vectors`` (n, d) are the candidates' embeddings and ``known`` (m, d) those of what was answered before. Without
    vectors, rare is what few candidates share a cluster with. The answer depends on the candidates alone, not on their
    order; equal ones are taken by key.
    """
    if vectors is not None and len(vectors) != len(candidates):
        raise ValueError(f"{len(vectors)} vectors for {len(candidates)} candidates")
    order = sorted(range(len(candidates)), key=lambda place: candidates[place].key)
    pool = _Pool([candidates[place] for place in order], None if vectors is None else vectors[order], known)
    share = math.ceil(budget / len(REASONS))
    found: list[Chosen] = []
    waiting = list(REASONS)
    while waiting and len(found) < budget:
        reason = waiting.pop(0)
        if reason == "rare" and waiting and sum(one.reason == "rare" for one in found) == share:
            waiting.append(reason)  # its third is spent; the strange can be made at will, so the doubtful go first
            continue
        place = pool.best(reason, share)
        if place is None:
            continue
        pool.take(place)
        found.append(Chosen(pool.candidates[place].key, order[place], reason))
        waiting.append(reason)
    return tuple(found)


class _Pool:
    """The candidates by key, which of them are still free, and how far each is from what is known or chosen."""

    def __init__(self, candidates: Sequence[Candidate], vectors: Floats | None, known: Floats | None) -> None:
        self.candidates = candidates
        names = [candidate.cluster or f"\0{candidate.key}" for candidate in candidates]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        self._clusters = np.array([numbers[name] for name in names], np.intp)
        self._free = np.ones(len(candidates), bool)
        sizes = Counter(names)
        self._rarity = np.array([1.0 / sizes[name] for name in names])
        self._vectors = None if vectors is None else np.asarray(vectors, np.float32)
        self._far = self._from(known)
        self._doubt: dict[Reason, Floats] = {
            "margin": -np.array([candidate.margin for candidate in candidates], np.float64),
            "disagreement": np.array([candidate.disagreement or math.nan for candidate in candidates], np.float64),
        }

    def best(self, reason: Reason, share: int) -> int | None:
        """The free candidate that a reason with a share of the budget would take; None where there is none."""
        if reason == "rare":
            return _highest(self._far, self._free)
        doubt = self._doubt[reason]
        free = np.flatnonzero(self._free & ~np.isnan(doubt))
        shortlist = free[np.argsort(-doubt[free], kind="stable")[: SHORTLIST * share]]
        if self._vectors is None or not len(shortlist):
            return int(shortlist[0]) if len(shortlist) else None
        return int(shortlist[self._far[shortlist].argmax()])

    def take(self, place: int) -> None:
        """Chooses a candidate: its near copies are no longer free, and what is like it no longer far."""
        self._free &= self._clusters != self._clusters[place]
        if self._vectors is not None:
            self._far = np.minimum(self._far, _nearest(self._vectors, self._vectors[place : place + 1]))

    def _from(self, known: Floats | None) -> Floats:
        """Squared distances to what is known; where nothing is, to the middle of the candidates."""
        if self._vectors is None:
            return self._rarity
        if not len(self._vectors):
            return np.empty(0, np.float32)
        if known is None or not len(known):
            known = self._vectors.mean(axis=0, keepdims=True)
        return _nearest(self._vectors, np.asarray(known, np.float32))


def _highest(worth: Floats, free: NDArray[np.bool_]) -> int | None:
    places = np.flatnonzero(free)
    return int(places[worth[places].argmax()]) if len(places) else None


def _nearest(vectors: Floats, others: Floats) -> Floats:
    """The squared distance of each vector (n, d) to the nearest of others (m, d), block by block."""
    found = np.full(len(vectors), np.inf, np.float32)
    lengths = (vectors**2).sum(axis=1)
    for start in range(0, len(others), _BLOCK):
        block = others[start : start + _BLOCK]
        squared = lengths[:, None] + (block**2).sum(axis=1) - 2.0 * (vectors @ block.T)
        found = np.minimum(found, squared.min(axis=1))
    return np.maximum(found, 0.0)
