"""Ways to make one logit of malice of what the members say: their sum, logistic regression, gradient-boosted trees.

All read the meta-classifier's features. Missing views are missing values. Rows are weighed so that each recording counts
once, and attack and background count the same: the logits are stated for a prevalence of one half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from connector.learn.training.trees import INPUT, OUTPUT, one_thread, to_onnx
from connector.models.meta import PER_MEMBER

SUM, WEIGHTED = "sum of logits", "logistic regression of logits alone"
LOGISTIC, TREES = "logistic regression", "gradient-boosted trees"

TREE_OPTIONS: Final[Mapping[str, Any]] = {
    "learning_rate": 0.06,
    "max_iter": 150,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 40,
    "l2_regularization": 5.0,
    "early_stopping": False,
}
SLOPE: Final = 0.5
"""Inverse regularisation of the logistic regression, on features of unit spread."""

SEED: Final = 1

Floats: TypeAlias = NDArray[np.float32]
Scores: TypeAlias = Callable[[Floats], NDArray[np.float64]]
"""Features (n, width) to logits (n,)."""


class Rows(msgspec.Struct, frozen=True, eq=False):
    """Training rows: features (n, width), whether each is the attack's (n,), and the group of each."""

    features: Floats
    truth: NDArray[np.float32]
    groups: Sequence[str]

    @property
    def weight(self) -> NDArray[np.float64]:
        """(n,) with mean 1: within a side every group counts the same, and both sides do."""
        return balanced(self.truth, self.groups)


class Combiner(msgspec.Struct, frozen=True, eq=False):
    """A fitted way: its logits of features, and its ONNX graph; None for the sum, which needs none."""

    name: str
    scores: Scores
    graph: bytes | None = None


def balanced(truth: NDArray[np.floating], groups: Sequence[str] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Weights (n,) with mean 1: within a side every group counts the same, and both sides do."""
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    _, pair, size = np.unique(2 * number + (truth > 0), return_inverse=True, return_counts=True)
    weight = 1.0 / size[pair]
    for side in (True, False):
        weight[(truth > 0) == side] /= max(weight[(truth > 0) == side].sum(), 1e-12)
    found: NDArray[np.float64] = weight * len(weight) / max(weight.sum(), 1e-12)
    return found


def sum_of(members: int) -> Combiner:
    """The sum of the members' logits: independent pieces of evidence add, and a view that is missing adds nothing."""

    def scores(rows: Floats) -> NDArray[np.float64]:
        logits = rows[:, 0 : PER_MEMBER * members : PER_MEMBER].astype(np.float64)
        return np.where(np.isnan(logits).all(axis=1), np.nan, np.nansum(logits, axis=1))

    return Combiner(SUM, scores)


def weighted(rows: Rows, members: int) -> Combiner:
    """Logistic regression of the members' logits of malice alone: what else there is to read says less at another site."""
    read = np.zeros(rows.features.shape[1], bool)
    read[0 : PER_MEMBER * members : PER_MEMBER] = True
    return logistic(rows, read)


def logistic(rows: Rows, read: NDArray[np.bool_] | None = None) -> Combiner:
    """Logistic regression; a missing value is its feature's mean, and a column of its own says that it is missing.

    ``read`` (width,) are the features that count; all where it is not given.
    """
    counts = np.ones(rows.features.shape[1], bool) if read is None else read
    centre, spread = np.nan_to_num(np.nanmean(rows.features, axis=0)), np.nanstd(rows.features, axis=0)
    spread = np.where(np.isfinite(spread) & (spread > 0), spread, 1.0)

    def whole(features: Floats) -> NDArray[np.float64]:
        missing = np.isnan(features)
        return np.hstack([np.where(missing, 0.0, (features - centre) / spread) * counts, missing * counts])

    model = LogisticRegression(C=SLOPE, max_iter=2000).fit(whole(rows.features), rows.truth, sample_weight=rows.weight)
    slopes, bias = model.coef_[0], float(model.intercept_[0])

    def scores(features: Floats) -> NDArray[np.float64]:
        found: NDArray[np.float64] = whole(features) @ slopes + bias
        return found

    wide = len(centre)
    flat = slopes[:wide] / spread
    return Combiner(LOGISTIC if read is None else WEIGHTED, scores, _linear(flat, slopes[wide:], bias, centre))


def trees(rows: Rows, members: int) -> Combiner:
    """Gradient-boosted trees. A member's rising logit of malice never makes malice less likely (monotonic constraint)."""
    rising = np.zeros(rows.features.shape[1], int)
    rising[0 : PER_MEMBER * members : PER_MEMBER] = 1
    model = HistGradientBoostingClassifier(**TREE_OPTIONS, monotonic_cst=rising, random_state=SEED)
    with one_thread():
        model.fit(rows.features, rows.truth, sample_weight=rows.weight)

    def scores(features: Floats) -> NDArray[np.float64]:
        with one_thread():
            return np.asarray(model.decision_function(features), np.float64)

    return Combiner(TREES, scores, to_onnx(model))


def _linear(
    slopes: NDArray[np.floating], missing: NDArray[np.floating], bias: float, centre: NDArray[np.floating]
) -> bytes:
    """``bias + Σ (missing? m_i : s_i · (x_i − centre_i))`` as a graph."""
    constants = {
        "centre": centre.astype(np.float32),
        "zero": np.zeros(1, np.float32),
        "slopes": slopes.astype(np.float32).reshape(-1, 1),
        "gaps": missing.astype(np.float32).reshape(-1, 1),
        "bias": np.array([bias], np.float32),
    }
    nodes = [
        helper.make_node("IsNaN", [INPUT], ["missing"]),
        helper.make_node("Sub", [INPUT, "centre"], ["moved"]),
        helper.make_node("Where", ["missing", "zero", "moved"], ["known"]),
        helper.make_node("Cast", ["missing"], ["flags"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["known", "slopes"], ["first"]),
        helper.make_node("MatMul", ["flags", "gaps"], ["second"]),
        helper.make_node("Add", ["first", "second"], ["sum"]),
        helper.make_node("Add", ["sum", "bias"], [OUTPUT]),
    ]
    graph = helper.make_graph(
        nodes,
        "logistic",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", len(centre)])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())
