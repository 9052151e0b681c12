"""The text member's network: bags of word pieces and of letters, a Hugging Face encoder with mean pooling beside them, and two heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from connector.errors import ConfigError
from connector.learn.training.wide import Bag


class Shape(msgspec.Struct, frozen=True):
    """The network's sizes beside the encoder's own.

    Of the word pieces: each bag's buckets, width and longest n-gram. ``letters`` are the bytes that the letters' bags read of a
    text, 0 for none; these have ``letter_buckets`` of n-grams of :data:`LETTER_GRAMS`. ``dropout`` is before the heads.
    """

    buckets: int = 131_072
    bag_width: int = 64
    grams: int = 2
    letters: int = 1024
    letter_buckets: int = 262_144
    dropout: float = 0.1


LETTER_GRAMS = (3, 5)
"""The shortest and the longest n-gram of letters."""

VOTES_WIDTH = 16
"""Width of the letters' bag for malice while it is learnt: one logit needs few dimensions, and the table is large."""

PIECES, LETTERS = "pieces", "letters"


class Half(nn.Module):  # type: ignore[misc]
    """Two bags and a head over each. Malice is read from the whole text, or once it is learnt from a ``window`` of it.

    Techniques are learnt long and fast, malice slowly, or a few strange harmless rows outbid every attack.
    """

    def __init__(self, bag: Bag, votes: Bag, labels: int, dropout: float) -> None:
        super().__init__()
        self.window, self.direction = 0, torch.zeros(1, votes.table.embedding_dim)
        self.bag, self.votes, self.dropout = bag, votes, nn.Dropout(dropout)
        self.techniques = nn.Linear(bag.table.embedding_dim, labels)
        self.malicious = nn.Linear(votes.table.embedding_dim, 1)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of techniques (n, labels) and of malice (n, 1), and the features that they are read from."""
        votes = self.votes.strongest(ids, mask, self.direction, self.window) if self.window else self.votes(ids, mask)
        bag, votes = self.dropout(self.bag(ids, mask)), self.dropout(votes)
        return self.techniques(bag), self.malicious(votes), torch.cat([bag, votes], dim=1)

    def finish(self, window: int) -> None:
        """Ends learning: malice is read from the ``window`` tokens in a row that say most; 0 for the whole text."""
        self.window, self.direction = window, nn.functional.normalize(self.malicious.weight.detach())

    def narrow(self) -> None:
        """Brings the bag for malice, once it is learnt, to the one column that its head reads. The logits stay the same."""
        weight, table = self.malicious.weight.detach(), self.votes.table.weight.detach()
        self.votes.table = nn.Embedding.from_pretrained(table @ nn.functional.normalize(weight).T)
        self.malicious.weight = nn.Parameter(weight.norm().reshape(1, 1))
        self.direction = torch.ones(1, 1)


class Read(NamedTuple):
    """A batch of n texts: word pieces and their mask (n, tokens), letters and theirs (n, bytes)."""

    input_ids: Tensor
    attention_mask: Tensor
    letters: Tensor | None = None
    letters_mask: Tensor | None = None


class TextModel(nn.Module):  # type: ignore[misc]
    """Logits of techniques (n, labels) and of maliciousness (n,) from word pieces and letters.

    The logits of the halves that are ``on`` are added. Each half is learnt by itself (``learning``), so that they err apart.
    The deep heads start at zero, so that fine-tuning begins from what the bags know; ``deep`` off leaves the encoder out.
    Without an encoder there are the bags alone.
    """

    def __init__(self, encoder: Any, labels: int, positive_weights: Tensor, shape: Shape) -> None:
        super().__init__()
        self.deep = False
        self.on: tuple[str, ...] = (PIECES,)
        self.learning = PIECES
        bag, votes = (Bag(shape.buckets, shape.bag_width, shape.grams) for _ in range(2))
        self.halves = nn.ModuleDict({PIECES: Half(bag, votes, labels, shape.dropout)})
        if shape.letters:
            least, most = LETTER_GRAMS
            bag, votes = (Bag(shape.letter_buckets, width, most, least) for width in (shape.bag_width, VOTES_WIDTH))
            self.halves[LETTERS] = Half(bag, votes, labels, shape.dropout)
        self.dropout = nn.Dropout(shape.dropout)
        self.encoder = encoder
        if encoder is not None:
            width = int(encoder.config.hidden_size)
            self.techniques, self.malicious = nn.Linear(width, labels), nn.Linear(width, 1)
            for head in (self.techniques, self.malicious):
                nn.init.zeros_(head.weight)
                nn.init.zeros_(head.bias)
        self.register_buffer("positive_weights", positive_weights, persistent=False)

    def spell(self) -> None:
        """Puts the letters on, and learns them alone."""
        self.on, self.learning = (PIECES, LETTERS), LETTERS

    def deepen(self) -> None:
        """Puts the deep half on and holds the bags fast: the encoder learns what they leave open."""
        self.deep = True
        self.halves.requires_grad_(False)

    def finish(self, window: int, letter_window: int) -> TextModel:
        """Ends learning. Malice is read from so many word pieces and letters in a row, or, where it is 0, from the whole text."""
        for name, size in ((PIECES, window), (LETTERS, letter_window)):
            if name in self.halves:
                self.halves[name].finish(size)
        self.eval()
        return self

    def readers(self) -> list[tuple[nn.Linear, slice]]:
        """The heads for techniques, each with the columns of the features that it reads."""
        found, start = [], 0
        for half in (self.halves[name] for name in self.on):
            found.append((half.techniques, slice(start, start + half.techniques.in_features)))
            start += half.techniques.in_features + half.malicious.in_features
        if self.deep:
            found.append((self.techniques, slice(start, start + self.techniques.in_features)))
        return found

    def logits(self, batch: Read) -> tuple[Tensor, Tensor]:
        """The sum of the heads over the halves that are on, and over the mean of the tokens' last states where deep is on."""
        found, bad, _ = self.read(batch)
        return found, bad

    def read(self, batch: Read) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of both heads, and the features (n, d) that they read."""
        alone = self.training and not self.deep
        parts = [self._half(name, batch) for name in ((self.learning,) if alone else self.on)]
        if self.deep:
            parts.append(self._deep(batch))
        found, bad, features = zip(*parts, strict=True)
        return torch.stack(found).sum(0), torch.stack(bad).sum(0).squeeze(-1), torch.cat(features, dim=1)

    def _half(self, name: str, batch: Read) -> tuple[Tensor, Tensor, Tensor]:
        seen: tuple[Tensor, Tensor, Tensor] = self.halves[name](*(batch[2:] if name == LETTERS else batch[:2]))
        return seen

    def _deep(self, batch: Read) -> tuple[Tensor, Tensor, Tensor]:
        states = self.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
        mask = batch.attention_mask.unsqueeze(-1).to(states.dtype)
        pooled = self.dropout((states * mask).sum(1) / mask.sum(1).clamp(min=1.0))
        return self.techniques(pooled), self.malicious(pooled), pooled

    def forward(  # noqa: PLR0917  (a Trainer gives every column by its name)
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        letters: Tensor | None = None,
        letters_mask: Tensor | None = None,
        techniques: Tensor | None = None,
        malicious: Tensor | None = None,
        weight: Tensor | None = None,
        share: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Logits, and the loss where targets are given: what a Trainer calls."""
        found, bad = self.logits(Read(input_ids, attention_mask, letters, letters_mask))
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
