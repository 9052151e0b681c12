"""Windows of bytes: what the network reads of a piece, in training and in serving alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from connector.models.payload.decode import plain
from connector.models.payload.parts import Piece

WIDTH: Final = 384
"""Bytes of a window; longer than 99 in 100 parameters."""

STEP: Final = 320
MOST_WINDOWS: Final = 32
"""Windows of one event, over all its pieces."""

_LONGEST_RAW: Final = 1024
"""Bytes of a raw payload: what protocols say first."""


def readable(piece: Piece) -> bytes:
    """A piece as the network reads it: text without what hides it, raw bytes as they are."""
    return piece.data[:_LONGEST_RAW] if piece.raw else plain(piece.data)


def windows(data: bytes) -> Iterator[bytes]:
    """Overlapping windows that cover ``data``; one, where it fits in."""
    for start in range(0, max(len(data) - (WIDTH - STEP), 1), STEP):
        yield data[start : start + WIDTH]
