"""Gradient-boosted trees of scikit-learn as an ONNX graph, node by node.

The graph is one ``TreeEnsembleRegressor`` of ``ai.onnx.ml``: (n, features) float32 in, nan where a value is missing,
and (n, outputs) raw scores out, before any sigmoid or softmax. Why no converter: docs/decisions/0026.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from connector.errors import ConfigError

INPUT: Final = "features"
OUTPUT: Final = "scores"
OPSETS: Final = (("", 17), ("ai.onnx.ml", 3))
_IR: Final = 8


@contextmanager
def one_thread() -> Iterator[None]:
    """Trees are fitted and asked in one thread.

    Threads that wait for each other on shared cores cost more than they save, and scikit-learn's each set Python's filters of
    warnings, which are the process's before Python 3.14: one finds them empty while another replaces them, and warns.
    """
    with threadpool_limits(1, "openmp"):
        yield


def to_onnx(fitted: HistGradientBoostingClassifier | HistGradientBoostingRegressor) -> bytes:
    """The serialised graph. One output a class, or a single one (the logit of the second class) where there are two.

    A row of float32 takes the same path as in scikit-learn: a threshold lies between two values of the training data in
    double precision, and is rounded down to float32, so that ``x <= threshold`` holds for the same float32 ``x``.
    Raises ``ConfigError`` for trees with categorical splits, which no node of this operator can hold.
    """
    columns: dict[str, list[Any]] = defaultdict(list)
    baseline = np.ravel(fitted._baseline_prediction)  # noqa: SLF001 - scikit-learn has no public way to its trees
    tree = 0
    for iteration in fitted._predictors:  # noqa: SLF001 - see above
        for output, predictor in enumerate(iteration):
            _append(columns, predictor.nodes, tree, output)
            tree += 1
    node = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT],
        [OUTPUT],
        domain="ai.onnx.ml",
        n_targets=len(baseline),
        base_values=baseline.astype(np.float32).tolist(),
        post_transform="NONE",
        **columns,
    )
    graph = helper.make_graph(
        [node],
        "trees",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", fitted.n_features_in_])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", len(baseline)])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(*opset) for opset in OPSETS], ir_version=_IR)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _append(columns: dict[str, list[Any]], nodes: np.ndarray[Any, Any], tree: int, output: int) -> None:
    """Adds one tree's nodes to the operator's parallel lists."""
    if nodes["is_categorical"].any():
        raise ConfigError("trees with categorical splits cannot be written as ONNX; give classes as columns of 0 and 1")
    for place, node in enumerate(nodes):
        leaf = bool(node["is_leaf"])
        columns["nodes_treeids"].append(tree)
        columns["nodes_nodeids"].append(place)
        columns["nodes_modes"].append("LEAF" if leaf else "BRANCH_LEQ")
        columns["nodes_featureids"].append(0 if leaf else int(node["feature_idx"]))
        columns["nodes_values"].append(0.0 if leaf else _down(float(node["num_threshold"])))
        columns["nodes_truenodeids"].append(0 if leaf else int(node["left"]))
        columns["nodes_falsenodeids"].append(0 if leaf else int(node["right"]))
        columns["nodes_missing_value_tracks_true"].append(0 if leaf else int(node["missing_go_to_left"]))
        if leaf:
            columns["target_treeids"].append(tree)
            columns["target_nodeids"].append(place)
            columns["target_ids"].append(output)
            columns["target_weights"].append(float(node["value"]))


def _down(threshold: float) -> float:
    """The greatest float32 that is not above the threshold."""
    near = np.float32(threshold)
    return float(np.nextafter(near, np.float32(-np.inf)) if near > threshold else near)
