"""Complexity, latency and accuracy of models from the smallest to a whole MiniLM, on the same held-out rows in one run.

The encoders are the packaged MiniLM's: none of its layers (its word vectors alone, averaged), three of them, and all six.
They are fine-tuned briefly, on so many rows as two CPU cores do in minutes; the table says on how many.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer
from torch import Tensor, nn

from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation import curves, linear, ranking
from connector.learn.evaluation.bootstrap import Floats
from connector.learn.evaluation.fitting import Logits
from connector.learn.evaluation.shipped import Bundle
from connector.learn.evaluation.truth import group_of, parents
from connector.learn.training.labels import label_space, targets
from connector.learn.training.model import load_encoder, load_tokenizer
from connector.learn.training.provenance import default_base
from connector.models.calibration import sigmoid
from connector.models.text import TextMember

BASELINE = "MiniLM, 6 layers, fp32"
SOURCE, KIND = "evtx_to_mitre", "sysmon-1"
"""Whose files the technique columns are about, and within which kind of event attacks are told from harmless rows."""

TIMED, ROUNDS = 300, 3
LENGTH, BATCH, RATE, HEAD_RATE = 64, 32, 3e-4, 3e-3
_OPSET = 17


class Sizes(msgspec.Struct, frozen=True):
    """On how many training rows, and how often, an encoder is fine-tuned."""

    rows: int
    epochs: int


STATIC, DEEP, QUICK = Sizes(8_000, 2), Sizes(1_000, 1), Sizes(64, 1)


class Variant(msgspec.Struct, frozen=True):
    """One line of the table. ``ratio`` is the time an event takes, of that of :data:`BASELINE` in the same run."""

    name: str
    trained: str
    parameters: int
    megabytes: float
    ratio: float
    hit1: float
    hit3: float
    auc: float


class _Timed(msgspec.Struct, frozen=True):
    """A model ready to be asked: names of its technique columns, its answers to texts, its size, and how it was trained."""

    name: str
    trained: str
    names: tuple[str, ...]
    ask: Callable[[Sequence[str]], Logits]
    parameters: int
    size: int


def table(bundle: Bundle, dataset: Dataset, *, quick: bool = False) -> list[Variant]:
    """Fits, exports, times and measures every variant."""
    torch.manual_seed(1)
    train, held_out = dataset.of("train"), bundle.unseen(dataset)
    with tempfile.TemporaryDirectory() as scratch:
        models = [_linear(train), *_encoders(train, Path(scratch), quick=quick), _shipped(bundle)]
        seconds = _seconds(models, [row.text for row in held_out[:: max(len(held_out) // TIMED, 1)][:TIMED]])
        base = seconds[BASELINE]
        return [_variant(model, held_out, seconds[model.name] / base) for model in models]


def _variant(model: _Timed, rows: Sequence[Row], ratio: float) -> Variant:
    files = [row for row in rows if row.source == SOURCE and row.techniques]
    techniques, _ = model.ask([row.text for row in files])
    scores, wanted, groups = ranking.by_file(
        _probabilities(techniques), [parents(row) for row in files], [group_of(row) for row in files]
    )
    hits = ranking.hits(ranking.ranks(scores, wanted, model.names), groups)
    judged = [row for row in rows if row.kind == KIND and row.malicious is not None]
    _, malicious = model.ask([row.text for row in judged])
    truth = np.array([bool(row.malicious) for row in judged])
    area = curves.auc(malicious.astype(np.float64), truth, np.ones(len(truth)))
    size = model.size / 1e6
    return Variant(model.name, model.trained, model.parameters, size, ratio, hits.top1.value, hits.top3.value, area)


def _seconds(models: Sequence[_Timed], texts: Sequence[str]) -> dict[str, float]:
    """The least time of a few rounds over the texts, one event at a time; models take turns, so that load hits all."""
    best = {model.name: float("inf") for model in models}
    for _ in range(ROUNDS):
        for model in models:
            start = perf_counter()
            for text in texts:
                model.ask([text])
            best[model.name] = min(best[model.name], perf_counter() - start)
    return best


def _linear(train: Sequence[Row]) -> _Timed:
    grams = linear.hashed([row.text for row in train])
    techniques, malice = linear.fit_techniques(train, grams), linear.fit_malice(train, grams)

    def ask(texts: Sequence[str]) -> Logits:
        found = linear.hashed(texts)
        return techniques.scores(found), malice.scores(found)

    weights = techniques.parameters + malice.parameters
    return _Timed("TF-IDF, linear", f"{len(train)} rows", techniques.names, ask, weights, 8 * weights)


def _shipped(bundle: Bundle) -> _Timed:
    spec, folder = bundle.member
    member = TextMember(spec, folder, 1)
    columns = [place for place, name in enumerate(spec.labels) if "." not in name]

    def ask(texts: Sequence[str]) -> Logits:
        techniques, malicious = member.logits(texts)
        return techniques[:, columns].astype(np.float32), malicious.astype(np.float32)

    size = (folder / "model.onnx").stat().st_size
    names = tuple(spec.labels[place] for place in columns)
    return _Timed(
        f"shipped: {bundle.manifest.ref}, int8", "see its card", names, ask, _weights(folder / "model.onnx"), size
    )


def _encoders(train: Sequence[Row], scratch: Path, *, quick: bool) -> Iterator[_Timed]:
    base = default_base()
    names = tuple(name for name in label_space(train, 3, 3) if "." not in name)
    tokenizer = load_tokenizer(base)
    tokenizer.enable_truncation(LENGTH)
    for name, layers, sizes in (
        ("static word vectors, averaged, fp32", (), STATIC),
        ("MiniLM, 3 layers, fp32", (0, 2, 5), DEEP),
        (BASELINE, (0, 1, 2, 3, 4, 5), DEEP),
    ):
        used = QUICK if quick else sizes
        rows = Random(1).sample(list(train), min(used.rows, len(train)))  # noqa: S311
        network = _tuned(
            _Network(load_encoder(base, layers or (0,)), len(names), deep=bool(layers)),
            rows,
            names,
            tokenizer,
            used.epochs,
        )
        told = f"{len(rows)} rows, {used.epochs} epoch{'s' if used.epochs > 1 else ''}"
        path = scratch / f"{len(layers)}.onnx"
        _export(network, path)
        weights = sum(weight.numel() for weight in network.used())
        yield _session(name, told, names, path, tokenizer, weights)
        if name == BASELINE:
            small = scratch / "int8.onnx"
            quantize_dynamic(path, small, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
            yield _session("MiniLM, 6 layers, int8", told, names, small, tokenizer, weights)


class _Network(nn.Module):  # type: ignore[misc]
    """Word vectors or the states of an encoder, averaged, and two linear heads."""

    def __init__(self, encoder: Any, labels: int, *, deep: bool) -> None:
        super().__init__()
        self.encoder, self.deep = encoder, deep
        width = int(encoder.config.hidden_size)
        self.techniques, self.malicious = nn.Linear(width, labels), nn.Linear(width, 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        if self.deep:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        else:
            states = self.encoder.embeddings.word_embeddings(input_ids)
        mask = attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * mask).sum(1) / mask.sum(1).clamp(min=1.0)
        return self.techniques(pooled), self.malicious(pooled).squeeze(-1)

    def used(self) -> list[Tensor]:
        """The weights that an answer depends on."""
        heads = [*self.techniques.parameters(), *self.malicious.parameters()]
        body = self.encoder.parameters() if self.deep else self.encoder.embeddings.word_embeddings.parameters()
        return [*body, *heads]


def _tuned(network: _Network, rows: Sequence[Row], names: Sequence[str], tokenizer: Tokenizer, epochs: int) -> _Network:
    goal = targets(rows, names)
    heads = [*network.techniques.parameters(), *network.malicious.parameters()]
    inside = {id(weight) for weight in heads}
    body = [weight for weight in network.used() if id(weight) not in inside]
    rate = RATE if network.deep else HEAD_RATE
    optimizer = torch.optim.AdamW([{"params": heads, "lr": HEAD_RATE}, {"params": body, "lr": rate}], weight_decay=0.01)
    draw = Random(2)  # noqa: S311
    network.train()
    for _ in range(epochs):
        order = draw.sample(range(len(rows)), len(rows))
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            found, bad = network(*_batch(tokenizer, [rows[place].text for place in places]))
            loss = _loss(
                found, torch.from_numpy(goal.techniques[places]), bad, torch.from_numpy(goal.malicious[places])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    network.eval()
    return network


def _loss(found: Tensor, wanted: Tensor, bad: Tensor, malicious: Tensor) -> Tensor:
    """Cross-entropy over the techniques of rows that name any, and of malice over rows that say."""
    marks = torch.nan_to_num(wanted)
    share = marks / marks.sum(1, keepdim=True).clamp(min=1.0)
    named = marks.sum(1) > 0
    ranking_loss = -(share * torch.log_softmax(found, 1)).sum(1)[named].sum() / named.sum().clamp(min=1)
    said = ~torch.isnan(malicious)
    votes = nn.functional.binary_cross_entropy_with_logits(bad[said], malicious[said], reduction="sum")
    return ranking_loss + votes / said.sum().clamp(min=1)


def _batch(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    encodings = tokenizer.encode_batch_fast(list(texts))
    longest = max(len(encoding.ids) for encoding in encodings)
    ids = torch.tensor([encoding.ids + [0] * (longest - len(encoding.ids)) for encoding in encodings])
    mask = torch.tensor([[1] * len(encoding.ids) + [0] * (longest - len(encoding.ids)) for encoding in encodings])
    return ids, mask


def _export(network: _Network, path: Path) -> None:
    ids = torch.ones((2, 7), dtype=torch.long)
    axes = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # the TorchScript exporter is deprecated, and traces shapes that are constant here
        torch.onnx.export(
            network,
            (ids, torch.ones_like(ids)),
            str(path),
            dynamo=False,
            opset_version=_OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["techniques", "malicious"],
            dynamic_axes={**axes, "techniques": {0: "batch"}, "malicious": {0: "batch"}},
        )


def _session(  # noqa: PLR0917  (one caller, above)
    name: str, trained: str, names: tuple[str, ...], path: Path, tokenizer: Tokenizer, parameters: int
) -> _Timed:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

    def ask(texts: Sequence[str]) -> Logits:
        found = [
            session.run(None, {"input_ids": np.array([e.ids]), "attention_mask": np.ones((1, len(e.ids)), np.int64)})
            for e in tokenizer.encode_batch_fast(list(texts))
        ]
        return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])

    return _Timed(name, trained, names, ask, parameters, path.stat().st_size)


def _weights(path: Path) -> int:
    import onnx  # noqa: PLC0415 - a graph is read for its size alone

    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load(str(path)).graph.initializer)


def _probabilities(logits: NDArray[np.float32]) -> Floats:
    return sigmoid(logits.astype(np.float64))
