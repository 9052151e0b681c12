"""A bounded cache that never sorts: two generations, of which the older is dropped when the younger is full.

What was asked for recently survives, memory is flat, and a hit costs one or two look-ups in a dict.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """At most ``capacity`` values by key; 0 keeps nothing. Values must not be None.

    Threads may share it: every step is one atomic operation on a dict, and what a race can lose is a cached value.
    """

    def __init__(self, capacity: int) -> None:
        self._half = capacity // 2
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def get(self, key: K) -> V | None:
        """The value of a key, or None; a key of the older generation moves to the younger one."""
        value = self._young.get(key)
        if value is None:
            value = self._old.get(key)
            if value is not None:
                self.put(key, value)
        return value

    def put(self, key: K, value: V) -> None:
        """Keeps a value; where the younger generation is full, it becomes the older one."""
        if not self._half:
            return
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[key] = value
