"""The second stage: a filter over the text member's frozen features that can lower its malicious logit, and never raise it.

It is learnt from false positives whose cause analysts named (``connector.learn.training.second_stage``). Where an event
scores like those, its logit is brought towards that of an ordinary benign event, and no further: a step between two
scores, ``cut`` (the filter says nothing) and ``full`` (it is sure), so that near scores have near effects.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.manifest import Part

FILE: Final = "second_stage.json"

Floats = NDArray[np.float64]


class SecondStage(Part, frozen=True):
    """A linear score of the features, in log-odds of malicious against false positive, and what follows from it.

    ``floor`` is the first stage's logit of an ordinary benign event.
    """

    weights: tuple[float, ...]
    bias: float
    cut: float
    full: float
    floor: float

    def scores(self, embeddings: NDArray[np.floating]) -> Floats:
        """The filter's scores (n,) of features (n, d)."""
        found: Floats = embeddings.astype(np.float64) @ np.array(self.weights) + self.bias
        return found

    def lowered(self, embeddings: NDArray[np.floating], logits: Floats) -> Floats:
        """The first stage's raw malicious logits (n,) after the filter; none is higher than it was."""
        share = np.clip((self.cut - self.scores(embeddings)) / (self.cut - self.full), 0.0, 1.0)
        found: Floats = np.minimum(logits, logits - share * np.maximum(logits - self.floor, 0.0))
        return found

    def write(self, folder: Path) -> None:
        """Writes it into a text member's folder, before the bundle is calibrated and sealed."""
        (folder / FILE).write_bytes(msgspec.json.encode(self) + b"\n")


def read(folder: Path) -> SecondStage | None:
    """The second stage of a text member's folder, None where it has none. Raises ``ConfigError`` for a file that is none."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=SecondStage)
    except (OSError, RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is no second stage: {error}") from error
    numbers = (*found.weights, found.bias, found.cut, found.full, found.floor)
    if not found.weights or not all(map(math.isfinite, numbers)) or not found.full < found.cut:
        raise ConfigError(f"{path} is no second stage: its numbers are not finite, or `full` is not below `cut`")
    return found
