"""Ids are derived, never random: the same cause gives the same id, so that a replay is a no-op.

All are UUIDv5 (RFC 9562) over length-prefixed parts, so that no two part lists collide by concatenation.
"""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

NAMESPACE = UUID("7b1c0a52-5f0e-5d0a-9c57-3f2f4f6a9e11")
"""Committed for ever: changing it would give every event a second verdict."""

_PREFIX = NAMESPACE.bytes
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that holds RFC 9562's variant, by the hash's own."""


def derive(*parts: str) -> str:
    """The UUIDv5 of the parts, in canonical text form."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    prefixed = b"".join([b"%d:%b" % (len(data), data) for data in encoded])
    raw = hashlib.sha1(_PREFIX + prefixed, usedforsecurity=False).hexdigest()
    return f"{raw[:8]}-{raw[8:12]}-5{raw[13:16]}-{_VARIANTS[raw[16]]}{raw[17:20]}-{raw[20:32]}"


def event_id(deployment: str, native_id: str) -> str:
    """An event's id: its SIEM and the identity that the SIEM gives it; no source or query name."""
    return derive(deployment, native_id)


def record_id(event: str, revision: int) -> str:
    """A verdict's id: the event's own at revision 1, derived from it after."""
    return event if revision == 1 else derive(event, str(revision))


def follow_up_id(cause: str, kind: str, step: str) -> str:
    """The id of a record that another one caused: a run status, a note, a look-up entry."""
    return derive(cause, kind, step)


def action_key(subject: str, rule: str) -> str:
    """An action's idempotency key: its subject and the policy rule."""
    return derive("action", subject, rule)


def window_subject(does: tuple[str, str, str], entity_key: str, start: str) -> str:
    """The subject of the one action that stands for all that a rule sees of an entity from ``start`` on.

    ``does``: the rule, its playbook and its SOAR. A rule that changes within the window so gets another action: the one
    that there is belongs to the SOAR of before, and the ledger keeps one run a key.
    """
    return derive("window", *does, entity_key, start)


def incident_subject(does: tuple[str, str, str], incident: str) -> str:
    """The subject of the one action that stands for all that a rule sees of an incident; ``does`` as in a window."""
    return derive("incident", *does, incident)


def origin_mark(key: bytes, record: str) -> str:
    """The keyed MAC by which a record of ours is recognised on read: ``<record id>.<HMAC-SHA-256, hex>``."""
    return f"{record}.{hmac.new(key, record.encode(), hashlib.sha256).hexdigest()}"


def is_ours(key: bytes, mark: object) -> bool:
    """Whether a mark found on an event is ours. Anything else on ``triaged.origin`` proves nothing."""
    if not isinstance(mark, str):
        return False
    record, _, _ = mark.partition(".")
    return hmac.compare_digest(origin_mark(key, record).encode(), mark.encode("utf-8", "surrogatepass"))
