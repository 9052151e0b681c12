"""The fingerprint: SHA-256 of the canonical form, written so that no two forms give the same bytes."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from connector.events.masks import units
from connector.types import Pairs


def serialise(pairs: Pairs) -> str:
    """The pairs as one string: each field and value after its length in UTF-16 units and a colon."""
    return "".join(
        [f"{_prefixed(field)}{len(value) if value.isascii() else units(value)}:{value}" for field, value in pairs]
    )


@lru_cache(maxsize=4096)
def _prefixed(field: str) -> str:
    return f"{len(field)}:{field}"


def fingerprint(pairs: Pairs) -> str:
    """SHA-256, in hex, of the serialised pairs in UTF-8. Field names are ASCII by construction."""
    return sha256(serialise(pairs).encode()).hexdigest()
