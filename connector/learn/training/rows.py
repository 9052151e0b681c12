"""Rows as the Trainer reads them: tokenised on the fly, with some fields left out so that none is leant upon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from connector.learn.training.labels import Floats, Targets
from connector.learn.training.mutants import Mutants
from connector.models.graph import spelling

FIELD = " | "
KEPT_FIELDS = 2
DROPPED_ROWS, DROPPED_FIELDS = 0.4, 0.3


class TextRows(Dataset[Mapping[str, Any]]):  # type: ignore[misc]
    """Texts with targets, as they are: what a network is tried on."""

    def __init__(
        self, texts: Sequence[str], targets: Targets, tokenizer: Tokenizer, share: Floats, letters: int = 0
    ) -> None:
        self.texts, self.targets, self.tokenizer, self.share = texts, targets, tokenizer, share
        self.letters = letters

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        return self.item(index, self.texts[index])

    def item(self, index: int, text: str) -> Mapping[str, Any]:
        """The row with this text; letters where the network reads any."""
        spelt = {"letters": spelling(text, self.letters)} if self.letters else {}
        return {
            **spelt,
            "input_ids": self.tokenizer.encode(text).ids,
            "techniques": self.targets.techniques[index],
            "malicious": self.targets.malicious[index],
            "weight": self.targets.weight[index],
            "share": self.share[index],
        }


class ThinnedRows(TextRows):
    """Rows to learn from: each pass drops other fields, drawn from seed, pass and row, so that a resumed run draws the same.

    ``places`` are the rows of one pass, in which a row may stand several times; ``mutants`` writes some commands otherwise.
    """

    def __init__(self, rows: TextRows, places: NDArray[np.intp], seed: int, mutants: Mutants | None = None) -> None:
        super().__init__(rows.texts, rows.targets, rows.tokenizer, rows.share, rows.letters)
        self.places, self.seed, self.epoch, self.mutants = places, seed, 0, mutants

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        place = int(self.places[index])
        told, written = f"{self.seed} {self.epoch} {index}", None
        if self.mutants is not None:
            written = self.mutants.drawn(place, Random(f"{told} written"))  # noqa: S311
        return self.item(place, thinned(written or self.texts[place], Random(told)))  # noqa: S311

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
    ids, mask = padded([item["input_ids"] for item in items])
    spelt = padded([item["letters"] for item in items]) if "letters" in items[0] else ()
    stacked = {
        name: torch.from_numpy(np.stack([item[name] for item in items]))
        for name in ("techniques", "malicious", "weight", "share")
    }
    return {
        "input_ids": ids,
        "attention_mask": mask,
        **dict(zip(("letters", "letters_mask"), spelt, strict=False)),
        **stacked,
    }


def padded(rows: Sequence[Sequence[int] | NDArray[np.int64]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (n, longest) and their mask."""
    parts = [torch.as_tensor(row) for row in rows]
    return pad_sequence(parts, batch_first=True), pad_sequence(
        [torch.ones_like(part) for part in parts], batch_first=True
    )
