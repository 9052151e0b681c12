"""The id that the daemon gives an event, from what Splunk itself calls it; equal to the daemon's own rule."""

from __future__ import annotations

IDENTITY = ("_bkt", "_cd")
NAMESPACE = bytes.fromhex("7b1c0a525f0e5d0a9c573f2f4f6a9e11")
"""Committed for ever: changing it would give every event a second verdict."""


def native_id(bucket: str, address: str) -> str:
    """An indexed event's identity: its bucket (``_bkt``, which names its index), and its address there (``_cd``)."""
    return f"{bucket}:{address}"


def index_of(bucket: str) -> str:
    """The index that a bucket belongs to; an event's own text may claim any."""
    return bucket.partition("~")[0]


def event_id(deployment: str, native: str) -> str:
    """The event's id, which is its verdict's too: a UUIDv5 of the deployment and the identity, each with its length."""
    from hashlib import sha1

    encoded = [part.encode("utf-8", "surrogatepass") for part in (deployment, native)]
    prefixed = b"".join(b"%d:%b" % (len(data), data) for data in encoded)
    raw = bytearray(sha1(NAMESPACE + prefixed, usedforsecurity=False).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x50
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
