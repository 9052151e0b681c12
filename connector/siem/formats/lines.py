"""Lines of a stream, with their place, and no line longer than memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO, Literal, TypeAlias

Line: TypeAlias = tuple[int, int, int, bytes, str | None]
"""(offset of the first byte, offset behind the line, line number, the line in UTF-8 without its end, error)."""

Encoding: TypeAlias = Literal["utf-8", "utf-16-le", "utf-16-be"]

BOM = b"\xef\xbb\xbf"
_BLANK = b" \t\r\n\x0b\x0c\x00"
_SHOWN = 4096
"""Bytes of an overlong line that are kept."""


def lines(
    stream: BinaryIO,
    limit: int,
    *,
    offset: int = 0,
    number: int = 0,
    whole: bool = False,
    encoding: Encoding = "utf-8",
    strip: bool = True,
) -> Iterator[Line]:
    """Every line that is not blank, from where the stream stands, which is at ``offset``, behind line ``number``.

    ``whole``: a last line without its end is not there yet. Without ``strip``, blank lines and the space around lines
    stay, and only the end of the line goes. A byte-order mark is no part of a line, wherever files were joined.
    """
    readline, ended = reads(stream, encoding)
    while line := readline(limit + 1):
        if whole and len(line) <= limit and not ended(line):
            return
        start = offset
        offset += len(line)
        number += 1
        if len(line) > limit and not ended(line):
            offset += skip_line(stream, limit, encoding)
            yield start, offset, number, _utf8(line[:_SHOWN], encoding), f"line is longer than {limit} bytes"
            continue
        if encoding != "utf-8":
            line = _utf8(line, encoding)
        if line.startswith(BOM):
            line = line[3:]
        line = line.strip(_BLANK) if strip else line.removesuffix(b"\n").removesuffix(b"\r")
        if line or not strip:
            yield start, offset, number, line, None


def reads(stream: BinaryIO, encoding: Encoding) -> tuple[Callable[[int], bytes], Callable[[bytes], bool]]:
    """How a line is read from a stream, and how to tell that it has its end."""
    if encoding == "utf-8":
        return stream.readline, _ends
    little = encoding == "utf-16-le"
    return partial(_wide_line, stream, little), _ends_little if little else _ends_big


def skip_line(stream: BinaryIO, limit: int, encoding: Encoding = "utf-8") -> int:
    """Passes over the rest of a line; the number of bytes passed."""
    readline, ended = reads(stream, encoding)
    passed = 0
    while piece := readline(limit):
        passed += len(piece)
        if ended(piece):
            break
    return passed


def _ends(line: bytes) -> bool:
    return line.endswith(b"\n")


def _ends_little(line: bytes) -> bool:
    return len(line) % 2 == 0 and line.endswith(b"\n\x00")


def _ends_big(line: bytes) -> bool:
    return len(line) % 2 == 0 and line.endswith(b"\x00\n")


def _wide_line(stream: BinaryIO, little: bool, limit: int) -> bytes:
    """A line of UTF-16, whole units of it: the byte 0x0A may also be half of another character."""
    limit += limit % 2
    line = bytearray()
    while len(line) < limit and (piece := stream.readline(limit - len(line))):
        line += piece
        if piece[-1] != 0x0A:
            continue
        if not little and len(line) % 2 == 0 and line.endswith(b"\x00\n"):
            break
        if little and len(line) % 2:
            line += stream.read(1)
            if line[-1] == 0:
                break
    return bytes(line)


def _utf8(line: bytes, encoding: Encoding) -> bytes:
    return line if encoding == "utf-8" else line.decode(encoding, "replace").encode()
