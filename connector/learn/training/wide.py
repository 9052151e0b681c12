"""The bag of the network: hashed n-grams of tokens.

An encoder of general English needs many passes to learn that ``comsvcs`` or ``-urlcache`` mean something; a bag learns
it from a handful of rows. Source: Cheng et al., Wide & Deep Learning, arXiv:1606.07792; Joulin et al., Bag of Tricks for
Efficient Text Classification, arXiv:1607.01759.
"""

from __future__ import annotations

from torch import Tensor, nn

_MULTIPLIER, _MODULUS = 92_821, 2_147_483_647
"""Spread n-grams over the buckets; part of the exported graph, so a bundle never depends on these values later."""


class Bag(nn.Module):  # type: ignore[misc]
    """The sum of the embeddings of all n-grams up to ``grams`` tokens, over the square root of the number of tokens."""

    def __init__(self, buckets: int, width: int, grams: int) -> None:
        super().__init__()
        self.buckets, self.grams = buckets, grams
        self.table = nn.Embedding(buckets, width, sparse=True)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(n, tokens) ids → (n, width)."""
        mask = attention_mask.unsqueeze(-1).to(self.table.weight.dtype)
        hashed = input_ids
        total = (self.table(hashed % self.buckets) * mask).sum(1)
        for more in range(1, self.grams):
            hashed = (hashed[:, :-1] * _MULTIPLIER + input_ids[:, more:] + more) % _MODULUS
            total = total + (self.table(hashed % self.buckets) * mask[:, more:]).sum(1)
        return total / mask.sum(1).clamp(min=1.0).sqrt()
