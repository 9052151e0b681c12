"""Encoded payloads in a canonical value: base64 of UTF-16 or text, compressed or not, is shown decoded, masked and plain."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from typing import Final

from connector.events.masks import fold_spaces, is_payload, scrub, text_mask
from connector.events.plain import plain

MAX_DECODED: Final = 4096
"""Bytes that one token may give, compressed or not: a payload cannot make us work more than that."""

_READ = 2400
_SHOWN = 24
_ROUNDS = 2
_TOKEN = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{32,}={0,2}")
_PRINTABLE = re.compile(r"[\t\r\n -~]")


def reveal(text: str) -> str:
    """The text with payload tokens decoded, to a depth of two; what cannot be read is cut short."""
    for _ in range(_ROUNDS):
        shown = _TOKEN.sub(_decoded, text)
        if shown == text:
            break
        text = shown[:MAX_DECODED]
    return text


def _decoded(match: re.Match[str]) -> str:
    token = match[0]
    if not is_payload(token):
        return token
    text = _text_of(_bytes_of(token))
    return plain(text_mask(fold_spaces(scrub(text[:_READ])))) if text else token[:_SHOWN] + "…"


def _bytes_of(token: str) -> bytes:
    """The bytes of a base64 token, which the cut may have shortened."""
    bare = token.rstrip("=")[: MAX_DECODED * 4 // 3]
    if len(bare) % 4 == 1:
        bare = bare[:-1]
    try:
        data = base64.b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        return b""
    return _inflated(data)


def _inflated(data: bytes) -> bytes:
    """Gzip, zlib and raw deflate streams, as PowerShell stagers carry them; anything else as it is."""
    windows = (31,) if data[:2] == b"\x1f\x8b" else (15,) if data[:1] == b"x" else (-15,)
    for window in windows:
        try:
            out = zlib.decompressobj(window).decompress(data, MAX_DECODED)
        except zlib.error:
            continue
        if len(out) > 16 and (window > 0 or _text_of(out)):
            return out
    return data


def _text_of(data: bytes) -> str:
    """Readable text in UTF-16LE or ASCII, or the empty string."""
    if len(data) < 8:
        return ""
    encoding = "utf-16-le" if data[1:64:2].count(0) * 4 > len(data[1:64:2]) * 3 else "utf-8"
    text = data.decode(encoding, "ignore")
    return text if len(_PRINTABLE.findall(text[:512])) * 10 >= len(text[:512]) * 9 else ""
