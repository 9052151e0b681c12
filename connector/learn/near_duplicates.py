"""Rows that say the same but for a few words: MinHash over word shingles, then the shingles' true overlap.

Broder, "On the resemblance and containment of documents" (1997): the share of equal minima estimates the Jaccard overlap.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

NEAR: Final = 0.8
"""Overlap of the shingles from which two texts count as copies of each other."""
_WORD: Final = re.compile(r"[^\W_]+")
_SHINGLE, _BANDS, _ROWS = 3, 16, 4
_REPRESENTATIVES: Final = 8

Shingles = frozenset[int]


def clusters(texts: Sequence[str]) -> list[int]:
    """For each text the index of the first of its near copies, its own where it is the first."""
    shingles = [_shingles(text) for text in texts]
    parents = list(range(len(texts)))
    for bucket in _buckets(shingles):
        firsts: list[int] = []
        for index in bucket:
            same = next((first for first in firsts if overlap(shingles[first], shingles[index]) >= NEAR), None)
            if same is not None:
                one, other = sorted((_root(parents, same), _root(parents, index)))
                parents[other] = one
            elif len(firsts) < _REPRESENTATIVES:
                firsts.append(index)
    return [_root(parents, index) for index in range(len(texts))]


def overlap(one: Shingles, other: Shingles) -> float:
    """The Jaccard overlap of two sets."""
    shared = len(one & other)
    return shared / max(len(one) + len(other) - shared, 1)


def _shingles(text: str) -> Shingles:
    """The distinct runs of three words; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    runs = {" ".join(words[at : at + _SHINGLE]) for at in range(max(len(words) - _SHINGLE + 1, 1))}
    return frozenset(zlib.crc32(run.encode("utf-8", "replace")) for run in runs)


def _buckets(shingles: Sequence[Shingles]) -> Iterable[list[int]]:
    """Texts whose minima agree in all rows of a band; each is a candidate for each other."""
    draw = np.random.default_rng(1)
    factors, offsets = draw.integers(1, 1 << 63, size=(2, _BANDS * _ROWS), dtype=np.uint64)
    minima = np.stack([_minima(found, factors, offsets) for found in shingles]) if shingles else np.empty((0, 0))
    for band in range(_BANDS if len(shingles) else 0):
        found: dict[bytes, list[int]] = {}
        for index, row in enumerate(minima[:, band * _ROWS : (band + 1) * _ROWS]):
            found.setdefault(row.tobytes(), []).append(index)
        yield from (bucket for bucket in found.values() if len(bucket) > 1)


def _minima(found: Shingles, factors: NDArray[np.uint64], offsets: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """Multiply-shift hashing: the upper half of a product that wraps at 64 bits."""
    hashes = (np.fromiter(found, np.uint64)[:, None] * factors + offsets) >> np.uint64(32)
    minima: NDArray[np.uint32] = hashes.min(axis=0).astype(np.uint32)
    return minima


def _root(parents: list[int], index: int) -> int:
    while parents[index] != index:
        parents[index] = parents[parents[index]]
        index = parents[index]
    return index
