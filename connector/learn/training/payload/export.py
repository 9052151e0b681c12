"""The network as an ONNX graph, and the member's folder."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from connector.learn.training.payload.network import ByteNetwork
from connector.models.payload.member import MODEL

OPSET = 17


def export(network: ByteNetwork, folder: Path) -> Path:
    """Writes ``model.onnx`` in 32-bit floats: it is small, and so it says to the last digits what was fitted."""
    folder.mkdir(parents=True, exist_ok=True)
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
    return folder / MODEL
