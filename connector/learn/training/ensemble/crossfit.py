"""Each way of combining the members, tried on every fold by a fit on the others; the best one is what ships."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation.curves import Ranked
from connector.learn.training.ensemble import combiners
from connector.learn.training.ensemble.combiners import LOGISTIC, SUM, TREES, WEIGHTED, Combiner, Rows
from connector.learn.training.ensemble.operate import Said
from connector.learn.training.ensemble.opinions import Fold, truth
from connector.learn.training.ensemble.recorded import Recorded
from connector.models.meta import PER_MEMBER

MOST_ATTACK, MOST_BACKGROUND = 400, 800
"""Distinct events of each side that one recording gives to training."""

SEED: Final = 1

Bools = NDArray[np.bool_]


class Tried(msgspec.Struct, frozen=True, eq=False):
    """One way of combining: by fold what it says of its events, fitted on the others; and its score."""

    name: str
    said: Mapping[str, Said]
    score: float


def tried(recorded: Recorded, folds: Sequence[Fold], members: Sequence[str]) -> list[Tried]:
    """The sum, two logistic regressions and trees, out of fold; best first by average precision over all that was left out.

    Over all at once, not fold by fold: levels are one for all sites, so what is sure at one must be sure at another.
    """
    rows = {fold.name: rows_of(recorded, fold, members) for fold in folds}
    found = []
    for name in (SUM, WEIGHTED, LOGISTIC, TREES):
        said = {}
        for fold in folds:
            others = joined([rows[other.name] for other in folds if other.name != fold.name])
            said[fold.name] = asked(fitted(name, others, len(members)), fold, members)
        found.append(Tried(name, said, average_precision(recorded, folds, said)))
    return sorted(found, key=lambda one: -one.score)


def fitted(name: str, rows: Rows, members: int) -> Combiner:
    """One way of combining, fitted on rows with and without each view."""
    if name == SUM:
        return combiners.sum_of(members)
    whole = with_missing(rows, members)
    if name == WEIGHTED:
        return combiners.weighted(whole, members)
    return combiners.logistic(whole) if name == LOGISTIC else combiners.trees(whole, members)


def asked(combiner: Combiner, fold: Fold, members: Sequence[str]) -> Said:
    """What it says of a fold's events and of its rows of administration; nan where no member has a view."""
    events, administration = fold.features(members), fold.of_administration(members)
    return Said(_spoken(combiner, events, len(members)), _spoken(combiner, administration, len(members)))


def rows_of(recorded: Recorded, fold: Fold, members: Sequence[str]) -> Rows:
    """A sample of a fold's labelled events: of each recording and side so many distinct ones, and its administration."""
    seen = truth(recorded, fold)
    parts = recorded.part[fold.events]
    draw = np.random.default_rng(SEED)
    chosen: list[int] = []
    for part in fold.parts:
        for side, most in ((1.0, MOST_ATTACK), (0.0, MOST_BACKGROUND)):
            places = draw.permutation(np.flatnonzero((parts == part) & (seen == side)))
            _, first = np.unique(fold.of[places], return_index=True)
            chosen += places[np.sort(first)[:most]].tolist()
    events = np.array(chosen, np.intp)
    administration = fold.of_administration(members)
    return Rows(
        np.concatenate([fold.features(members, events), administration]),
        np.concatenate([seen[events], np.zeros(len(administration), np.float32)]),
        [*(recorded.parts[part].group for part in parts[events].tolist()), *fold.administrators],
    )


def joined(parts: Sequence[Rows]) -> Rows:
    """Several folds' rows as one."""
    return Rows(
        np.concatenate([part.features for part in parts]),
        np.concatenate([part.truth for part in parts]),
        [group for part in parts for group in part.groups],
    )


def with_missing(rows: Rows, members: int) -> Rows:
    """The rows, then the same once more without each member's view in turn, and with each view alone.

    A bundle serves sites without rules, and events without a host: what is missing must not look like what is benign.
    """
    copies = [rows.features]
    for kept in _subsets(members):
        part = rows.features.copy()
        for member in range(members):
            if member not in kept:
                part[:, PER_MEMBER * member : PER_MEMBER * (member + 1)] = np.nan
        copies.append(part)
    features = np.concatenate(copies)
    spoken = np.asarray(~np.isnan(features[:, 0 : PER_MEMBER * members : PER_MEMBER]).all(axis=1))
    times = len(copies)
    groups = [group for group, there in zip([*rows.groups] * times, spoken.tolist(), strict=True) if there]
    return Rows(features[spoken], np.tile(rows.truth, times)[spoken], groups)


def _subsets(members: int) -> list[frozenset[int]]:
    """All but one member, and one member alone."""
    every = frozenset(range(members))
    found = [every - {member} for member in every] + [frozenset({member}) for member in every]
    return [kept for kept in dict.fromkeys(found) if kept and kept != every]


def _spoken(combiner: Combiner, features: NDArray[np.float32], members: int) -> NDArray[np.float64]:
    found = np.full(len(features), np.nan)
    seen = ~np.isnan(features[:, 0 : PER_MEMBER * members : PER_MEMBER]).all(axis=1)
    if seen.any():
        found[seen] = combiner.scores(features[seen])
    return found


def average_precision(recorded: Recorded, folds: Sequence[Fold], said: Mapping[str, Said]) -> float:
    """Over the distinct events of each recording of all folds, attack against background; 0 where one side is missing.

    An event that no member has a view of ranks lowest.
    """
    parts = [distinct(recorded, fold, said[fold.name].logits) for fold in folds]
    truths, scores = (np.concatenate([part[column] for part in parts]) for column in (0, 1))
    if not 0 < truths.sum() < len(truths):
        return 0.0
    return float(Ranked(scores, truths).average_precision(np.ones(len(truths))))


def distinct(
    recorded: Recorded, fold: Fold, logits: NDArray[np.float64], of: Callable[[int], bool] = lambda _: True
) -> tuple[Bools, NDArray[np.float64], list[str]]:
    """Truth, score and group of each (recording, distinct event, side), the highest score of its copies."""
    seen, parts = truth(recorded, fold), recorded.part[fold.events]
    wanted = np.isin(parts, [part for part in fold.parts if of(part)])
    known = np.flatnonzero(~np.isnan(seen) & wanted)
    key = (parts[known].astype(np.int64) * len(fold.marks) + fold.of[known]) * 2 + (seen[known] > 0)
    keys, place = np.unique(key, return_inverse=True)
    score = np.full(len(keys), -np.inf)
    np.maximum.at(score, place, np.nan_to_num(logits[known], nan=-np.inf))
    score = np.where(np.isfinite(score), score, -100.0)
    names = [recorded.parts[number].group for number in (keys // 2 // len(fold.marks)).tolist()]
    return (keys % 2) > 0, score, names
