"""What an analyst is shown of a question: what was said of the event, and the event as it was scored."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from connector.events import canonical, render
from connector.learn.export.snapshot import kept_in
from connector.ledger import Ledger, Review
from connector.policy import document
from connector.types import Verdict

_FIELDS: Final = ("id", "event_id", "reason", "asked_at", "state", "closed_at", "analyst", "outcome")


def plain(review: Review) -> dict[str, Any]:
    """The question itself."""
    return {name: getattr(review, name) for name in _FIELDS}


def shown(review: Review, verdict: Verdict | None) -> dict[str, Any]:
    """The question with the verdict's document, null where that has expired; all of it as JSON has it."""
    found: dict[str, Any] = msgspec.to_builtins(
        {**plain(review), "verdict": None if verdict is None else document(verdict)}
    )
    return found


def listed(ledger: Ledger, *, only_open: bool) -> list[dict[str, Any]]:
    """Questions with the newest verdicts on their events, oldest first."""
    found = ledger.reviews(only_open=only_open)
    verdicts = ledger.newest([one.event_id for one in found])
    return [shown(one, verdicts.get(one.event_id)) for one in found]


def whole(ledger: Ledger, review: Review) -> dict[str, Any]:
    """One question with its event too: the ECS document, names and all, and what the text member read of it."""
    kept = None
    if snapshot := ledger.snapshots([review.event_id]).get(review.event_id):
        kept = kept_in(snapshot)
    return {
        **shown(review, ledger.verdict(review.event_id)),
        "event": None if kept is None else kept.ecs,
        "text": None if kept is None else render(canonical(kept.ecs, kept.kind)),
    }
