"""The text member's network: a bag of token n-grams, a Hugging Face encoder with mean pooling beside it, and two heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from connector.errors import ConfigError
from connector.learn.training.wide import Bag


class Shape(msgspec.Struct, frozen=True):
    """The network's sizes beside the encoder's own: each bag's buckets, width and longest n-gram, and dropout before the heads."""

    buckets: int = 131_072
    bag_width: int = 64
    grams: int = 2
    dropout: float = 0.1


class TextModel(nn.Module):  # type: ignore[misc]
    """Logits of techniques (n, labels) and of maliciousness (n,) from token ids (n, tokens).

    Each head has a bag of its own: techniques are learnt long and fast, malice slowly, or a few strange harmless rows outbid
    every attack. Wide and deep logits are added. The deep heads start at zero, so that fine-tuning begins from what the bag knows;
    ``deep`` off leaves the encoder out. Without an encoder there is the bag alone.
    """

    def __init__(self, encoder: Any, labels: int, positive_weights: Tensor, shape: Shape) -> None:
        super().__init__()
        self.deep = False
        self.bag = Bag(shape.buckets, shape.bag_width, shape.grams)
        self.votes = Bag(shape.buckets, shape.bag_width, shape.grams)
        self.dropout = nn.Dropout(shape.dropout)
        self.wide_techniques = nn.Linear(shape.bag_width, labels)
        self.wide_malicious = nn.Linear(shape.bag_width, 1)
        self.encoder = encoder
        if encoder is not None:
            width = int(encoder.config.hidden_size)
            self.techniques, self.malicious = nn.Linear(width, labels), nn.Linear(width, 1)
            for head in (self.techniques, self.malicious):
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)
        self.register_buffer("positive_weights", positive_weights, persistent=False)

    def deepen(self) -> None:
        """Puts the deep half on and holds the wide one fast: the encoder learns what the bag leaves open."""
        self.deep = True
        for part in (self.bag, self.votes, self.wide_techniques, self.wide_malicious):
            part.requires_grad_(False)

    def logits(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The two heads: over the bag, and over the mean of the tokens' last states where the deep half is on."""
        found, bad, _ = self.read(input_ids, attention_mask)
        return found, bad

    def read(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of both heads, and the features (n, d) that they read."""
        bag, votes = (self.dropout(part(input_ids, attention_mask)) for part in (self.bag, self.votes))
        found, bad, features = self.wide_techniques(bag), self.wide_malicious(votes), torch.cat([bag, votes], dim=1)
        if self.deep:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask.unsqueeze(-1).to(states.dtype)
            pooled = self.dropout((states * mask).sum(1) / mask.sum(1).clamp(min=1.0))
            found, bad = found + self.techniques(pooled), bad + self.malicious(pooled)
            features = torch.cat([features, pooled], dim=1)
        return found, bad.squeeze(-1), features

    def forward(  # noqa: PLR0917  (a Trainer gives every column by its name)
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        techniques: Tensor | None = None,
        malicious: Tensor | None = None,
        weight: Tensor | None = None,
        share: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Logits, and the loss where targets are given: what a Trainer calls."""
        found, bad = self.logits(input_ids, attention_mask)
        result = {"techniques_logits": found, "malicious_logits": bad}
        if techniques is not None and malicious is not None and weight is not None and share is not None:
            loss = self._technique_loss(found, techniques, share) + 2.0 * _malicious_loss(bad, malicious, weight)
            result = {"loss": loss, **result}
        return result

    def _technique_loss(self, found: Tensor, techniques: Tensor, share: Tensor) -> Tensor:
        """Weighted BCE over the known cells, and cross-entropy that ranks a row's techniques first."""
        known = ~torch.isnan(techniques)
        wanted = torch.nan_to_num(techniques)
        cells = nn.functional.binary_cross_entropy_with_logits(
            found, wanted, pos_weight=self.positive_weights, reduction="none"
        )
        rows = known.any(1).to(share.dtype) * share
        right = wanted / wanted.sum(1, keepdim=True).clamp(min=1.0)
        ranking = -(right * torch.log_softmax(found.masked_fill(~known, -1e4), dim=1)).sum(1)
        return (((cells * known).sum(1) / 4.0 + ranking) * rows).sum() / rows.sum().clamp(min=1.0)


def _malicious_loss(bad: Tensor, malicious: Tensor, weight: Tensor) -> Tensor:
    said = (~torch.isnan(malicious)).to(weight.dtype) * weight
    votes = nn.functional.binary_cross_entropy_with_logits(bad, torch.nan_to_num(malicious), reduction="none")
    return (votes * said).sum() / said.sum().clamp(min=1.0)


def check_base(base: Path) -> None:
    """Raises ``ConfigError`` where a folder holds no Hugging Face model with a fast tokenizer."""
    for name in ("config.json", "tokenizer.json"):
        if not (base / name).is_file():
            raise ConfigError(f"{base} is no Hugging Face model folder: {name} is missing")


def load_tokenizer(base: Path) -> Tokenizer:
    """A local model's tokenizer, without padding. Raises ``ConfigError`` where there is none."""
    check_base(base)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    return tokenizer


def load_encoder(base: Path, layers: Sequence[int] | None) -> Any:
    """A local Hugging Face encoder, cut down to the layers named. Raises ``ConfigError`` where a layer is not there."""
    check_base(base)
    encoder = AutoModel.from_pretrained(base, attn_implementation="eager", local_files_only=True)
    if layers is None:
        return encoder
    holder = getattr(encoder, "encoder", None) or getattr(encoder, "transformer", None)
    if holder is None or not hasattr(holder, "layer"):
        raise ConfigError(f"layers of a {encoder.config.model_type} cannot be selected; leave the option out")
    if not layers or max(layers) >= len(holder.layer) or min(layers) < 0:
        raise ConfigError(f"layers {list(layers)} are not among the {len(holder.layer)} of {base}")
    holder.layer = nn.ModuleList([holder.layer[index] for index in layers])
    for name in ("num_hidden_layers", "n_layers"):
        if name in encoder.config.to_dict():
            setattr(encoder.config, name, len(layers))
    return encoder
