"""From raw events to normalised ones: what cannot be read becomes a dead letter, and what is ours is set apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from connector import events, identity
from connector.errors import PermanentError
from connector.ledger import DeadLetter
from connector.pipeline import kept, own
from connector.telemetry import Signal, emit
from connector.types import Event, RawEvent

LONGEST_REASON = 1000
"""Characters of a dead letter's reason: it may quote the event, which may be of any length."""


Sighting: TypeAlias = tuple[str, str, int]
"""An event's id, and the partition and offset at which it was seen."""


class Prepared(msgspec.Struct, frozen=True):
    """A batch after normalisation. ``own`` are ids of records that are ours; ``dead`` could not be read."""

    events: tuple[Event, ...]
    dead: tuple[DeadLetter, ...] = ()
    own: tuple[str, ...] = ()
    sightings: tuple[Sighting, ...] = ()


def prepare(source: str, raws: Sequence[RawEvent], origin_key: bytes) -> Prepared:
    """Normalises the events of a source. Nothing that one event holds can stop the others."""
    good: list[Event] = []
    dead: list[DeadLetter] = []
    own_ids: list[str] = []
    sightings: list[Sighting] = []
    for raw in map(kept.scrubbed, raws):
        try:
            event = events.normalise(raw)
            if _is_own(source, event, origin_key):
                own_ids.append(event.id)
            else:
                good.append(event)
            subject = event.id
        except PermanentError as error:
            dead.append(letter := _dead(source, raw, str(error)))
            subject = letter.subject
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever an event makes fail, it fails alone and is reported
            dead.append(letter := _dead(source, raw, f"{type(error).__name__}: {error}", error))
            subject = letter.subject
        if raw.position is not None:
            sightings.append((subject, raw.position.partition, raw.position.offset))
    return Prepared(tuple(good), tuple(dead), tuple(own_ids), tuple(sightings))


def quarantine(source: str, raws: Sequence[RawEvent], attempts: int) -> Prepared:
    """Every event of a page as a dead letter, untried: trying it has failed too often."""
    reason = f"poison: {attempts} attempts at this event alone failed"
    dead = {raw.native_id: _dead(source, raw, reason) for raw in map(kept.scrubbed, raws)}
    sightings = tuple(
        (dead[raw.native_id].subject, raw.position.partition, raw.position.offset)
        for raw in raws
        if raw.position is not None
    )
    return Prepared((), tuple(dead.values()), sightings=sightings)


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
