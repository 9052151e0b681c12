"""How an attack is dressed up on its way: each encoding as a function of bytes, for training and for the report."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, TypeAlias
from urllib.parse import quote_from_bytes

Encoding: TypeAlias = Callable[[bytes, Random], bytes]

_ALL_URL: Final = tuple(b"%%%02x" % byte for byte in range(256))
_NAMED: Final = {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&quot;", "'": "&apos;", "(": "&lpar;", "/": "&sol;"}
_SPACE: Final = re.compile(rb" ")


def _url(data: bytes, draw: Random) -> bytes:
    del draw
    return quote_from_bytes(data, safe="").encode()


def _all_url(data: bytes, draw: Random) -> bytes:
    del draw
    return b"".join(_ALL_URL[byte] for byte in data)


def _double_url(data: bytes, draw: Random) -> bytes:
    return _url(_url(data, draw), draw)


def _by_character(told: Callable[[str], str]) -> Encoding:
    def encoded(data: bytes, draw: Random) -> bytes:
        del draw
        return "".join(map(told, data.decode("utf-8", "replace"))).encode("utf-8", "replace")

    return encoded


def _signs(told: Callable[[str], str]) -> Callable[[str], str]:
    return lambda character: character if character.isalnum() or character == " " else told(character)


def _case(data: bytes, draw: Random) -> bytes:
    return bytes(byte - 32 if 97 <= byte <= 122 and draw.random() < 0.5 else byte for byte in data)


ENCODINGS: Final[Mapping[str, Encoding]] = {
    "url": _url,
    "url, every byte": _all_url,
    "double url": _double_url,
    "html, decimal": _by_character(_signs(lambda character: f"&#{ord(character)};")),
    "html, hexadecimal, every character": _by_character(lambda character: f"&#x{ord(character):x};"),
    "html, named": _by_character(lambda character: _NAMED.get(character, character)),
    "unicode escapes": _by_character(lambda character: f"\\u{ord(character) & 0xFFFF:04x}"),
    "percent u": _by_character(_signs(lambda character: f"%u{ord(character) & 0xFFFF:04x}")),
    "full width": _by_character(
        lambda character: chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character
    ),
    "case": _case,
}


def _apart(data: bytes, draw: Random) -> bytes:
    """Spaces as something else that separates words."""
    return data.replace(b" ", draw.choice((b"+", b"/**/", b"\t", b"%0a", b"%20")))


def _cut(data: bytes, draw: Random) -> bytes:
    """Cut short inside an encoding, as a sensor's buffer cuts."""
    return _url(data, draw)[: max(4, int(len(data) * 1.3))]


DISTORTIONS: Final[tuple[Encoding, ...]] = (*ENCODINGS.values(), _apart, _apart, _apart, _cut)
"""What training does to values; some of it no decoder takes back."""
