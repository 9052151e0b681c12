"""From raw events to normalised ones: what cannot be read becomes a dead letter, and what is ours is set apart."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from connector import events, identity
from connector.errors import PermanentError
from connector.ledger import DeadLetter
from connector.pipeline import kept, own
from connector.telemetry import Signal, emit
from connector.types import Event, RawEvent

LONGEST_REASON = 1000
"""Characters of a dead letter's reason: it may quote the event, which may be of any length."""


class Prepared(msgspec.Struct, frozen=True):
    """A batch after normalisation. ``own`` are ids of records that are ours; ``dead`` could not be read."""

    events: tuple[Event, ...]
    dead: tuple[DeadLetter, ...] = ()
    own: tuple[str, ...] = ()
    sightings: tuple[tuple[str, str, int], ...] = ()


def prepare(source: str, raws: Sequence[RawEvent], origin_key: bytes) -> Prepared:
    """Normalises the events of a source. Nothing that one event holds can stop the others."""
    good: list[Event] = []
    dead: list[DeadLetter] = []
    own_ids: list[str] = []
    for raw in map(kept.scrubbed, raws):
        try:
            event = events.normalise(raw)
            if _is_own(source, event, origin_key):
                own_ids.append(event.id)
            else:
                good.append(event)
        except PermanentError as error:
            dead.append(_dead(source, raw, str(error)))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an event makes fail, it fails alone and is reported
            dead.append(_dead(source, raw, f"{type(error).__name__}: {error}", error))
    return Prepared(tuple(good), tuple(dead), tuple(own_ids), _sightings(raws))


def quarantine(source: str, raws: Sequence[RawEvent], attempts: int) -> Prepared:
    """Every event of a page as a dead letter, untried: trying it has failed too often."""
    reason = f"poison: {attempts} attempts at this event alone failed"
    dead = {raw.native_id: _dead(source, raw, reason) for raw in map(kept.scrubbed, raws)}
    return Prepared((), tuple(dead.values()), sightings=_sightings(raws))


def _sightings(raws: Sequence[RawEvent]) -> tuple[tuple[str, str, int], ...]:
    return tuple(
        (identity.event_id(raw.deployment, raw.native_id), raw.position.partition, raw.position.offset)
        for raw in raws
        if raw.position is not None
    )


def _is_own(source: str, event: Event, origin_key: bytes) -> bool:
    mark = own.marked(event)
    if mark is None:
        return False
    ours = own.is_own(event, mark, origin_key)
    emit(Signal.OWN_RECORD if ours else Signal.FOREIGN_MARK, source, place=event.place)
    return ours


def _dead(source: str, raw: RawEvent, reason: str, error: Exception | None = None) -> DeadLetter:
    reason = kept.scrub(reason)[:LONGEST_REASON]
    emit(Signal.DEAD_LETTER, source, error=error, place=raw.place, reason=reason)
    return DeadLetter(
        subject=identity.event_id(raw.deployment, raw.native_id),
        source=source,
        reason=reason,
        payload=kept.preserved(raw),
        place=raw.place,
    )
