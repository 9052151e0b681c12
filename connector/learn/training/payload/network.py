"""The networks: convolutions beside a table of short runs of bytes, several of them averaged into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

BYTES: Final = 257
"""A byte is its value and one; 0 is padding."""

EMBEDDED, FIRST, SECOND = 12, 48, 64
RUN: Final = 3
"""The longest run of bytes that has a weight of its own."""

BUCKETS: Final = 8191
"""Rows of the table of runs: a prime, so that the rest of a division spreads them."""

_LOW: Final = -1e4


class Convolutions(nn.Module):  # type: ignore[misc]
    """Bytes, two convolutions, and the strongest answer of each filter wherever it stands: logits (n, columns).

    What stands behind the end of a window is zero before each convolution and is no candidate for the strongest answer,
    so that a score does not depend on what it is batched with.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, EMBEDDED, padding_idx=0)
        self.first = nn.Conv1d(EMBEDDED, FIRST, 5, padding=2)
        self.second = nn.Conv1d(FIRST, SECOND, 5, padding=4, dilation=2)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(FIRST + SECOND, columns)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The logits of windows (n, bytes); ``mask`` is 1 where there is a byte."""
        there = mask.unsqueeze(1).to(torch.float32)
        nowhere = (1.0 - there) * _LOW
        first = torch.relu(self.first(self.embedding(ids).transpose(1, 2) * there)) * there
        second = torch.relu(self.second(first)) * there
        features = torch.cat([(first + nowhere).amax(2), (second + nowhere).amax(2)], 1)
        return self.head(self.dropout(features))


class Runs(nn.Module):  # type: ignore[misc]
    """A linear model over runs of one to three bytes, by the rest of a division: logits (n, columns).

    Each byte counts by itself, with the one before it, and between its two neighbours; the beginning and the end of a
    window are neighbours too, so a short word by itself differs from the same letters within a longer one. Source: Cheng
    et al., Wide & deep learning for recommender systems, 2016.
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.weights = nn.Embedding(BUCKETS, columns)
        nn.init.zeros_(self.weights.weight)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The sum of a window's runs, by the root of how many there are."""
        edge = torch.zeros_like(ids[:, :1])
        beside = torch.cat([edge, ids, edge], 1)
        two = beside[:, :-2] * BYTES + ids
        runs = torch.cat([ids, two, two * BYTES + beside[:, 2:]], 1) % BUCKETS
        there = torch.cat([mask] * RUN, 1).to(torch.float32).unsqueeze(2)
        return (self.weights(runs) * there).sum(1) / there.sum(1).clamp(min=1.0).sqrt()


class ByteNetwork(nn.Module):  # type: ignore[misc]
    """Logits of ``kinds`` (n, kinds) and ``malicious`` (n,) of windows (n, bytes)."""

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.deep = nn.ModuleList([Convolutions(kinds + 1)])
        self.wide = Runs(kinds + 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Both heads' logits; ``attention_mask`` is 1 where there is a byte."""
        deep = [part(input_ids, attention_mask) for part in self.deep]
        logits = torch.stack(deep).mean(0) + self.wide(input_ids, attention_mask)
        return logits[:, :-1], logits[:, -1]


def averaged(networks: Sequence[ByteNetwork]) -> ByteNetwork:
    """One network that says the mean of the logits of several; their linear parts are one table."""
    made = ByteNetwork(networks[0].wide.weights.embedding_dim - 1)
    made.deep = nn.ModuleList([part for network in networks for part in network.deep])
    with torch.no_grad():
        made.wide.weights.weight.copy_(torch.stack([network.wide.weights.weight for network in networks]).mean(0))
    made.eval()
    return made
