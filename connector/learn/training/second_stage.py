"""Fits the second stage: what tells explained false positives from attacks, so that the first can be lowered.

Benign events that no analyst was shown teach nothing here; they are the first stage's. The filter has its say only
where fewer than :data:`SPARED` of the attacks that it never saw would be touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from connector.learn.dataset import Row
from connector.learn.training.calibrate import group_weights
from connector.models.second_stage import Floats, SecondStage
from connector.types import Cause

TEACHING: Final[frozenset[Cause]] = frozenset({"benign_software", "administration", "misconfigured_source"})
"""Causes that the event itself shows. A test is an attack by its looks, and a stale indicator is no trait of the event."""

LEAST: Final = 5
"""Distinct false positives, and groups of attacks, below which there is no second stage."""

SPARED: Final = 0.01
"""The share of attacks, each file or recording counted once, that the cut may lie above."""

_FOLDS: Final = 5
_STRENGTH: Final = 0.1
"""Inverse regularisation, on standardised features."""


def fit(
    rows: Sequence[Row], embeddings: NDArray[np.floating], first_stage_logits: NDArray[np.floating]
) -> SecondStage | None:
    """A second stage from training rows: an export's, and the base corpora's for their attacks and benign events.

    ``embeddings`` (n, d) are the text member's features of the rows and ``first_stage_logits`` (n,) its raw malicious
    logits. None where there are too few false positives or attacks, or the features do not tell them apart.
    """
    wrong, attack = explained(rows), np.array([row.malicious is True for row in rows])
    benign = np.array([row.malicious is False for row in rows]) & ~wrong
    groups = [f"{row.source}\0{row.group}" for row in rows]
    attacked = {groups[place] for place in np.flatnonzero(attack).tolist()}
    if wrong.sum() < LEAST or len(attacked) < LEAST or not benign.any():
        return None
    chosen = np.flatnonzero(wrong | attack)
    weight = _balanced(wrong[chosen], group_weights([rows[place] for place in chosen.tolist()]).astype(np.float64))
    features, truth = embeddings[chosen].astype(np.float64), attack[chosen]
    weights, bias = _linear(features, truth, weight)
    unseen = _unseen(features, truth, weight, [groups[place] for place in chosen.tolist()])
    cut = _quantile(unseen[truth], weight[truth], SPARED)
    full = float(np.median(features[~truth] @ weights + bias))
    if not full < cut:
        return None
    floor = float(np.median(first_stage_logits[benign]))
    return SecondStage(weights=tuple(weights.tolist()), bias=bias, cut=cut, full=full, floor=floor)


def explained(rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Which rows (n,) are false positives with a cause that teaches the filter."""
    return np.array([row.malicious is False and row.cause in TEACHING for row in rows], bool)


def measured(
    rows: Sequence[Row], before: NDArray[np.floating], after: NDArray[np.floating], levels: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """What the filter does to rows that it did not learn from, by level of p_malicious.

    ``before`` and ``after`` (n,) are p_malicious without and with it. For each level: the explained false positives,
    other benign rows and attacks at or above it, before and after.
    """
    wrong, attack = explained(rows), np.array([row.malicious is True for row in rows], bool)
    benign = np.array([row.malicious is False for row in rows], bool) & ~wrong
    parts = {"false positives": wrong, "other benign": benign, "attacks": attack}
    return {
        level: {
            f"{name} {when}": float((scores[part] >= cut).sum())
            for name, part in parts.items()
            for when, scores in (("before", before), ("after", after))
        }
        for level, cut in levels.items()
    } | {"rows": {name: float(part.sum()) for name, part in parts.items()}}


def _linear(features: Floats, truth: NDArray[np.bool_], weight: Floats) -> tuple[Floats, float]:
    """Weights (d,) and bias of a logistic regression on standardised features, for features as they are."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1.0
    model = LogisticRegression(C=_STRENGTH, max_iter=1_000).fit((features - mean) / spread, truth, sample_weight=weight)
    weights: Floats = model.coef_[0] / spread
    return weights, float(model.intercept_[0] - weights @ mean)


def _unseen(features: Floats, truth: NDArray[np.bool_], weight: Floats, groups: Sequence[str]) -> Floats:
    """The score of each attack by a filter that saw none of its group; nan for false positives, which teach every fold."""
    found = np.full(len(truth), np.nan)
    attacks, wrong = np.flatnonzero(truth), np.flatnonzero(~truth)
    split = GroupKFold(_FOLDS).split(attacks, groups=[groups[place] for place in attacks.tolist()])
    for seen, left in split:
        learnt = np.concatenate([wrong, attacks[seen]])
        weights, bias = _linear(features[learnt], truth[learnt], weight[learnt])
        found[attacks[left]] = features[attacks[left]] @ weights + bias
    return found


def _balanced(wrong: NDArray[np.bool_], weight: Floats) -> Floats:
    """Weights (n,) under which either side counts the same; their mean is 1."""
    halves = np.where(wrong, weight[wrong].sum(), weight[~wrong].sum())
    found: Floats = weight / halves * len(weight) / 2
    return found


def _quantile(values: Floats, weight: Floats, share: float) -> float:
    """The value below which this share of the weight lies."""
    order = np.argsort(values)
    reached = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][np.searchsorted(reached, share)])
