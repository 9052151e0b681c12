"""Rows as the Trainer reads them: tokenised on the fly, with some fields left out so that none is leant upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.utils.data import Dataset

from connector.learn.training.labels import Floats, Targets

FIELD = " | "
KEPT_FIELDS = 2
DROPPED_ROWS, DROPPED_FIELDS = 0.4, 0.3


class TextRows(Dataset[Mapping[str, Any]]):  # type: ignore[misc]
    """Texts with targets, as they are: what a network is tried on."""

    def __init__(self, texts: Sequence[str], targets: Targets, tokenizer: Tokenizer, share: Floats) -> None:
        self.texts, self.targets, self.tokenizer, self.share = texts, targets, tokenizer, share

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.item(index, self.texts[index])

    def item(self, index: int, text: str) -> Mapping[str, Any]:
        """The row with this text."""
        return {
            "input_ids": self.tokenizer.encode(text).ids,
            "techniques": self.targets.techniques[index],
            "malicious": self.targets.malicious[index],
            "weight": self.targets.weight[index],
            "share": self.share[index],
        }


class ThinnedRows(TextRows):
    """Rows to learn from: each pass drops other fields, drawn from seed, pass and row, so that a resumed run draws the same.

    ``places`` are the rows of one pass, in which a row may stand several times.
    """

    def __init__(self, rows: TextRows, places: NDArray[np.intp], seed: int) -> None:
        super().__init__(rows.texts, rows.targets, rows.tokenizer, rows.share)
        self.places, self.seed, self.epoch = places, seed, 0

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        place = int(self.places[index])
        return self.item(place, thinned(self.texts[place], Random(f"{self.seed} {self.epoch} {index}")))  # noqa: S311

    def lengths(self, most: int) -> list[int]:
        """Characters of each row, cut at ``most``: what rows of like length are found by."""
        return [min(len(self.texts[place]), most) for place in self.places]


def thinned(text: str, draw: Random) -> str:
    """The text, in some draws without some of its fields; what kind of event it is and its subject stay."""
    fields = text.split(FIELD)
    if len(fields) <= KEPT_FIELDS + 1 or draw.random() > DROPPED_ROWS:
        return text
    rest = [field for field in fields[KEPT_FIELDS:] if field.startswith("command ") or draw.random() > DROPPED_FIELDS]
    return FIELD.join([*fields[:KEPT_FIELDS], *rest])


def collate(items: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """A batch padded to its longest row."""
    longest = max(len(item["input_ids"]) for item in items)
    ids = torch.zeros((len(items), longest), dtype=torch.long)
    mask = torch.zeros((len(items), longest), dtype=torch.long)
    for number, item in enumerate(items):
        tokens = item["input_ids"]
        ids[number, : len(tokens)] = torch.tensor(tokens)
        mask[number, : len(tokens)] = 1
    stacked = {
        name: torch.from_numpy(np.stack([item[name] for item in items]))
        for name in ("techniques", "malicious", "weight", "share")
    }
    return {"input_ids": ids, "attention_mask": mask, **stacked}
