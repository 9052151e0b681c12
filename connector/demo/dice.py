"""Chance that is the same on every machine and in every Python version: SHA-256 over a counter."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """A stream of numbers, named by its seed.

    Each part of the scenario rolls its own, so that editing one part leaves the others as they were.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._rolled = 0

    def _roll(self) -> bytes:
        self._rolled += 1
        return hashlib.sha256(f"{self._seed}/{self._rolled}".encode()).digest()

    def below(self, n: int) -> int:
        """A whole number from 0 to n - 1."""
        return int.from_bytes(self._roll()[:8], "big") % n

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def hex(self, digits: int) -> str:
        """Lower-case hexadecimal digits, 64 at most."""
        return self._roll().hex()[:digits]

    def guid(self) -> str:
        """A GUID in lower case, without braces."""
        text = self.hex(32)
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
