"""Which fingerprints a bundle was trained on, so that "absent from training" can be tested without the corpora.

The file holds the first eight bytes of each SHA-256 fingerprint, ascending, without separator. With a million rows the
chance that a new fingerprint shares a prefix is 5e-14.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError

FILE = "train_fingerprints.bin"

_PREFIX = np.dtype(">u8")
_HEX = 2 * _PREFIX.itemsize


class TrainFingerprints:
    """The set of training fingerprints, by prefix."""

    def __init__(self, prefixes: NDArray[np.uint64]) -> None:
        self._prefixes = prefixes

    def __len__(self) -> int:
        return len(self._prefixes)

    def __contains__(self, fingerprint: str) -> bool:
        prefix = np.uint64(int(fingerprint[:_HEX], 16))
        place = int(np.searchsorted(self._prefixes, prefix))
        return place < len(self._prefixes) and bool(self._prefixes[place] == prefix)


def write(path: Path, fingerprints: Iterable[str]) -> int:
    """Writes the file from hex fingerprints in any order and returns how many prefixes it holds."""
    prefixes = sorted({int(fingerprint[:_HEX], 16) for fingerprint in fingerprints})
    path.write_bytes(np.array(prefixes, dtype=_PREFIX).tobytes())
    return len(prefixes)


def read(path: Path) -> TrainFingerprints:
    """The set that the file holds. Raises ``ConfigError`` where it is no ascending list of prefixes."""
    data = path.read_bytes()
    if len(data) % _PREFIX.itemsize:
        raise ConfigError(f"{path} does not hold whole {_PREFIX.itemsize}-byte prefixes")
    prefixes = np.frombuffer(data, dtype=_PREFIX).astype(np.uint64)
    if np.any(prefixes[1:] <= prefixes[:-1]):
        raise ConfigError(f"{path} is not sorted")
    return TrainFingerprints(prefixes)
