"""NSL-KDD's records as numbers, parted by group, and the forest that is fitted to them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import OneHotEncoder

from connector.learn.corpora.nsl_kdd import CLASSES, Connections

PARTS: Final = 3
"""One part in so many is the validation part."""

_WIDEST: Final = 5.0
"""Standard deviations at which a distance ends: one number alone makes no record the strangest."""

Whole = NDArray[np.intp]
Numbers = NDArray[np.float32]


class Parts(msgspec.Struct, frozen=True, eq=False):
    """Places of a seed's pool and of its validation part among the records; no group is in both."""

    pool: Whole
    validation: Whole


class Features:
    """Records as numbers: logarithms of the counts, and a column for each word. What is learnt, is learnt from a pool."""

    def __init__(self, pool: Connections) -> None:
        self._words: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        self._words.fit(pool.symbols)
        rows = self.of(pool)
        self._mean, self._scale = rows.mean(axis=0), rows.std(axis=0)
        self._scale[self._scale == 0.0] = 1.0

    def of(self, records: Connections) -> Numbers:
        """What the forest reads, (n, columns)."""
        return np.hstack([np.log1p(records.numbers), self._words.transform(records.symbols)]).astype(np.float32)

    def vectors(self, rows: Numbers) -> Numbers:
        """The same on one scale, for distances."""
        found: Numbers = np.clip((rows - self._mean) / self._scale, -_WIDEST, _WIDEST)
        return found


class Forest:
    """Extremely randomised trees (Geurts, Ernst, Wehenkel, 2006); each class weighs the same."""

    def __init__(self, rows: Numbers, classes: Whole, trees: int, seed: int) -> None:
        self._trees: Any = ExtraTreesClassifier(trees, class_weight="balanced", random_state=seed).fit(rows, classes)

    def probabilities(self, rows: Numbers) -> NDArray[np.float64]:
        """Of every class (n, 5); 0 for one that no label named."""
        found = np.zeros((len(rows), len(CLASSES)))
        found[:, self._trees.classes_] = self._trees.predict_proba(rows)
        return found

    def classes(self, rows: Numbers) -> Whole:
        """The likeliest class of each row."""
        found: Whole = self.probabilities(rows).argmax(axis=1)
        return found


def parted(records: Connections, seed: int) -> Parts:
    """A seed's split, by group, each class in both parts as nearly as groups allow."""
    folds = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed)
    pool, validation = next(folds.split(records.symbols, records.classes, records.groups))
    return Parts(pool, validation)


def at(records: Connections, places: Whole) -> Connections:
    """The records at these places."""
    return Connections(
        numbers=records.numbers[places],
        symbols=records.symbols[places],
        classes=records.classes[places],
        groups=records.groups[places],
        attacks=records.attacks[places],
    )
