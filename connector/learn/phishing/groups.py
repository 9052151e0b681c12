"""Groups of near-copies: one campaign sends a text a thousand times with another name in it, and must not be split.

Mails whose sets of three-word runs overlap by about a half or more share a group, as do those to which their collection
gave the same key. Source: Broder, On the resemblance and containment of documents, 1997 (MinHash), with banding.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from connector.learn.phishing.mails import Mail

RUN = 3
BANDS, ROWS = 16, 3
"""16 bands of 3: a pair that overlaps by 0.5 is found with probability 0.88, by 0.2 with 0.12."""

_PRIME = np.uint64((1 << 31) - 1)


def grouped(mails: Sequence[Mail]) -> list[str]:
    """The name of each mail's group: the digest of its first member, so that adding mails renames few groups."""
    parents = list(range(len(mails)))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    seen: dict[tuple[object, ...], int] = {}
    for place, mail in enumerate(mails):
        keys: list[tuple[object, ...]] = [("key", mail.group)] if mail.group else []
        keys += [(band, part) for band, part in enumerate(_bands(mail.text))]
        for key in keys:
            first, here = root(seen.setdefault(key, place)), root(place)
            parents[max(first, here)] = min(first, here)
    return [mails[root(place)].fingerprint[:16] for place in range(len(mails))]


def _bands(text: str) -> list[bytes]:
    words = "".join(character if character.isalpha() else " " for character in text).split()
    runs = {" ".join(words[start : start + RUN]) for start in range(max(1, len(words) - RUN + 1))}
    digests = (hashlib.blake2b(run.encode("utf-8", "replace"), digest_size=4).digest() for run in runs)
    hashes = np.frombuffer(b"".join(digests), np.uint32).astype(np.uint64) % _PRIME
    least: NDArray[np.uint64] = ((hashes[:, None] * _FACTORS + _OFFSETS) % _PRIME).min(axis=0)
    return [least[band * ROWS : (band + 1) * ROWS].tobytes() for band in range(BANDS)]


_DRAW = np.random.default_rng(1)
_FACTORS = _DRAW.integers(1, int(_PRIME), BANDS * ROWS, dtype=np.uint64)
_OFFSETS = _DRAW.integers(0, int(_PRIME), BANDS * ROWS, dtype=np.uint64)
