"""How common a fingerprint is among the recordings that training read: a table that ships with the meta-classifier.

What many independent recordings share is what every host logs. The file holds, ascending and without separator, the first
eight bytes of each fingerprint that two or more groups (files, recordings) have, and in how many of them it occurs, 255 at
most. It is bounded by what training read, and says nothing of the site that it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError

FILE: Final = "commons.bin"
LEAST: Final = 2
MOST_GROUPS: Final = 255
MOST_ROWS: Final = 1 << 20

_ROW: Final = np.dtype([("prefix", ">u8"), ("groups", "u1")])
_HEX: Final = 16


class Commons:
    """In how many groups of training a fingerprint occurs; 0 where in fewer than two."""

    def __init__(self, groups: Mapping[int, int]) -> None:
        self._groups = groups

    def __len__(self) -> int:
        return len(self._groups)

    def groups(self, fingerprint: str) -> int:
        """The number of groups, 255 at most."""
        return self._groups.get(int(fingerprint[:_HEX], 16), 0)


def table(groups: Mapping[str, int]) -> Commons:
    """The table of hex fingerprints and their groups, as it is once it was written."""
    found = {int(mark[:_HEX], 16): min(count, MOST_GROUPS) for mark, count in groups.items() if count >= LEAST}
    return Commons(found)


def write(path: Path, groups: Mapping[str, int]) -> int:
    """Writes the file and returns how many fingerprints it holds."""
    found = sorted(table(groups)._groups.items())  # noqa: SLF001 - this module's own
    rows: NDArray[np.void] = np.array(found, dtype=_ROW)
    path.write_bytes(rows.tobytes())
    return len(rows)


def read(path: Path) -> Commons:
    """The table that a file holds. Raises ``ConfigError`` where it is no ascending list of such rows."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) % _ROW.itemsize or len(data) > MOST_ROWS * _ROW.itemsize:
        raise ConfigError(f"{path} does not hold at most {MOST_ROWS} rows of {_ROW.itemsize} bytes")
    rows = np.frombuffer(data, dtype=_ROW)
    prefixes = rows["prefix"].astype(np.uint64)
    if np.any(prefixes[1:] <= prefixes[:-1]):
        raise ConfigError(f"{path} is not sorted")
    return Commons(dict(zip(prefixes.tolist(), rows["groups"].tolist(), strict=True)))
