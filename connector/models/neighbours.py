"""Labelled examples that a bundle carries, and which of them an event is most like.

``examples.json`` holds the rows, ``examples.bin`` one vector of int8 a row: the text member's features less their mean,
scaled to length 127, so that a product of two is close to 127² times their cosine. Both files are optional.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError

ROWS: Final = "examples.json"
VECTORS: Final = "examples.bin"
LONGEST: Final = 160
"""Characters of a row's text that are kept."""

_SCALE: Final = 127.0


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """One labelled row. ``text`` is the beginning of its model text; ``record`` names its place in the source."""

    techniques: tuple[str, ...]
    malicious: bool | None
    source: str
    record: str
    text: str


class Like(msgspec.Struct, frozen=True):
    """An example, and the cosine of its features with the event's."""

    example: Example
    cosine: float


class _File(msgspec.Struct, frozen=True, kw_only=True):
    mean: tuple[float, ...]
    examples: tuple[Example, ...]


class Examples:
    """The rows and their vectors, (n, d) int8."""

    def __init__(self, examples: Sequence[Example], vectors: NDArray[np.int8], mean: NDArray[np.float32]) -> None:
        self._examples = tuple(examples)
        self._vectors = vectors.astype(np.float32) / _SCALE
        self._mean = mean

    def __len__(self) -> int:
        return len(self._examples)

    @property
    def rows(self) -> tuple[Example, ...]:
        """The examples themselves."""
        return self._examples

    def like(self, features: NDArray[np.floating], count: int = 3) -> tuple[Like, ...]:
        """The nearest examples of features (d,), nearest first; of several with one text the first.

        Raises ``ConfigError`` where the features are not the text member's.
        """
        if features.shape != self._mean.shape:
            raise ConfigError(f"features of shape {features.shape} do not fit examples of {self._mean.shape}")
        cosines = self._vectors @ unit(features.astype(np.float32) - self._mean)
        found: dict[str, Like] = {}
        for place in np.argsort(-cosines, kind="stable"):
            example = self._examples[place]
            found.setdefault(example.text, Like(example, round(float(cosines[place]), 3)))
            if len(found) == count:
                break
        return tuple(found.values())


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors (…, d) at length 1; one without length stays as it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), np.float32)


def write(directory: Path, features: NDArray[np.floating], examples: Sequence[Example]) -> None:
    """Writes both files for features (n, d) of n examples. The same rows give the same bytes."""
    mean = features.astype(np.float32).mean(axis=0)
    vectors = np.rint(unit(features.astype(np.float32) - mean) * _SCALE).astype(np.int8)
    (directory / VECTORS).write_bytes(vectors.tobytes())
    rows = _File(mean=tuple(round(float(value), 6) for value in mean), examples=tuple(examples))
    (directory / ROWS).write_bytes(msgspec.json.encode(rows) + b"\n")


def read(directory: Path) -> Examples | None:
    """A bundle's examples; None where it has none. Raises ``ConfigError`` where the files do not fit each other."""
    path = directory / ROWS
    if not path.is_file():
        return None
    try:
        rows = msgspec.json.decode(path.read_bytes(), type=_File)
        data = np.frombuffer((directory / VECTORS).read_bytes(), np.int8)
        vectors = data.reshape(len(rows.examples), len(rows.mean))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: no examples that fit {VECTORS}: {error}") from error
    return Examples(rows.examples, vectors, np.asarray(rows.mean, np.float32))
