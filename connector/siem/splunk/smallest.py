"""The first rows of a stream that comes in any order, in bounded memory.

Splunk streams events by their own time, newest first; we hand them out by the time of their indexing, oldest first.
So all rows of a window are looked at, and of too many only the first are kept. Once one was given up, whatever comes
after it in order is given up too: what is kept has no holes, and whoever reads on after its last row misses nothing.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Final

import msgspec

Key = tuple[int, str]
"""The second of indexing, then the native id: an order that does not depend on the server, nor on the search."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One event of a window."""

    key: Key
    index: str
    data: bytes
    event_id: str | None = None


_BY_KEY: Final = attrgetter("key")


class Smallest:
    """Keeps the rows with the smallest keys, at most so many, and so many bytes of them (but one row at least)."""

    def __init__(self, rows: int, size: int) -> None:
        self._most_rows = rows
        self._most_bytes = size
        self._kept: dict[Key, Row] = {}
        self._bytes = 0
        self._ceiling: Key | None = None
        self.seen = 0

    @property
    def overflowed(self) -> bool:
        """Whether rows were given up."""
        return self._ceiling is not None

    def add(self, row: Row) -> None:
        """Takes a row in. One with a key that is here already is the same event, and counts once."""
        self.seen += 1
        if (self._ceiling is not None and row.key >= self._ceiling) or row.key in self._kept:
            return
        self._kept[row.key] = row
        self._bytes += len(row.data)
        if len(self._kept) > 2 * self._most_rows or self._bytes > 2 * self._most_bytes:
            self._shrink()

    def sorted(self) -> list[Row]:
        """What is kept, in order."""
        if len(self._kept) > self._most_rows or self._bytes > self._most_bytes:
            self._shrink()
        return sorted(self._kept.values(), key=_BY_KEY)

    def _shrink(self) -> None:
        """Gives up the largest: the smallest of them becomes the ceiling, which no later row may reach."""
        ordered = sorted(self._kept.values(), key=_BY_KEY)
        kept, size = 0, 0
        for row in ordered[: self._most_rows]:
            if kept and size + len(row.data) > self._most_bytes:
                break
            kept, size = kept + 1, size + len(row.data)
        if kept < len(ordered):
            self._ceiling = ordered[kept].key
        self._kept = {row.key: row for row in ordered[:kept]}
        self._bytes = size
