"""The trained network as a quantised ONNX graph that serving runs.

int8 with per-channel scales and reduced range: without it AVX2 saturates. The bags' tables and the heads are quantised too.
The letters' bag for malice is one column there, and so one feature: a table of its width would be a tenth of the bundle.
"""

from __future__ import annotations

import copy
import shutil
import tempfile
import warnings
from pathlib import Path

import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from tokenizers import Tokenizer
from torch import Tensor, nn

from connector.learn.training.model import LETTERS, Read, TextModel

OPSET = 17
MODEL, TOKENIZER = "model.onnx", "tokenizer.json"
INPUTS, AXES = ("input_ids", "attention_mask", "letters", "letters_mask"), ("tokens", "tokens", "bytes", "bytes")
_FUSED = ("bert", "distilbert")


class _Graph(nn.Module):  # type: ignore[misc]
    """The network with positional inputs and outputs, as an exporter wants it."""

    def __init__(self, model: TextModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.model.read(Read(*inputs))


def export(model: TextModel, tokenizer: Tokenizer, folder: Path, *, quantise: bool = True) -> None:
    """Writes ``model.onnx`` and ``tokenizer.json`` into the member's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        raw, fused = Path(scratch) / "raw.onnx", Path(scratch) / "fused.onnx"
        _to_onnx(_narrowed(model), raw)
        config = model.encoder.config if model.deep else None
        if config is not None and config.model_type in _FUSED:
            options = FusionOptions("bert")
            graph = optimizer.optimize_model(
                str(raw),
                "bert",
                num_heads=config.num_attention_heads,
                hidden_size=config.hidden_size,
                optimization_options=options,
                opt_level=0,
            )
            graph.save_model_to_file(str(fused))
        else:
            shutil.copyfile(raw, fused)
        if quantise:
            quantize_dynamic(
                fused,
                folder / MODEL,
                op_types_to_quantize=["MatMul", "Attention", "EmbedLayerNormalization", "Gather"],
                per_channel=True,
                reduce_range=True,
                weight_type=QuantType.QInt8,
                extra_options={"DefaultTensorType": 1},
            )
        else:
            shutil.copyfile(fused, folder / MODEL)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / TOKENIZER))
    onnxruntime.InferenceSession(folder / MODEL, providers=["CPUExecutionProvider"])


def _narrowed(model: TextModel) -> TextModel:
    if LETTERS not in model.on:
        return model
    narrowed = copy.deepcopy(model)
    narrowed.halves[LETTERS].narrow()
    return narrowed


def _to_onnx(model: TextModel, path: Path) -> None:
    ids = torch.ones((2, 7), dtype=torch.long)
    names = INPUTS if LETTERS in model.on else INPUTS[:2]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", category=DeprecationWarning
        )  # the TorchScript exporter: the one whose graph fuses
        warnings.simplefilter("ignore", category=torch.jit.TracerWarning)
        warnings.filterwarnings(
            "ignore", message="Exporting aten::index operator"
        )  # constant indices: the graph is right
        warnings.filterwarnings("ignore", message="Constant folding")  # what is not folded is computed
        torch.onnx.export(
            _Graph(model).eval(),
            (ids,) * len(names),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(names),
            output_names=["techniques", "malicious", "embedding"],
            dynamic_axes={
                **{name: {0: "batch", 1: axis} for name, axis in zip(names, AXES, strict=False)},
                "techniques": {0: "batch"},
                "malicious": {0: "batch"},
                "embedding": {0: "batch"},
            },
        )
