"""The second stage: a filter over the text member's frozen features that can lower its malicious logit, and never raise it.

It is learnt from false positives whose cause analysts named (``connector.learn.training.second_stage``). Each is a
prototype with a reach of its own, which ends where the nearest attack stands. Within it an event's logit is brought
towards that of an ordinary benign event, and no further, the more the nearer it is. An event in nobody's reach keeps its logit.

Source of prototypes whose reach ends at the nearest example of the other class: Reilly, Cooper, Elbaum, A neural model
for category learning, 1982.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.manifest import Part

FILE: Final = "second_stage.json"
_AT_ONCE: Final = 4_096
_TINY: Final = 1e-9

Floats = NDArray[np.float64]


class SecondStage(msgspec.Struct, frozen=True, eq=False):
    """Prototypes (k, d) of length 1, around ``mean`` (d,), and the cosine from which each has a say, ``reach`` (k,), below 1.

    ``floor`` is the first stage's raw logit of an ordinary benign event.
    """

    mean: Floats
    prototypes: Floats
    reach: Floats
    floor: float

    def lowered(self, embeddings: NDArray[np.floating], logits: Floats) -> Floats:
        """The raw malicious logits (n,) of features (n, d), after the filter; none is higher than the first stage's."""
        parts = [self._shares(embeddings[start : start + _AT_ONCE]) for start in range(0, len(logits), _AT_ONCE)]
        share = np.concatenate([np.empty(0), *parts])
        found: Floats = np.minimum(logits, logits - share * np.maximum(logits - self.floor, 0.0))
        return found

    def write(self, folder: Path) -> None:
        """Writes it into a text member's folder, before the bundle is calibrated and sealed."""
        numbers = _Numbers(
            mean=self.mean.tolist(),
            prototypes=self.prototypes.tolist(),
            reach=self.reach.tolist(),
            floor=self.floor,
        )
        (folder / FILE).write_bytes(msgspec.json.encode(numbers) + b"\n")

    def _shares(self, embeddings: NDArray[np.floating]) -> Floats:
        """How much of the way to the floor each event goes, (n,) from 0 to 1."""
        inside = (directions(embeddings, self.mean) @ self.prototypes.T - self.reach) / (1.0 - self.reach)
        found: Floats = np.clip(inside.max(axis=1), 0.0, 1.0)
        return found


class _Numbers(Part, frozen=True):
    mean: Sequence[float]
    prototypes: Sequence[Sequence[float]]
    reach: Sequence[float]
    floor: float


def directions(embeddings: NDArray[np.floating], mean: Floats) -> Floats:
    """Features (n, d) seen from the mean (d,), each of length 1."""
    found: Floats = embeddings.astype(np.float64) - mean
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), _TINY)
    return found


def read(folder: Path, width: int) -> SecondStage | None:
    """The second stage of a text member's folder, whose features are ``width`` numbers; None where it has none.

    Raises ``ConfigError`` for a file that is none, or is one of other features.
    """
    path = folder / FILE
    try:
        numbers = msgspec.json.decode(path.read_bytes(), type=_Numbers)
        found = SecondStage(
            mean=np.array(numbers.mean),
            prototypes=np.array(numbers.prototypes),
            reach=np.array(numbers.reach),
            floor=numbers.floor,
        )
    except FileNotFoundError:
        return None
    except (OSError, RecursionError, ValueError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is no second stage: {error}") from error
    count = len(found.reach)
    shapes = (found.mean.shape, found.prototypes.shape, found.reach.shape)
    if not count or shapes != ((width,), (count, width), (count,)):
        raise ConfigError(f"{path} does not fit the {width} features of the graph beside it")
    if not all(np.isfinite(part).all() for part in (found.mean, found.prototypes, found.reach, found.floor)):
        raise ConfigError(f"{path} is no second stage: its numbers are not finite")
    if not (found.reach < 1.0).all():
        raise ConfigError(f"{path} is no second stage: a reach is not below 1")
    return found
