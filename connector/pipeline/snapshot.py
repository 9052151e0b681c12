"""What the ledger keeps of an event for later: the event as it was scored, without the bodies that went over the wire.

A body may be a login form, password and all, and its words are the sender's: looked through for names at an export, they
could make names of the words that a rule uses. No canonical form reads what is left out. ``http.request.body.content`` stays:
the text of a generic event holds it, and a snapshot must have the event's own fingerprint.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from connector.types import Document, Event

LIMIT: Final = 1 << 20
"""Bytes of an event's JSON that a snapshot may hold."""

BODIES: Final = tuple(
    tuple(path.split("."))
    for path in (
        "http.request.params",
        "http.response.body.content",
        "request",
        "response",
        "splunk.form_data",
        "splunk.src_content",
        "splunk.uri_path",
        "splunk.uri_query",
        "suricata.eve.http.http_request_body",
        "suricata.eve.http.http_request_body_printable",
        "suricata.eve.http.http_response_body",
        "suricata.eve.http.http_response_body_printable",
        "suricata.eve.packet",
        "suricata.eve.payload",
        "suricata.eve.payload_printable",
        "zeek.connection.orig_payload",
        "zeek.http.post_body",
    )
)
"""Where they stand: all that the payload member reads and no canonical form does, packets, and what servers answered."""

_ORIGINAL: Final = ("event", "original")
"""The whole event as it came: the body stands in it too."""


def snapshot(event: Event) -> bytes | None:
    """The event to be kept; None where it is too large, or is none that JSON can hold."""
    try:
        document = msgspec.json.encode({"kind": event.kind, "ecs": without_bodies(event.ecs)})
    except (RecursionError, TypeError, ValueError):
        return None  # a snapshot is a copy for later: no event is lost for want of one
    return zlib.compress(document, 1) if len(document) <= LIMIT else None


def without_bodies(ecs: Document) -> Document:
    """The document without bodies, and without the original of an event that had one. The input is not changed."""
    left = ecs
    for place in BODIES:
        left = _without(left, place)
    return ecs if left is ecs else _without(left, _ORIGINAL)


def _without(node: Document, place: Sequence[str]) -> Document:
    """The object without what stands there; itself where nothing does."""
    head, *below = place
    if head not in node:
        return node
    if not below:
        return {key: value for key, value in node.items() if key != head}
    inner = node[head]
    if not isinstance(inner, Mapping):
        return node
    left = _without(inner, below)
    return node if left is inner else {**node, head: left}
