"""Fits the networks: an epoch draws rows by kind, each changed at random, in batches of like lengths."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Final, TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import binary_cross_entropy_with_logits

from connector.errors import ConfigError
from connector.learn.corpora.http_params import NORMAL, SHOWS
from connector.learn.training.payload.encodings import DISTORTIONS
from connector.learn.training.payload.network import ByteNetwork, averaged
from connector.learn.training.payload.rows import Row
from connector.models.payload.decode import plain
from connector.models.payload.windows import WIDTH

Floats: TypeAlias = NDArray[np.float64]

DECAY: Final = 0.01
WARM: Final = 0.15
"""The share of training in which the rate rises; it falls in the rest."""

_DIGITS: Final = re.compile(rb"[0-9]+")


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How the networks are trained: so many, each from other first weights and other draws, and averaged.

    So many rows are drawn an epoch, evenly over groups of near-copies: of ordinary parameters, of SQL injection, of each
    rarer kind of attack, of ordinary values from other corpora, and of bytes that are no text.
    """

    networks: int = 4
    epochs: int = 5
    normal: int = 7000
    injections: int = 3500
    rarer: int = 1200
    ordinary: int = 3500
    raw: int = 1500
    distorted: float = 0.2
    batch: int = 128
    learning_rate: float = 3e-3
    seed: int = 1


class Example(msgspec.Struct, frozen=True):
    """A window with its targets: ``kinds`` (nan where a column says nothing of it) and ``malicious``, maybe nan."""

    window: bytes
    kinds: tuple[float, ...]
    malicious: float


def fit(rows: Sequence[Row], kinds: Sequence[str], recipe: Recipe) -> ByteNetwork:
    """The fitted networks as one, ready to be read. Raises ``ConfigError`` where a kind has no rows."""
    text = {str(row.kind) for row in rows if not row.raw}
    if text and (missing := sorted({*SHOWS, NORMAL} - text)):
        raise ConfigError(f"there is nothing to learn {', '.join(missing)} from")
    pool = _Pool(rows)
    return averaged([_one(pool, kinds, recipe, recipe.seed + number) for number in range(recipe.networks)])


def _one(pool: _Pool, kinds: Sequence[str], recipe: Recipe, seed: int) -> ByteNetwork:
    torch.manual_seed(seed)
    draw = Random(seed)  # noqa: S311 (a seeded draw, no secret)
    network = ByteNetwork(len(kinds))
    descent = Descent(list(network.parameters()))
    for epoch in range(recipe.epochs):
        batches = _batches(pool.epoch(recipe, kinds, draw), recipe.batch, draw)
        for number, batch in enumerate(batches):
            done = (epoch + number / len(batches)) / recipe.epochs
            rate = recipe.learning_rate * min(done / WARM, (1.0 - done) / (1.0 - WARM))
            _loss(network, batch).backward()
            descent.step(rate)
    return network


class Descent:
    """AdamW by its paper (Loshchilov and Hutter, arXiv:1711.05101).

    To import torch's own, with the compiler behind it, takes longer than a small training.
    """

    def __init__(self, weights: list[torch.nn.Parameter]) -> None:
        self._weights = weights
        self._mean = [torch.zeros_like(weight) for weight in weights]
        self._square = [torch.zeros_like(weight) for weight in weights]
        self._steps = 0

    @torch.no_grad()  # type: ignore[misc,untyped-decorator,unused-ignore]
    def step(self, rate: float) -> None:
        """One step down the gradients, which are cleared."""
        self._steps += 1
        first, second = 1.0 - 0.9**self._steps, 1.0 - 0.999**self._steps
        for weight, mean, square in zip(self._weights, self._mean, self._square, strict=True):
            if weight.grad is None:
                continue
            mean.lerp_(weight.grad, 0.1)
            square.mul_(0.999).addcmul_(weight.grad, weight.grad, value=0.001)
            weight.mul_(1.0 - rate * DECAY)
            weight.addcdiv_(mean, (square / second).sqrt_().add_(1e-8), value=-rate / first)
            weight.grad = None


