"""A person's word on a playbook run that waits: the one way for the command and for the API."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from connector.ledger import Approval, Ledger
from connector.policy import Policy

MANY = 100_000
"""Waiting actions that are looked through."""

UNRULED = timedelta(hours=1)
"""How long an approval holds where the action's rule is gone; such an action is refused anyway."""


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
    policy: Policy,
    now: datetime,
    holds: timedelta | None = None,
) -> Ruling | None:
    """Records the decision on an action that waits; the first one stands. None: no action with this key waits.

    ``holds``: for how long an approval does; None: as long as the action's rule says.
    """
    action = next((action for action, _ in ledger.waiting(MANY) if action.key == key), None)
    if action is None:
        return None
    wanted = policy.rule(action.rule)
    lasting = holds or (wanted.approval_expiry if wanted else UNRULED)
    expires_at = now + lasting if state == "approved" else None
    held = ledger.set_approval(key, state, who, reason=reason, expires_at=expires_at)
    return Ruling(held, (held.state, held.expires_at) == (state, expires_at))
