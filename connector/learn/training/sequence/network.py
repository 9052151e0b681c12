"""The networks that read a window: an LSTM, and a GRU and a small transformer to compare it with; one graph for serving."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
import torch
from torch import Tensor, nn

from connector.models.sequence.arrays import FLAGS, GAPS, Arrays
from connector.models.sequence.window import LENGTH

Kind: TypeAlias = Literal["lstm", "gru", "transformer"]
KINDS: tuple[Kind, ...] = ("lstm", "gru", "transformer")

OPSET = 17
INPUTS = ("names", "flags", "top", "weights")


class Shape(msgspec.Struct, frozen=True):
    """How many places and labels there are, and how wide the network is."""

    kinds: int
    images: int
    techniques: int
    labels: tuple[int, ...]
    """The technique of each output column, from 0 on."""

    name_width: int = 8
    hidden: int = 32
    dropout: float = 0.2


class Network(nn.Module):  # type: ignore[misc]
    """Tokens to features, features to one summary of the window, and that to malice and techniques.

    A technique's logit is what the summary says of it, and a share of the evidence: the most that the text member gives it
    anywhere in the window.
    """

    def __init__(self, kind: Kind, shape: Shape) -> None:
        super().__init__()
        width = shape.name_width
        self.kind_names = nn.Embedding(shape.kinds, width)
        self.image_names = nn.Embedding(shape.images, width)
        self.gaps = nn.Embedding(len(GAPS) + 3, width // 2)
        self.technique_names = nn.Embedding(shape.techniques + 1, width, padding_idx=0)
        features = width * 4 + width // 2 + FLAGS
        self.drop = nn.Dropout(shape.dropout)
        self.reader = _reader(kind, features, shape.hidden)
        self.malicious = nn.Linear(shape.hidden + features, 1)
        self.techniques = nn.Linear(shape.hidden, len(shape.labels))
        self.trust = nn.Parameter(torch.tensor(4.0))
        self.register_buffer("columns", torch.tensor(shape.labels, dtype=torch.long))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of techniques (n, labels) and of malice (n,) of windows as :class:`Arrays` has them."""
        names, flags, top, weights = inputs
        found = (self.technique_names(top) * weights.unsqueeze(-1)).sum(2)
        tokens = torch.cat(
            [
                self.kind_names(names[:, :, 0]),
                self.image_names(names[:, :, 1]),
                self.image_names(names[:, :, 2]),
                self.gaps(names[:, :, 3]),
                found,
                flags,
            ],
            dim=2,
        )
        tokens = self.drop(tokens)
        summary = self.reader(tokens)
        malicious = self.malicious(self.drop(torch.cat([summary, tokens[:, -1]], dim=1))).squeeze(1)
        named = (top.unsqueeze(-1) == self.columns + 1).to(weights.dtype) * weights.unsqueeze(-1)
        evidence = named.flatten(1, 2).amax(1)
        return self.techniques(summary) + self.trust * evidence, malicious


class _Recurrent(nn.Module):  # type: ignore[misc]
    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, tokens: Tensor) -> Tensor:
        return self.cell(tokens)[0][:, -1]


class _Attentive(nn.Module):  # type: ignore[misc]
    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.enter = nn.Linear(features, hidden)
        self.places = nn.Parameter(torch.randn(LENGTH, hidden) * 0.02)
        self.layer = nn.TransformerEncoderLayer(hidden, 2, 2 * hidden, 0.1, batch_first=True, norm_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.layer(self.enter(tokens) + self.places)[:, -1]


def _reader(kind: Kind, features: int, hidden: int) -> nn.Module:
    if kind == "lstm":
        return _Recurrent(nn.LSTM(features, hidden, batch_first=True))
    if kind == "gru":
        return _Recurrent(nn.GRU(features, hidden, batch_first=True))
    return _Attentive(features, hidden)


def tensors(windows: Arrays) -> tuple[Tensor, ...]:
    """The windows as the network's inputs."""
    return tuple(torch.from_numpy(getattr(windows, name)) for name in INPUTS)


def export(network: Network, sample: Arrays, path: Path) -> None:
    """Writes the graph; ``sample`` is any two windows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=DeprecationWarning)  # the TorchScript exporter needs nothing installed
        warnings.simplefilter(
            "ignore", category=torch.jit.TracerWarning
        )  # of checks of shapes, which are the same for all
        warnings.filterwarnings("ignore", message="Exporting a model to ONNX with a batch_size other than 1")
        torch.onnx.export(
            network.eval(),
            tensors(sample),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=["techniques", "malicious"],
            dynamic_axes={name: {0: "n"} for name in (*INPUTS, "techniques", "malicious")},
        )
