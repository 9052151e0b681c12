"""The id that the daemon gives an event, from what Splunk itself calls it; equal to the daemon's own rule."""

from __future__ import annotations

import hashlib
from uuid import UUID

IDENTITY = ("_bkt", "_cd")
NAMESPACE = UUID("7b1c0a52-5f0e-5d0a-9c57-3f2f4f6a9e11")
"""Committed for ever: changing it would give every event a second verdict."""


def native_id(bucket: str, address: str) -> str:
    """An indexed event's identity: its bucket (``_bkt``, which names its index), and its address there (``_cd``)."""
    return f"{bucket}:{address}"


def index_of(bucket: str) -> str:
    """The index that a bucket belongs to; an event's own text may claim any."""
    return bucket.partition("~")[0]


def event_id(deployment: str, native: str) -> str:
    """The event's id, which is its verdict's too: a UUIDv5 of the deployment and the identity, each with its length."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in (deployment, native)]
    prefixed = b"".join(b"%d:%b" % (len(data), data) for data in encoded)
    digest = hashlib.sha1(NAMESPACE.bytes + prefixed, usedforsecurity=False).digest()[:16]
    return str(UUID(bytes=digest, version=5))
