"""The bags of the network: hashed n-grams of tokens, or of letters.

An encoder of general English needs many passes to learn that ``comsvcs`` or ``-urlcache`` mean something; a bag learns
it from a handful of rows. Source: Cheng et al., Wide & Deep Learning, arXiv:1606.07792; Joulin et al., Bag of Tricks for
Efficient Text Classification, arXiv:1607.01759.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_MULTIPLIER, _MODULUS = 92_821, 2_147_483_647
"""Spread n-grams over the buckets; part of the exported graph, so a bundle never depends on these values later."""


class Bag(nn.Module):  # type: ignore[misc]
    """The sum of the embeddings of all n-grams of ``least`` to ``grams`` tokens, over the square root of the number of tokens."""

    def __init__(self, buckets: int, width: int, grams: int, least: int = 1) -> None:
        super().__init__()
        self.buckets, self.grams, self.least = buckets, grams, least
        self.table = nn.Embedding(buckets, width, sparse=True)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(n, tokens) ids → (n, width)."""
        mask = attention_mask.unsqueeze(-1).to(self.table.weight.dtype)
        hashed = input_ids
        sums = []
        for more in range(self.grams):
            if more:
                hashed = (hashed[:, :-1] * _MULTIPLIER + input_ids[:, more:] + more) % _MODULUS
            if more + 1 >= self.least:
                sums.append((self.table(hashed % self.buckets) * mask[:, more:]).sum(1))
        return torch.stack(sums).sum(0) / mask.sum(1).clamp(min=1.0).sqrt()
