"""The network: bytes, two convolutions, the strongest answer of each filter wherever it stands, and two heads."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

BYTES: Final = 257
"""A byte is its value and one; 0 is padding."""

EMBEDDED, FIRST, SECOND = 12, 48, 64
_LOW: Final = -1e4


class ByteNetwork(nn.Module):  # type: ignore[misc]
    """Logits of ``kinds`` (n, kinds) and ``malicious`` (n,) of windows (n, bytes).

    What stands behind the end of a window is zero before each convolution and is no candidate for the strongest answer,
    so that a score does not depend on what it is batched with.
    """

    def __init__(self, kinds: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, EMBEDDED, padding_idx=0)
        self.first = nn.Conv1d(EMBEDDED, FIRST, 5, padding=2)
        self.second = nn.Conv1d(FIRST, SECOND, 5, padding=4, dilation=2)
        self.dropout = nn.Dropout(0.2)
        self.kinds = nn.Linear(FIRST + SECOND, kinds)
        self.malicious = nn.Linear(FIRST + SECOND, 1)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """Both heads' logits; ``attention_mask`` is 1 where there is a byte."""
        there = attention_mask.unsqueeze(1).to(torch.float32)
        nowhere = (1.0 - there) * _LOW
        first = torch.relu(self.first(self.embedding(input_ids).transpose(1, 2) * there)) * there
        second = torch.relu(self.second(first)) * there
        features = torch.cat([(first + nowhere).amax(2), (second + nowhere).amax(2)], 1)
        features = self.dropout(features)
        return self.kinds(features), self.malicious(features).squeeze(1)
