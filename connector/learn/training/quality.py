"""Which of an export's labels are likely wrong, contradict each other, or are too few to learn from.

Likely errors are found by confident learning (Northcutt, Jiang, Chuang, "Confident Learning: Estimating Uncertainty in
Dataset Labels", 2021) with cleanlab, over scores that each label got from a model that saw none of its near-duplicates.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

import msgspec
import numpy as np
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from connector.learn.export.rows import Row
from connector.learn.training.labels import parent_of

FOLDS: Final = 5
LEAST: Final = 10
"""Groups of near-duplicates that each side of a question needs before its labels are judged, and below which a class is
reported as too small."""

MALICIOUS: Final = "malicious"
"""The question that is no technique."""

_STRENGTH: Final = 0.01
"""Inverse regularisation, on standardised features."""

_FILTER: Final = "low_normalized_margin"
"""Of cleanlab's ways the most precise one on corpora rows with flipped labels: a label is excluded for it."""


class LikelyError(msgspec.Struct, frozen=True, kw_only=True):
    """A label that the others speak against. ``quality``: from 0 (wrong) to 1 (right), as its unseen score says."""

    row: str
    event_id: str
    alert: str
    analyst: str | None
    question: str
    said: bool
    quality: float
    text: str


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """Near-duplicates, or one event, labelled malicious by some and benign by others. ``excluded``: the fewer, or all."""

    group: str
    malicious: tuple[str, ...]
    benign: tuple[str, ...]
    analysts: tuple[str, ...]
    excluded: tuple[str, ...]


class Small(msgspec.Struct, frozen=True, kw_only=True):
    """A class with fewer groups of near-duplicates than can be learnt from."""

    name: str
    labels: int
    groups: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in so many labels that stand. ``judged``: the questions that had enough labels to look for errors."""

    labels: int
    groups: int
    judged: tuple[str, ...]
    errors: tuple[LikelyError, ...]
    conflicts: tuple[Conflict, ...]
    small: tuple[Small, ...]

    @property
    def excluded(self) -> list[str]:
        """The labels that are not to be trained on, sorted."""
        return sorted({*(error.row for error in self.errors), *chain(*(found.excluded for found in self.conflicts))})


def check(labels: Sequence[Row], embeddings: NDArray[np.floating]) -> Report:
    """Checks labels that stand; ``embeddings`` (n, d) are a text member's features of their texts."""
    judged = []
    errors: list[LikelyError] = []
    for question, places, truth in _questions(labels):
        asked = [labels[place] for place in places.tolist()]
        sides = {
            side: {one.group for one, yes in zip(asked, truth, strict=True) if yes == side} for side in (True, False)
        }
        if min(map(len, sides.values())) >= LEAST:
            judged.append(question)
            errors += _errors(question, asked, truth, embeddings[places])
    return Report(
        labels=len(labels),
        groups=len(_by_group(labels)),
        judged=tuple(judged),
        errors=tuple(sorted(errors, key=lambda error: (error.quality, error.row))),
        conflicts=tuple(_conflicts(labels)),
        small=tuple(_small(labels)),
    )


def _questions(labels: Sequence[Row]) -> Iterator[tuple[str, NDArray[np.intp], NDArray[np.bool_]]]:
    """Each question with the places of the labels that answer it, and their answers. Who names no technique answers none."""
    yield MALICIOUS, np.arange(len(labels)), np.array([bool(label.malicious) for label in labels])
    named = [(place, _parents(label)) for place, label in enumerate(labels) if label.techniques]
    places = np.array([place for place, _ in named], np.intp)
    for technique in sorted({one for _, found in named for one in found}):
        yield technique, places, np.array([technique in found for _, found in named])


def contradicted(
    truth: NDArray[np.bool_], features: NDArray[np.floating], groups: Sequence[str]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which answers (n,) their unseen scores speak against, and how well they agree, (n,) from 0 to 1."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=_STRENGTH, class_weight="balanced", max_iter=1_000))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=1)
    said = truth.astype(np.int64)
    unseen = cross_val_predict(model, features, said, groups=groups, cv=folds, method="predict_proba")
    wrong = find_label_issues(said, unseen, filter_by=_FILTER, n_jobs=1)
    return np.asarray(wrong, bool), np.asarray(get_label_quality_scores(said, unseen), np.float64)


def _errors(
    question: str, labels: Sequence[Row], truth: NDArray[np.bool_], features: NDArray[np.floating]
) -> Iterator[LikelyError]:
    """Likely errors in the answers to one question. A technique that somebody did not name is no error of theirs."""
    wrong, quality = contradicted(truth, features, [label.group for label in labels])
    for place in np.flatnonzero(wrong & (truth | (question == MALICIOUS))).tolist():
        label = labels[place]
        yield LikelyError(
            row=label.row,
            event_id=label.event_id,
            alert=label.alert,
            analyst=label.analyst,
            question=question,
            said=bool(truth[place]),
            quality=round(float(quality[place]), 4),
            text=label.text,
        )


def _conflicts(labels: Sequence[Row]) -> Iterator[Conflict]:
    """Groups in which labels disagree: the side of fewer events is not trained on, and neither where they are as many."""
    for group, members in sorted(_by_group(labels).items()):
        sides = {side: tuple(label.row for label in members if label.malicious is side) for side in (True, False)}
        if not all(sides.values()):
            continue
        fewer = min(map(len, sides.values()))
        yield Conflict(
            group=group,
            malicious=sides[True],
            benign=sides[False],
            analysts=tuple(sorted({label.analyst for label in members if label.analyst})),
            excluded=tuple(chain(*(rows for rows in sides.values() if len(rows) == fewer))),
        )


def _small(labels: Sequence[Row]) -> Iterator[Small]:
    found: dict[str, list[Row]] = {"malicious": [], "benign": []}
    for label in labels:
        found["malicious" if label.malicious else "benign"].append(label)
        for technique in _parents(label):
            found.setdefault(technique, []).append(label)
    for name, members in sorted(found.items()):
        if (groups := len(_by_group(members))) < LEAST:
            yield Small(name=name, labels=len(members), groups=groups)


def _by_group(labels: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for label in labels:
        found[label.group].append(label)
    return found


def _parents(label: Row) -> frozenset[str]:
    return frozenset(map(parent_of, label.techniques))
