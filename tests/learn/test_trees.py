"""Trees as ONNX say what scikit-learn says, missing values and values on a threshold included."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from connector.errors import ConfigError
from connector.learn.training.trees import one_thread, to_onnx

RARELY_APART = 1e-4


def rows(seed: int, n: int = 1_500) -> np.ndarray:
    """Wide ranges, whole numbers, a column of few values, and a fifth missing."""
    dice = np.random.default_rng(seed)
    values = np.exp(dice.normal(0, 4, (n, 5))).astype(np.float32)
    values[:, 3] = dice.integers(0, 5, n)
    values[dice.random(values.shape) < 0.2] = np.nan
    return values


def fitted(values: np.ndarray, classes: int) -> HistGradientBoostingClassifier:
    told = (
        (np.nan_to_num(values[:, 0]) > 2).astype(int) + (np.nan_to_num(values[:, 1], nan=5.0) > 1) + (values[:, 3] == 2)
    )
    with one_thread():
        return HistGradientBoostingClassifier(max_iter=15).fit(values, told % classes)


def run(graph: bytes, values: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(None, {"features": values})[0]


@pytest.mark.parametrize("classes", [2, 4])
def test_the_graph_gives_scikit_learns_own_scores_where_values_are_missing(classes: int) -> None:
    model = fitted(rows(1), classes)
    unseen = rows(2)

    expected = model._raw_predict(unseen)
    assert np.abs(run(to_onnx(model), unseen) - expected).max() < RARELY_APART


def test_a_value_on_a_rounded_threshold_takes_the_same_branch() -> None:
    model = fitted(rows(1), 4)
    inner = [node for step in model._predictors for tree in step for node in tree.nodes if not node["is_leaf"]]
    edge = np.repeat(rows(3)[:1], 2 * len(inner), axis=0)
    for place, node in enumerate(inner):
        near = np.float32(node["num_threshold"])
        edge[2 * place, node["feature_idx"]] = near
        edge[2 * place + 1, node["feature_idx"]] = np.nextafter(near, np.float32(-np.inf))

    assert np.abs(run(to_onnx(model), edge) - model._raw_predict(edge)).max() < RARELY_APART


def test_categorical_splits_are_refused() -> None:
    dice = np.random.default_rng(4)
    values = dice.integers(0, 6, (400, 1)).astype(np.float32)
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features=[0], min_samples_leaf=5)
    with one_thread():
        model.fit(values, np.isin(values[:, 0], [1, 4]))

    with pytest.raises(ConfigError, match="categorical"):
        to_onnx(model)
