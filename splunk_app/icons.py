"""Draws the app's icons: ``python splunk_app/icons.py`` writes them into the app. Standard library alone."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

APP = Path(__file__).parent / "triaged"
SIZES = {
    "static/appIcon.png": (36, 36),
    "static/appIcon_2x.png": (72, 72),
    "static/appIconAlt.png": (36, 36),
    "static/appIconAlt_2x.png": (72, 72),
    "static/appLogo.png": (160, 40),
    "static/appLogo_2x.png": (320, 80),
    "appserver/static/triaged_run.png": (48, 48),
}
BACK = (24, 36, 54, 255)
BARS = ((209, 60, 60, 255), (217, 139, 33, 255), (90, 158, 111, 255))


def png(width: int, height: int) -> bytes:
    """Three bars, the most urgent on top and longest, centred in a dark field."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            rows += bytes(_pixel((x - left) / side, (y - top) / side))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _pixel(x: float, y: float) -> tuple[int, int, int, int]:
    for place, colour in enumerate(BARS):
        start = 0.2 + 0.23 * place
        if start <= y < start + 0.15 and 0.18 <= x < 0.84 - 0.16 * place:
            return colour
    return BACK


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


if __name__ == "__main__":
    for name, (width, height) in SIZES.items():
        (APP / name).write_bytes(png(width, height))
