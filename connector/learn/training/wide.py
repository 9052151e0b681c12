"""The wide half of the network: a bag of hashed token n-grams beside the encoder.

An encoder of general English needs many passes to learn that ``comsvcs`` or ``-urlcache`` mean something; a bag learns
it from a handful of rows. Source: Cheng et al., Wide & Deep Learning, arXiv:1606.07792; Joulin et al., Bag of Tricks for
Efficient Text Classification, arXiv:1607.01759.
"""

from __future__ import annotations

from torch import Tensor, nn

_MULTIPLIER = 92_821
"""Spreads pairs over the buckets; part of the exported graph, so a bundle never depends on this value later."""


class Bag(nn.Module):  # type: ignore[misc]
    """The sum of the embeddings of tokens and of neighbouring pairs, over the square root of their number."""

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.table = nn.Embedding(buckets, width)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(n, tokens) ids → (n, width)."""
        mask = attention_mask.unsqueeze(-1).to(self.table.weight.dtype)
        pairs = (input_ids[:, :-1] * _MULTIPLIER + input_ids[:, 1:]) % self.buckets
        single = (self.table(input_ids % self.buckets) * mask).sum(1)
        double = (self.table(pairs) * mask[:, 1:]).sum(1)
        return (single + double) / mask.sum(1).clamp(min=1.0).sqrt()
