"""The attack reference of a bundle: the text member's own scores of attack events that the weights never saw.

A site layer is learnt where there are no corpora. These rows are what it tells the site's ordinary events from. A row is
the technique probabilities and the malicious logit, as float16; no text and no label is in it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.site import features
from connector.types import Scores

FILE = "attack_reference.bin"
MOST = 2_000
"""Rows: a megabyte for 240 labels, and enough for as many weights."""

_NUMBER = np.dtype("<f2")


def write(directory: Path, scores: Scores) -> int:
    """Writes the rows that the member has a view of, every so many-th where there are too many. Returns how many."""
    rows = features(scores)
    rows = rows[~np.isnan(rows).any(axis=1)]
    rows = rows[:: max(-(-len(rows) // MOST), 1)]
    (directory / FILE).write_bytes(rows.astype(_NUMBER).tobytes())
    return len(rows)


def read(directory: Path, labels: int) -> NDArray[np.float64] | None:
    """The rows (n, labels + 1), or None where the bundle has none. Raises ``ConfigError`` for a file that holds no such rows."""
    path = directory / FILE
    if not path.is_file():
        return None
    numbers = np.frombuffer(path.read_bytes(), _NUMBER).astype(np.float64)
    if not len(numbers) or len(numbers) % (labels + 1) or not np.isfinite(numbers).all():
        raise ConfigError(f"{path} does not hold rows of {labels + 1} finite numbers")
    return numbers.reshape(-1, labels + 1)
