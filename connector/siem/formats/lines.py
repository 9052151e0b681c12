"""Lines of a stream, with their place, and no line longer than memory allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

Line: TypeAlias = tuple[int, int, int, bytes, str | None]
"""(offset of the first byte, offset behind the line, line number, the line without its end, error)."""

BOM = b"\xef\xbb\xbf"
_SHOWN = 4096
"""Bytes of an overlong line that are kept."""


def lines(stream: BinaryIO, limit: int, *, offset: int = 0, number: int = 0, whole: bool = False) -> Iterator[Line]:
    """Every line that is not blank, from where the stream stands, which is at ``offset``, behind line ``number``.

    ``whole``: a last line without its end is not there yet.
    """
    readline = stream.readline
    while line := readline(limit + 1):
        if whole and len(line) <= limit and not line.endswith(b"\n"):
            return
        start = offset
        offset += len(line)
        number += 1
        if len(line) > limit and not line.endswith(b"\n"):
            offset += skip_line(stream, limit)
            yield start, offset, number, line[:_SHOWN], f"line is longer than {limit} bytes"
            continue
        if start == 0:
            line = line.removeprefix(BOM)
        line = line.strip()
        if line:
            yield start, offset, number, line, None


def skip_line(stream: BinaryIO, limit: int) -> int:
    """Passes over the rest of a line; the number of bytes passed."""
    passed = 0
    while piece := stream.readline(limit):
        passed += len(piece)
        if piece.endswith(b"\n"):
            break
    return passed
