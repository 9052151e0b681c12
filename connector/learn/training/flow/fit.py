"""Labelled flows as rows, and the trees that are fitted to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from connector.errors import ConfigError
from connector.learn.corpora.labelled_flows import Labelled
from connector.learn.training.trees import one_thread
from connector.models.flow.classes import BENIGN
from connector.models.flow.features import rows

Floats = NDArray[np.float64]
Whole = NDArray[np.intp]

COPIES: Final = 0.5
"""A row that occurs n times weighs n to this power: a flood's packets are copies, and so is what one client does all day."""

RARITY: Final = 0.5
"""A class of a share s of the weight is brought to s to this power."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What trees are grown: few, small and on coarse features, since one testbed taught them."""

    trees: int = 40
    leaves: int = 8
    least: int = 5
    rate: float = 0.1
    seed: int = 1


class Flows(msgspec.Struct, frozen=True, eq=False):
    """Flows as the trees read them: ``features`` (n, columns), ``kinds`` and ``attacks`` (n,).

    ``groups`` (n,): rows that agree in every feature share one. The features are coarse, so these are near copies.
    """

    features: NDArray[np.float32]
    kinds: NDArray[np.str_]
    attacks: NDArray[np.str_]
    groups: Whole

    def at(self, places: Any) -> Flows:
        """The rows at these places."""
        return Flows(self.features[places], self.kinds[places], self.attacks[places], self.groups[places])

    @property
    def malicious(self) -> NDArray[np.bool_]:
        """Which rows are of an attack."""
        found: NDArray[np.bool_] = self.kinds != BENIGN
        return found

    def __len__(self) -> int:
        return len(self.kinds)


def flows_of(labelled: Sequence[Labelled]) -> Flows:
    """Labelled flows as rows."""
    found = rows([row.flow for row in labelled])
    keys: dict[bytes, int] = {}
    groups = [keys.setdefault(row.tobytes(), len(keys)) for row in found]
    return Flows(
        found,
        np.array([row.kind for row in labelled], np.str_),
        np.array([row.attack for row in labelled], np.str_),
        np.array(groups, np.intp),
    )


def copies(flows: Flows) -> Floats:
    """The weight of each row (n,), by how many there are of it."""
    _, inverse, counts = np.unique(flows.groups, return_inverse=True, return_counts=True)
    found: Floats = counts[inverse].astype(np.float64) ** (COPIES - 1.0)
    return found


def fit(flows: Flows, classes: Sequence[str], recipe: Recipe) -> HistGradientBoostingClassifier:
    """The trees. Raises ``ConfigError`` where a class has no row."""
    if missing := sorted(set(classes) - set(flows.kinds)):
        raise ConfigError(f"no flow is of the class {', '.join(missing)}")
    known = flows.features.copy()
    known[:, np.isnan(known).all(axis=0)] = 0.0  # what no source of the rows gives: constant, and so never split
    weight = copies(flows)
    column = {name: place for place, name in enumerate(classes)}
    truth = np.array([column[kind] for kind in flows.kinds], np.intp)
    share = np.bincount(truth, weight, len(classes)) / weight.sum()
    model = HistGradientBoostingClassifier(
        max_iter=recipe.trees,
        max_leaf_nodes=recipe.leaves,
        min_samples_leaf=recipe.least,
        learning_rate=recipe.rate,
        early_stopping=False,
        random_state=recipe.seed,
    )
    with one_thread():
        return model.fit(known, truth, sample_weight=weight * share[truth] ** (RARITY - 1.0))


def raw(model: HistGradientBoostingClassifier, flows: Flows) -> Floats:
    """The trees' raw scores (n, classes)."""
    found: Floats = np.asarray(model._raw_predict(flows.features), np.float64)  # noqa: SLF001 - what the graph gives
    return found
