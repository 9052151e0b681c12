"""How much each row weighs when a bundle is retrained: closures beside the rows that must not be forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.export.training import SOURCE

REPLAY: Final = 1_000.0
"""What base rows weigh together against all closures, so that many closures do not outvote them ..."""

LEAST: Final = 30_000.0
"""... and at least: few closures must not move much."""

TIMES, CLOSURES = 10.0, 0.1
"""On the full path: a closure's weight against a base row's, and the most that all closures weigh against all base rows."""

Floats = NDArray[np.float64]


def is_closure(rows: Sequence[Row]) -> NDArray[np.bool_]:
    """Which rows (n,) analysts closed; the others are base rows."""
    return np.array([row.source == SOURCE for row in rows], bool)


def weights(rows: Sequence[Row]) -> Floats:
    """Weights (n,) of the rows of the quick path.

    A group of k near-duplicate closures weighs √k: the same alert over and over says little more than once. Base rows of
    other splits than ``train`` weigh nothing. Of the others attacks and the rest weigh the same, and every file counts once.
    """
    closure = is_closure(rows)
    found = 1.0 / np.sqrt(_group_sizes(rows)) * closure
    base = np.array([row.split == "train" for row in rows], bool) & ~closure
    attack = np.array([row.malicious is True for row in rows], bool)
    each = 1.0 / _group_sizes(rows)
    total = max(REPLAY * float(found.sum()), LEAST)
    parts = [part for part in (base & attack, base & ~attack) if part.any()]
    for part in parts:
        found[part] = each[part] / each[part].sum() * total / len(parts)
    return found


def times(rows: Sequence[Row]) -> NDArray[np.float32]:
    """By how much each row's weight (n,) is multiplied on the full path: base rows by 1, a group of k closures by up to 10 √k.

    Closures together never weigh more than a tenth of the base rows.
    """
    closure = is_closure(rows)
    pull = closure / np.sqrt(_group_sizes(rows))
    most = CLOSURES * float((~closure).sum()) / max(float(pull.sum()), 1e-12)
    return np.where(closure, pull * min(TIMES, most), 1.0).astype(np.float32)


def _group_sizes(rows: Sequence[Row]) -> Floats:
    sizes = Counter((row.source, row.group) for row in rows)
    return np.array([sizes[row.source, row.group] for row in rows], np.float64)
