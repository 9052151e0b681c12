"""Events that clients push: who they are, and their way into the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector import identity
from connector.api.bodies import Push, PushedItem, payload
from connector.api.inlet import Inlet
from connector.api.refusal import Refusal
from connector.types import RawEvent, SourceRef

MADE_UP = "idempotency-key:"
"""Begins the native id of an event that has none but a client's key. No SIEM names an event so."""


def take(inlet: Inlet, request: Push, client: str, request_key: str | None) -> dict[str, Any]:
    """Takes the events, and says what became of them once all are in the ledger.

    Raises ``Refusal`` (400) for an event without an identity, before anything is taken.
    """
    raws = [_raw(inlet, item, _native(item, client, request_key, place)) for place, item in enumerate(request.events)]
    return taken(inlet, raws)


def taken(inlet: Inlet, raws: Sequence[RawEvent]) -> dict[str, Any]:
    """Takes raw events and says what became of them."""
    outcome = inlet.take(raws)
    return {
        "taken": len(raws),
        "verdicts": outcome.verdicts,
        "known": len(raws) - outcome.verdicts - outcome.dead,
        "dead_letters": outcome.dead,
        "ids": [identity.event_id(raw.deployment, raw.native_id) for raw in raws],
    }


def made_up(client: str, *parts: str) -> str:
    """The native id of an event that a client's key names. Keys of two clients never meet."""
    return f"{MADE_UP}{client}:{':'.join(parts)}"


def _native(item: PushedItem, client: str, request_key: str | None, place: int) -> str:
    if item.id is not None:
        if item.id.startswith(MADE_UP):
            raise Refusal(400, f"events[{place}]: no SIEM gives the id {MADE_UP}…; send it as `key`", at=place)
        return item.id
    if item.key is not None:
        return made_up(client, "event", item.key)
    if request_key:
        return made_up(client, "request", request_key, str(place))
    raise Refusal(
        400,
        f"events[{place}] has neither `id` nor `key`, and the request no Idempotency-Key: it could enter twice",
        at=place,
    )


def _raw(inlet: Inlet, item: PushedItem, native: str) -> RawEvent:
    return RawEvent(
        deployment=inlet.deployment,
        native_id=native,
        ref=SourceRef(siem=inlet.deployment, index=item.index, id=native),
        data=payload(bytes(item.data)),
        place=f"{inlet.name}/{native}",
    )
