"""Fits a network to windows: either side weighs the same, and a long recording no more than the root of its length."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from connector.learn.training.sequence.network import Kind, Network, Shape, tensors
from connector.learn.training.sequence.windows import Rows, wide
from connector.models.sequence.vocabulary import Vocabulary, images_of

AT_ONCE = 2048
"""Windows that a network reads at a time when it is asked."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is fitted. ``technique_share`` is the share of the techniques in the loss."""

    epochs: int = 3
    batch_size: int = 256
    rate: float = 0.003
    hidden: int = 32
    technique_share: float = 0.3
    seed: int = 1


def fitted(kind: Kind, rows: Rows, shape: Shape, recipe: Recipe) -> Network:
    """The network after the recipe's passes; the same rows and recipe give the same weights on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    network = Network(kind, shape)
    network.train()
    steps = recipe.epochs * -(-len(rows) // recipe.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.rate, total_steps=steps)
    weight = torch.from_numpy(weights(rows.attack, rows.part).astype(np.float32))
    truth, techniques = torch.from_numpy(rows.attack.astype(np.float32)), torch.from_numpy(rows.techniques)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(rows))
        for start in range(0, len(rows), recipe.batch_size):
            batch = order[start : start + recipe.batch_size]
            shown, malicious = network(*tensors(wide(rows.windows.part(batch.numpy()))))
            loss = functional.binary_cross_entropy_with_logits(malicious, truth[batch], weight[batch])
            missed = functional.binary_cross_entropy_with_logits(shown, techniques[batch], reduction="none").mean(1)
            loss = loss + recipe.technique_share * (missed * weight[batch]).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    return network


def weights(attack: NDArray[np.bool_], part: NDArray[np.int32]) -> NDArray[np.float64]:
    """Weights (n,) of mean 1: either side half, and within it a recording by the root of its rows."""
    weight = np.zeros(len(attack), np.float64)
    for side in (True, False):
        places = np.flatnonzero(attack == side)
        _, back, count = np.unique(part[places], return_inverse=True, return_counts=True)
        found = 1.0 / np.sqrt(count[back])
        weight[places] = found / max(found.sum(), 1e-12)
    mean = max(float(weight.mean()), 1e-12)
    return np.divide(weight, mean)


def logits(network: Network, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Logits of techniques (n, labels) and of malice (n,)."""
    techniques, malicious = [], []
    with torch.no_grad():
        for start in range(0, len(rows), AT_ONCE):
            shown, bad = network(*tensors(wide(rows.windows.part(slice(start, start + AT_ONCE)))))
            techniques.append(shown.numpy())
            malicious.append(bad.numpy())
    return np.concatenate(techniques), np.concatenate(malicious)


def shape_of(vocabulary: Vocabulary, labels: Sequence[str], hidden: int) -> Shape:
    """The shape of a network: how many places, and which technique each label is."""
    place = {name: number for number, name in enumerate(vocabulary.techniques)}
    kinds, images = len(vocabulary.kinds) + 2, images_of(vocabulary)
    return Shape(kinds, images, len(place), tuple(place[label] for label in labels), hidden=hidden)
