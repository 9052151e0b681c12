"""The technique heads once more, over features that are held fast: one softmax over parents, mixed into what the halves learnt apart.

Each half learns every technique against all others, and rare ones drown; over the same features one head for both halves, in
which parents compete, ranks rare ones higher at no cost to the others (docs/model.md). All heads are linear, so mixing logits
is mixing weights: what serves does not change. Source: Kang et al., Decoupling Representation and Classifier for Long-Tailed
Recognition, arXiv:1910.09217.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

from connector.learn.training.labels import Floats, Targets, parent_of
from connector.learn.training.model import TextModel

PENALTY: Final = 3e-4
"""Of the squared weights. Chosen by dev rows among 1e-6 to 3e-3, with a share of 0.6."""

STEPS: Final = 150


def refit(  # noqa: PLR0917  (one caller)
    model: TextModel, features: Floats, goal: Targets, labels: Sequence[str], weight: Floats, share: float
) -> None:
    """Mixes a ``share`` of a softmax over parents into the heads; ``features`` (n, d) are what the network says of the n rows.

    ``weight`` (n,) is that of each row. Sub-techniques move as their parents do, since a parent is served as no less
    probable than they are. The mean of a row's logits over parents stays: a softmax does not know it, and calibration goes by it.
    """
    wanted = np.nan_to_num(goal.techniques[:, goal.parents])
    named = wanted.sum(1) > 0
    if not named.any():
        return
    heads, columns = model.readers(), np.flatnonzero(goal.parents).tolist()
    place = {labels[column]: number for number, column in enumerate(columns)}
    moved = [column for column, name in enumerate(labels) if parent_of(name) in place]
    by = [place[parent_of(labels[column])] for column in moved]
    read = torch.cat([torch.from_numpy(features[named, part]) for _, part in heads], dim=1)
    right = torch.from_numpy(wanted[named] / wanted[named].sum(1, keepdims=True))
    counts = torch.from_numpy(weight[named] / max(float(weight[named].sum()), 1e-12))
    weights, bias = softmax(read, right, counts)
    with torch.no_grad():
        for (head, _), own in zip(heads, weights.split([head.in_features for head, _ in heads]), strict=True):
            head.weight[moved] += share * _level(own.T, head.weight[columns])[by]
        said = torch.stack([head.bias[columns] for head, _ in heads]).sum(0)
        heads[0][0].bias[moved] += share * _level(bias, said)[by]


def _level(new: Tensor, old: Tensor) -> Tensor:
    """What leads from the old to the new, brought to the old one's mean over techniques."""
    step = new - old
    return step - step.mean(0)


def softmax(read: Tensor, right: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (d, techniques) and bias of the softmax that fits best, from zero.

    ``read`` (n, d) are features, ``right`` (n, techniques) what is right of each row in shares, ``weight`` (n,) sums to 1.
    """
    weights = torch.zeros(read.shape[1], right.shape[1], requires_grad=True)
    bias = torch.zeros(right.shape[1], requires_grad=True)

    def loss() -> Tensor:
        return missed(read @ weights + bias, right, weight) + PENALTY * weights.square().sum()

    minimise([weights, bias], loss)
    return weights.detach(), bias.detach()


def missed(logits: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """The cross-entropy of a softmax over techniques."""
    return -(torch.log_softmax(logits, 1) * right).sum(1) @ weight


def minimise(parameters: Sequence[Tensor], loss: Callable[[], Tensor]) -> None:
    """Changes the parameters to where the loss is least, by L-BFGS."""
    steps = torch.optim.LBFGS(parameters, max_iter=STEPS, line_search_fn="strong_wolfe")

    def found() -> Tensor:
        steps.zero_grad()
        value = loss()
        value.backward()
        return value

    steps.step(found)
