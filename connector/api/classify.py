"""Verdicts without a ledger: nothing is written, nothing is started, and no member's state is read."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from connector import events
from connector.api.bodies import Classify, Item, payload
from connector.api.desk import Desk
from connector.errors import PermanentError
from connector.policy import DecisionContext, decide, document
from connector.policy.document import error_document
from connector.types import Event, RawEvent, SourceRef


def verdicts(desk: Desk, request: Classify, deployment: str) -> list[dict[str, Any]]:
    """One document an event, in order: its verdict, or the row of one that cannot be read."""
    siem = request.deployment or deployment
    return documents(desk, [raw_event(item, siem, place) for place, item in enumerate(request.events)])


def documents(desk: Desk, raws: Sequence[RawEvent]) -> list[dict[str, Any]]:
    """The same, of raw events."""
    outcomes = [_normalised(raw) for raw in raws]
    good = [event for event in outcomes if isinstance(event, Event)]
    bundle, policy = desk.bundle(), desk.policy()
    predictions = iter(bundle.predict_without_state(good))
    context = DecisionContext(
        now=desk.clock(),
        model=bundle.model,
        thresholds=bundle.thresholds,
        members=len(bundle.members),
        origin_key=None,
    )
    rows: list[dict[str, Any]] = []
    for raw, event in zip(raws, outcomes, strict=True):
        if isinstance(event, Event):
            known = desk.enrichment.context(event, context)
            rows.append(document(decide(event, next(predictions), known, policy).verdict))
        else:
            rows.append(error_document(raw.ref, bundle.model, str(event), raw.place))
    return rows


def raw_event(item: Item, siem: str, place: int) -> RawEvent:
    """The item as a source would hand it out. Without an id of its own it is known by its content."""
    data = bytes(item.data)
    native = item.id or f"sha256:{hashlib.sha256(data).hexdigest()}"
    return RawEvent(
        deployment=siem,
        native_id=native,
        ref=SourceRef(siem=siem, index=item.index, id=native),
        data=payload(data),
        place=f"events[{place}]",
    )


def _normalised(raw: RawEvent) -> Event | PermanentError:
    try:
        return events.normalise(raw)
    except PermanentError as error:
        return error
