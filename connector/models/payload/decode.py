"""``plain``: a payload without what was put around it to hide it: percent signs, entities, escapes, wide letters, case.

One pass over the bytes with a stack. What ends on the stack in an encoded character is taken off and pushed again decoded,
so that an encoding of an encoding comes undone to any depth, and each such step makes the stack shorter: the work grows
with the bytes that are read, whatever an attacker nests. Decoding what was decoded changes nothing.

Percent encoding: RFC 3986, 2.1; ``%uXXXX`` as Microsoft's servers read it. Character references: HTML, 13.5. Escapes:
ECMAScript, 12.9.4. Too long UTF-8 is read on purpose (CAPEC-80), wide letters as Unicode's NFKC has them (CAPEC-71).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

LONGEST: Final = 4096
"""Bytes of one value that are read."""

_SPACES: Final = b"\t\n\x0b\x0c\r"
_FOLD: Final = bytes(32 if byte in _SPACES else byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
_ENCODED: Final = re.compile(rb"[%\\&\xc0-\xff]")
_RUN: Final = re.compile(rb"  +")
_NAMED: Final[Mapping[bytes, bytes]] = {
    b"lt": b"<", b"gt": b">", b"amp": b"&", b"quot": b'"', b"apos": b"'", b"nbsp": b" ", b"sol": b"/", b"bsol": b"\\",
    b"colon": b":", b"semi": b";", b"comma": b",", b"period": b".", b"equals": b"=", b"plus": b"+", b"num": b"#",
    b"lpar": b"(", b"rpar": b")", b"lsqb": b"[", b"lbrack": b"[", b"rsqb": b"]", b"rbrack": b"]", b"lcub": b"{",
    b"rcub": b"}", b"lbrace": b"{", b"rbrace": b"}", b"excl": b"!", b"quest": b"?", b"dollar": b"$", b"percnt": b"%",
    b"ast": b"*", b"commat": b"@", b"verbar": b"|", b"vert": b"|", b"grave": b"`", b"hat": b"^", b"lowbar": b"_",
    b"tab": b" ", b"newline": b" ", b"shy": b"", b"zwnj": b"", b"zwj": b"",
}  # fmt: skip
"""Character references of ASCII, and of what is not seen."""

_LOOKS_LIKE: Final[Mapping[str, bytes]] = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc\u02b9", b"'"),
    **dict.fromkeys("\u201c\u201d\u201e\u2033\u02ba", b'"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", b"-"),
    **dict.fromkeys("\u2044\u2215\u29f8", b"/"),
    **dict.fromkeys("\u2216\u29f5", b"\\"),
    **dict.fromkeys("\u2039\u2329\u27e8", b"<"),
    **dict.fromkeys("\u203a\u232a\u27e9", b">"),
    **dict.fromkeys("\u00a0\u2028\u2029\u3000", b" "),
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", b""),
}
"""What servers and databases take for ASCII when they convert to a smaller character set."""

_TAIL: Final = 12
_NUMBERED: Final = re.compile(rb"&#(?:x([0-9a-f]{1,9})|([0-9]{1,9}))\Z")
_ENTITY: Final = re.compile(rb"&(?:#(?:x([0-9a-f]{1,9})|([0-9]{1,9}))|([a-z]{2,8}));\Z")
_HEX: Final = frozenset(b"0123456789abcdef")
_DIGITS: Final = frozenset(b"0123456789")
_PERCENT, _BACKSLASH, _X, _U = b"%\\xu"
_CALM: Final = bytes(byte not in b" ;" and byte < 0x80 and byte not in _HEX for byte in range(256))
"""Bytes that complete nothing but a numbered reference that has no semicolon."""
_MOST_UNICODE: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)


def plain(data: bytes) -> bytes:
    """The value in small ASCII letters as far as it has any, no longer than ``data`` and at most :data:`LONGEST` bytes."""
    data = data[:LONGEST].translate(_FOLD)
    if not _ENCODED.search(data):
        return _RUN.sub(b" ", data)
    stack = bytearray()
    for byte in data:
        if _CALM[byte] and not _pending(stack):
            stack.append(byte)
        else:
            _push(stack, byte)
    while found := _NUMBERED.search(stack[-_TAIL:]):
        _reduce(stack, len(found[0]), _character(_number(found[1], found[2])))
    return bytes(stack)


def _pending(stack: bytearray) -> bool:
    """Whether a numbered reference may wait at the end of the stack for what ends it."""
    return bool(stack) and (stack[-1] in _HEX) and stack.rfind(b"&#", -_TAIL) >= 0


def _push(stack: bytearray, byte: int) -> None:
    """Puts a byte on the stack, and whatever it completes again, decoded."""
    waiting = [byte]
    while waiting:
        byte = _FOLD[waiting.pop()]
        if byte == 32 and stack and stack[-1] == 32:
            continue
        stack.append(byte)
        found = _completed(stack, byte)
        if found is not None:
            length, told = found
            del stack[-length:]
            waiting.extend(reversed(told))


def _reduce(stack: bytearray, length: int, told: bytes) -> None:
    del stack[-length:]
    for byte in told:
        _push(stack, byte)


def _completed(stack: bytearray, byte: int) -> tuple[int, bytes] | None:
    """How many bytes at the end of the stack are one encoded character, and which; None where they are none."""
    found = None
    if byte in _HEX:
        found = _escaped(stack)
    elif byte == 0x3B:
        found = _referred(stack)
    elif byte >= 0x80:
        found = _wide(stack)
    return found or _unended(stack, byte)


def _escaped(stack: bytearray) -> tuple[int, bytes] | None:
    r"""``%XX`` and ``\xXX``, ``%uXXXX`` and ``\uXXXX``, whose last digit stands on the stack."""
    size = len(stack)
    if size < 3 or stack[-2] not in _HEX:
        return None
    if stack[-3] == _PERCENT:
        return 3, bytes((int(stack[-2:], 16),))
    if size >= 4 and stack[-3] == _X and stack[-4] == _BACKSLASH:
        return 4, bytes((int(stack[-2:], 16),))
    if size >= 6 and stack[-5] == _U and stack[-6] in {_PERCENT, _BACKSLASH} and {stack[-3], stack[-4]} <= _HEX:
        return 6, _character(int(stack[-4:], 16))
    return None


def _referred(stack: bytearray) -> tuple[int, bytes] | None:
    """A character reference whose semicolon stands on the stack."""
    found = _ENTITY.search(stack[-_TAIL:])
    if found is None:
        return None
    if found[3] is None:
        return len(found[0]), _character(_number(found[1], found[2]))
    told = _NAMED.get(bytes(found[3]))
    return None if told is None else (len(found[0]), told)


def _unended(stack: bytearray, byte: int) -> tuple[int, bytes] | None:
    """A numbered reference without a semicolon, ended by the byte that stands on the stack, as browsers read it."""
    if len(stack) < 4 or stack[-2] not in _HEX or stack.rfind(b"&#", -_TAIL - 1) < 0:
        return None
    before = stack[-_TAIL - 1 : -1]
    found = _NUMBERED.search(before)
    if found is None or byte in (_DIGITS if found[1] is None else _HEX):
        return None
    return len(found[0]) + 1, _character(_number(found[1], found[2])) + bytes((byte,))


def _wide(stack: bytearray) -> tuple[int, bytes] | None:
    """A UTF-8 sequence that stands for ASCII: a wide letter, a look-alike, or too many bytes for what they say."""
    for length, first, mask in ((2, 0xC0, 0x1F), (3, 0xE0, 0x0F), (4, 0xF0, 0x07)):
        tail = stack[-length:]
        if len(tail) < length or tail[0] & ~mask & 0xFF != first or any(byte & 0xC0 != 0x80 for byte in tail[1:]):
            continue
        number = tail[0] & mask
        for byte in tail[1:]:
            number = number << 6 | byte & 0x3F
        told = _ascii(number)
        return None if told is None else (length, told)
    return None


def _number(hexadecimal: bytes | None, decimal: bytes | None) -> int:
    return int(decimal or b"0") if hexadecimal is None else int(hexadecimal, 16)


def _character(number: int) -> bytes:
    """A character by its number in Unicode: as the ASCII that it stands for, else in UTF-8."""
    if number > _MOST_UNICODE or number in _SURROGATES:
        return b"?"
    told = _ascii(number)
    return chr(number).encode() if told is None else told


@lru_cache(maxsize=4096)
def _ascii(number: int) -> bytes | None:
    """The ASCII that a character stands for; None where it stands for none."""
    if number > _MOST_UNICODE or number in _SURROGATES:
        return None
    character = chr(number)
    told = _LOOKS_LIKE.get(character)
    if told is not None:
        return told
    normal = unicodedata.normalize("NFKC", character)
    return normal.encode() if len(normal) == 1 and normal.isascii() else None
