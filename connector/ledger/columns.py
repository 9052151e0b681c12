"""Column types that keep keys small: ids are 16 bytes in both databases, and text in Python."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Uuid


@lru_cache(maxsize=1 << 15)
def pack(text: str) -> bytes:
    """The 16 bytes of a UUID in canonical text form; a batch names each id several times. Raises ``ValueError`` for anything else: ids are derived."""
    raw = bytes.fromhex(text.replace("-", ""))
    if len(raw) != 16 or len(text) != 36:
        raise ValueError(f"{text!r} is not a UUID in canonical form; make ids with connector.identity")
    return raw


def unpack(raw: bytes) -> str:
    """The canonical text of 16 bytes."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class PackedUuid(LargeBinary):
    """A UUID as a BLOB of 16 bytes: SQLite has no type of its own, and text would more than double its indexes."""

    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:  # noqa: ARG002 - SQLAlchemy's signature
        """Text to bytes."""
        return lambda value: None if value is None else pack(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:  # noqa: ARG002
        """Bytes to text."""
        return lambda value: None if value is None else unpack(value)


Id = Uuid(as_uuid=False).with_variant(PackedUuid(), "sqlite")
"""An event, record, action or review id."""

Serial = BigInteger().with_variant(Integer(), "sqlite")
"""A growing row number. SQLite numbers only a column that is declared INTEGER."""
