"""Raw events as dead letters keep them: what is needed to push them again, cut at a limit and compressed."""

from __future__ import annotations

import zlib

import msgspec

from connector.types import Noun, RawEvent, SourceRef

LIMIT = 1 << 20
"""Bytes of an event's text that are kept."""


class Header(Noun, frozen=True):
    """A raw event without its data."""

    deployment: str
    native_id: str
    ref: SourceRef
    place: str
    error: str | None


def preserved(raw: RawEvent) -> bytes:
    """The event as bytes: a header line, then the data as it came, or as JSON where it came decoded."""
    data = raw.data
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    elif not isinstance(data, bytes):
        data = msgspec.json.encode(data)
    header = Header(deployment=raw.deployment, native_id=raw.native_id, ref=raw.ref, place=raw.place, error=raw.error)
    return zlib.compress(msgspec.json.encode(header) + b"\n" + data[:LIMIT])


def restored(payload: bytes) -> RawEvent:
    """The event that :func:`preserved` kept; it has no position, as any pushed event."""
    line, _, data = zlib.decompress(payload).partition(b"\n")
    header = msgspec.json.decode(line, type=Header)
    return RawEvent(
        deployment=header.deployment,
        native_id=header.native_id,
        ref=header.ref,
        place=header.place,
        error=header.error,
        data=data,
    )
