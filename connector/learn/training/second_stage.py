"""Fits the second stage: explained false positives as prototypes, whose reach ends at the attacks nearest to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.models.second_stage import Floats, SecondStage, directions
from connector.types import Cause

TEACHING: Final[frozenset[Cause]] = frozenset({"benign_software", "administration", "misconfigured_source"})
"""Causes that the event itself shows. A test is an attack by its looks, and a stale indicator is no trait of the event."""

MOST: Final = 2_000
"""Prototypes: what keeps a batch's comparison a few milliseconds."""

CLOSE: Final = 0.99
"""A false positive whose nearest attack is nearer than this looks like it, and is no prototype."""

FARTHEST: Final = 0.8
"""The cosine at which every reach ends at the latest: where no known attack is near, an unknown one may be."""

_DIGITS: Final = 5
"""Of prototypes, so that what was fitted is what is read back."""

_AT_ONCE: Final = 4_096


def fit(
    rows: Sequence[Row], embeddings: NDArray[np.floating], first_stage_logits: NDArray[np.floating]
) -> SecondStage | None:
    """A second stage from training rows: an export's, and the base corpora's for their attacks and benign events.

    ``embeddings`` (n, d) are the text member's features of the rows and ``first_stage_logits`` (n,) its raw malicious
    logits. None where nobody explained a false positive, attacks or other benign rows are missing, or each of the false
    positives looks like an attack.
    """
    wrong, benign, attack = sides(rows)
    if not (wrong.any() and benign.any() and attack.any()):
        return None
    mean = embeddings.astype(np.float64).mean(axis=0)
    prototypes = np.unique(np.round(directions(embeddings[wrong], mean), _DIGITS), axis=0)
    reach = np.maximum(_nearest(prototypes, embeddings[attack], mean), FARTHEST)
    widest = np.argsort(reach, kind="stable")[:MOST]
    kept = np.sort(widest[reach[widest] < CLOSE])
    if not len(kept):
        return None
    return SecondStage(mean, prototypes[kept], reach[kept], float(np.median(first_stage_logits[benign])))


def sides(rows: Sequence[Row]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows (n,) are false positives with a cause that teaches, which are other benign rows, and which are attacks."""
    benign = np.array([row.malicious is False for row in rows], bool)
    caused = np.array([row.cause in TEACHING for row in rows], bool)
    return benign & caused, benign & ~caused, np.array([row.malicious is True for row in rows], bool)


def measured(
    rows: Sequence[Row], before: NDArray[np.floating], after: NDArray[np.floating], levels: Mapping[str, float]
) -> dict[str, str]:
    """What the filter does to rows that it did not learn from, as ``before → after of all``, for each side and level.

    ``before`` and ``after`` (n,) are p_malicious without and with it; counted are the rows at or above the level.
    """
    found = {}
    for name, part in zip(("explained false positives", "other benign", "attacks"), sides(rows), strict=True):
        for level, cut in levels.items():
            counts = (int((scores[part] >= cut).sum()) for scores in (before, after))
            found[f"{name} at {level}"] = f"{' → '.join(map(str, counts))} of {part.sum()}"
    return found


def _nearest(prototypes: Floats, attacks: NDArray[np.floating], mean: Floats) -> Floats:
    """The cosine of the attack that is nearest to each prototype, (k,)."""
    found = np.full(len(prototypes), -1.0)
    for start in range(0, len(attacks), _AT_ONCE):
        near = directions(attacks[start : start + _AT_ONCE], mean) @ prototypes.T
        found = np.maximum(found, near.max(axis=0))
    return found
