"""The network as an ONNX graph, and the member's folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from connector.learn.training.payload.network import ByteNetwork
from connector.models.payload.member import MODEL

OPSET = 17


def export(network: ByteNetwork, folder: Path) -> Path:
    """Writes ``model.onnx``: weights in 16-bit floats, arithmetic in 32 bits.

    Rounds the weights of ``network`` too, so that it says what the graph says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(weight.half().float())
    ids = torch.ones((2, 9), dtype=torch.long)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)  # the TorchScript exporter, as of the text member
        torch.onnx.export(
            network.eval(),
            (ids, ids),
            str(folder / MODEL),
            dynamo=False,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["techniques", "malicious"],
            dynamic_axes={
                "input_ids": {0: "batch", 1: "bytes"},
                "attention_mask": {0: "batch", 1: "bytes"},
                "techniques": {0: "batch"},
                "malicious": {0: "batch"},
            },
        )
    _halve(folder / MODEL)
    return folder / MODEL


def _halve(path: Path) -> None:
    """Keeps each constant that 16 bits hold exactly in them, and has it widened when the graph is loaded."""
    model = onnx.load_model(path)
    graph = model.graph
    for constant in list(graph.initializer):
        values = numpy_helper.to_array(constant)
        narrow = values.astype(np.float16) if values.dtype == np.float32 else values
        if values.dtype == np.float32 and np.array_equal(narrow.astype(np.float32), values):
            name = constant.name
            graph.initializer.remove(constant)
            graph.initializer.append(numpy_helper.from_array(narrow, f"{name}.narrow"))
            graph.node.insert(0, helper.make_node("Cast", [f"{name}.narrow"], [name], to=onnx.TensorProto.FLOAT))
    onnx.save_model(model, path)
