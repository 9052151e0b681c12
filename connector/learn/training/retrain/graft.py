"""A correction as part of the graph that serves: frozen logits plus a linear function of the features.

The frozen part keeps every byte, so a correction of zero changes no score, and a later correction replaces an earlier one
instead of standing upon it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnx
from onnx import helper, numpy_helper

from connector.errors import ConfigError
from connector.learn.training.retrain.replay import Floats
from connector.models.graph import EMBEDDING, OUTPUTS, RELEVANCE

FROZEN: Final = "retrain.frozen."
WEIGHT, BIAS, PRODUCT = "retrain.{}.weight", "retrain.{}.bias", "retrain.{}.product"


class Correction(msgspec.Struct, frozen=True, eq=False):
    """What is added to raw logits: of techniques (d + 1, labels) and of malice (d + 1,); the last row is the bias."""

    techniques: Floats
    malicious: Floats

    def of(self, features: Floats) -> tuple[Floats, Floats]:
        """What it adds for widened features (n, d + 1): (n, labels) and (n,)."""
        return features @ self.techniques, features @ self.malicious


def grafted(path: Path) -> Correction | None:
    """The correction that a graph carries; None where it has none."""
    found = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    if WEIGHT.format(OUTPUTS[0]) not in found:
        return None
    parts = (np.concatenate([found[WEIGHT.format(name)], found[BIAS.format(name)][None]]) for name in OUTPUTS)
    return Correction(*(part.astype(np.float64) for part in parts))


def graft(path: Path, correction: Correction) -> None:
    """Writes a correction into a member's graph, in place of any that it carries. Raises ``ConfigError`` without features."""
    model = onnx.load(path)
    graph = model.graph
    if EMBEDDING not in {output.name for output in graph.output}:
        raise ConfigError(f"{path}: the graph gives no {EMBEDDING}: train the bundle anew with --full")
    values = zip(OUTPUTS, (correction.techniques, correction.malicious), strict=True)
    fresh = [
        numpy_helper.from_array(part.astype(np.float32), pattern.format(name))
        for name, both in values
        for pattern, part in ((WEIGHT, both[:-1]), (BIAS, both[-1]))
    ]
    names = {one.name for one in fresh}
    carries = any(one.name in names for one in graph.initializer)
    kept = [one for one in graph.initializer if one.name not in names]
    del graph.initializer[:]
    graph.initializer.extend([*kept, *fresh])
    if not carries:
        _attach(graph)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _attach(graph: onnx.GraphProto) -> None:
    """Renames the logits and adds the nodes that correct them. What each token brought is no longer the whole answer."""
    for name in OUTPUTS:
        for node in graph.node:
            node.output[:] = [FROZEN + name if output == name else output for output in node.output]
            node.input[:] = [FROZEN + name if given == name else given for given in node.input]
        product, corrected = PRODUCT.format(name), f"{PRODUCT.format(name)}.biased"
        graph.node.extend(
            [
                helper.make_node("MatMul", [EMBEDDING, WEIGHT.format(name)], [product]),
                helper.make_node("Add", [product, BIAS.format(name)], [corrected]),
                helper.make_node("Add", [FROZEN + name, corrected], [name]),
            ]
        )
    told = [output for output in graph.output if output.name != RELEVANCE]
    del graph.output[:]
    graph.output.extend(told)
