"""The bags of the network: hashed n-grams of tokens, or of letters; of a whole text, or of the stretch of it that says most.

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

    def strongest(self, input_ids: Tensor, attention_mask: Tensor, direction: Tensor, window: int) -> Tensor:
        """(n, tokens) ids → (n, width): the same sum over the ``window`` tokens that say most along ``direction`` (1, width).

        Where the whole text says more, or is no longer, it is that of the whole text. So words beside what tells do not
        dilute it. Source: max-pooling over instances, Dietterich et al., Solving the multiple instance problem, 1997.
        """
        mask = attention_mask.to(self.table.weight.dtype)
        ends = self._ends(input_ids, mask)
        said = (ends * direction).sum(-1)
        upto = said.cumsum(1)
        length = upto.shape[1]
        stretches = (upto - nn.functional.pad(upto, (window, 0))[:, :length]) * window**-0.5
        places = torch.arange(length, device=upto.device)
        full = attention_mask * (places >= window - 1)
        most, last = torch.where(full > 0, stretches, torch.full_like(stretches, -torch.inf)).max(1, keepdim=True)
        share = mask / mask.sum(1, keepdim=True).clamp(min=1.0).sqrt()
        inside = ((places <= last) & (places > last - window)).to(share.dtype) * window**-0.5
        share = torch.where(most > (said * share).sum(1, keepdim=True), inside, share)
        return (ends * share.unsqueeze(-1)).sum(1)

    def _ends(self, input_ids: Tensor, mask: Tensor) -> Tensor:
        """(n, tokens, width): the n-grams that end with each token."""
        hashed = input_ids
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        found = []
        for more in range(self.grams):
            if more:
                hashed = (hashed.roll(1, 1) * _MULTIPLIER + input_ids + more) % _MODULUS
            if more + 1 >= self.least:
                whole = mask * (places >= more)
                found.append(self.table(hashed % self.buckets) * whole.unsqueeze(-1))
        return torch.stack(found).sum(0)