def _loss(network: ByteNetwork, batch: Sequence[Example]) -> torch.Tensor:
    """The mean over what is known."""
    kinds, malicious = network(*tensors([example.window for example in batch]))
    said = torch.cat([kinds.flatten(), malicious])
    truth = torch.tensor([cell for example in batch for cell in example.kinds] + [e.malicious for e in batch])
    known = ~torch.isnan(truth)
    weight = torch.ones_like(truth)
    weight[-len(batch) :] = float(kinds.shape[1]) / 2
    loss = binary_cross_entropy_with_logits(said[known], truth[known], weight[known], reduction="sum")
    return loss / known.sum().clamp(min=1)


def tensors(found: Sequence[bytes]) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows as the network reads them: ids (n, longest) and their mask."""
    longest = max(map(len, found), default=1) or 1
    ids = np.zeros((len(found), longest), np.int64)
    for row, window in enumerate(found):
        ids[row, : len(window)] = np.frombuffer(window, np.uint8).astype(np.int64) + 1
    return torch.from_numpy(ids), torch.from_numpy((ids > 0).astype(np.int64))


def targets(row: Row, kinds: Sequence[str]) -> tuple[tuple[float, ...], float]:
    """What the columns should say of a row: of text the kinds of attack, of raw bytes the techniques of its capture."""
    if row.raw:
        cells = tuple(float(kind in row.techniques) if kind not in SHOWS else float("nan") for kind in kinds)
    else:
        cells = tuple(float(kind == row.kind) if kind in SHOWS else float("nan") for kind in kinds)
    return cells, float("nan") if row.malicious is None else float(row.malicious)


class _Pool:
    """Rows by what they are drawn as, and in it by group."""

    def __init__(self, rows: Sequence[Row]) -> None:
        parts: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            name = "raw" if row.raw else "ordinary" if row.kind == NORMAL and not row.part else str(row.kind)
            parts[name][row.group].append(row)
        self._parts = {name: list(groups.values()) for name, groups in parts.items()}
        self._words = [row.data for group in self._parts.get(NORMAL, []) for row in group]

    def epoch(self, recipe: Recipe, kinds: Sequence[str], draw: Random) -> list[Example]:
        """The examples of one pass."""
        counts = {NORMAL: recipe.normal, "sqli": recipe.injections, "ordinary": recipe.ordinary, "raw": recipe.raw}
        examples = []
        for name, groups in self._parts.items():
            for _ in range(counts.get(name, recipe.rarer)):
                row = draw.choice(draw.choice(groups))
                examples.append(self._example(row, recipe, kinds, draw))
        return examples

    def _example(self, row: Row, recipe: Recipe, kinds: Sequence[str], draw: Random) -> Example:
        data = row.data if row.raw else plain(self._changed(row, recipe, draw))
        start = draw.randrange(len(data) - WIDTH) if len(data) > WIDTH and row.raw else 0
        cells, malicious = targets(row, kinds)
        return Example(data[start : start + WIDTH] or b" ", cells, malicious)

    def _changed(self, row: Row, recipe: Recipe, draw: Random) -> bytes:
        """The value with other numbers, beside other words, in an encoding: it stays what it is."""
        data = row.data
        if draw.random() < 0.3:
            data = _DIGITS.sub(
                lambda found: b"%0*d" % (len(found[0]), draw.randrange(10 ** min(len(found[0]), 12))), data
            )
        if row.kind == NORMAL and row.part and draw.random() < 0.3:
            # no semicolon: it is what a command stands behind
            words = [data, *draw.choices(self._words, k=draw.randint(1, 8))]
            data = draw.choice((b" ", b", ", b" - ")).join(words)
        elif row.kind != NORMAL and not data[:1].isalnum() and draw.random() < 0.2:
            data = draw.choice(self._words) + data  # a command that began with a letter would become part of the word
        if draw.random() < recipe.distorted:
            data = draw.choice(DISTORTIONS)(data, draw)
        return data


def _batches(examples: list[Example], size: int, draw: Random) -> list[list[Example]]:
    """Batches of like lengths, in random order."""
    draw.shuffle(examples)
    examples.sort(key=lambda example: len(example.window) // 16)
    batches = [examples[start : start + size] for start in range(0, len(examples), size)]
    draw.shuffle(batches)
    return batches
