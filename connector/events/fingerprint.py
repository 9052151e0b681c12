"""The fingerprint: SHA-256 of the canonical form, written so that no two forms give the same bytes."""

from __future__ import annotations

from hashlib import sha256

from connector.events.masks import units
from connector.types import Pairs


def serialise(pairs: Pairs) -> str:
    """The pairs as one string: each field and value after its length in UTF-16 units and a colon."""
    parts = []
    for field, value in pairs:
        parts.append(f"{len(field)}:{field}{len(value) if value.isascii() else units(value)}:{value}")
    return "".join(parts)


def fingerprint(pairs: Pairs) -> str:
    """SHA-256, in hex, of the serialised pairs in UTF-8. Field names are ASCII by construction."""
    return sha256(serialise(pairs).encode()).hexdigest()
