"""Names that only the key gives back: the same name has the same pseudonym, and no table has to be kept.

Deterministic authenticated encryption by the SIV construction of Rogaway and Shrimpton, "Deterministic Authenticated-Encryption"
(2006), whose two parts, a pseudo-random function and a stream keyed by its value, are both HMAC-SHA-256: the standard library
has no block cipher (docs/decisions/0021-export-of-closed-alerts.md). Names are padded to steps of 16 bytes, so that a
pseudonym hardly tells a name's length.
"""

from __future__ import annotations

import hmac
import re
from base64 import b32decode, b32encode
from binascii import Error
from collections.abc import Iterator
from itertools import count
from typing import Final, Literal, TypeAlias

from connector.errors import ConfigError

Kind: TypeAlias = Literal["user", "host", "ip", "mail"]
KINDS: Final[tuple[Kind, ...]] = ("user", "host", "ip", "mail")

_WRITTEN: Final = re.compile(rf"(?:{'|'.join(KINDS)})-[a-z2-7]{{52,}}")
_IV: Final = 16
_STEP: Final = 16
_STOP: Final = b"\x80"


class Pseudonyms:
    """Makes pseudonyms with one key, and takes them back."""

    def __init__(self, key: bytes) -> None:
        self._mac = _hmac(key, b"triaged export mac")
        self._stream = _hmac(key, b"triaged export stream")
        self.check: str = _hmac(key, b"triaged export check").hex()[:16]
        """Tells two keys apart, and tells nothing of either."""

    def of(self, kind: Kind, name: str) -> str:
        """The pseudonym of a name: its kind, ``-``, and letters and digits."""
        plain = name.encode("utf-8", "surrogatepass") + _STOP
        plain += bytes(-len(plain) % _STEP)
        iv = self._iv(kind, plain)
        return f"{kind}-{b32encode(iv + self._crypted(iv, plain)).decode().rstrip('=').lower()}"

    def reveal(self, pseudonym: str) -> tuple[Kind, str]:
        """Kind and name behind a pseudonym. Raises ``ConfigError`` where this key did not make it."""
        kind, _, letters = pseudonym.partition("-")
        try:
            sealed = b32decode(letters.upper() + "=" * (-len(letters) % 8))
        except Error:
            sealed = b""
        for known in KINDS:
            iv, body = sealed[:_IV], sealed[_IV:]
            plain = self._crypted(iv, body)
            if known == kind and body and hmac.compare_digest(iv, self._iv(known, plain)):
                return known, plain.rstrip(b"\0")[: -len(_STOP)].decode("utf-8", "surrogatepass")
        raise ConfigError(f"{pseudonym!r} is no pseudonym of this key")

    def plain(self, text: str) -> str:
        """A text with the names behind those of its pseudonyms that this key made."""
        return _WRITTEN.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        try:
            return self.reveal(match[0])[1]
        except ConfigError:
            return match[0]

    def _iv(self, kind: Kind, plain: bytes) -> bytes:
        return _hmac(self._mac, kind.encode() + b"\0" + plain)[:_IV]

    def _crypted(self, iv: bytes, data: bytes) -> bytes:
        """The data with the stream of an initial value laid over it: both ways the same."""
        return bytes(one ^ other for one, other in zip(data, self._key_stream(iv), strict=False))

    def _key_stream(self, iv: bytes) -> Iterator[int]:
        for block in count():
            yield from _hmac(self._stream, iv + block.to_bytes(8, "big"))


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
