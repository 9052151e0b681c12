"""A person's word on a playbook run that waits: the one way for the command and for the API."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from connector.ledger import Approval, Ledger

MANY = 100_000
"""Waiting actions that are looked through."""


class Ruling(msgspec.Struct, frozen=True):
    """What holds now. ``changed`` is false where an earlier decision stands."""

    approval: Approval
    changed: bool


def rule(
    ledger: Ledger,
    key: str,
    state: Literal["approved", "rejected"],
    who: str,
    *,
    reason: str = "",
    expires_at: datetime | None = None,
) -> Ruling | None:
    """Records the decision on an action that waits; the first one stands. None: no action with this key waits."""
    if key not in {action.key for action, _ in ledger.waiting(MANY)}:
        return None
    held = ledger.set_approval(key, state, who, reason=reason, expires_at=expires_at)
    return Ruling(held, (held.state, held.expires_at) == (state, expires_at))
