"""Look-up entries: what the text model alone says of fingerprints that an ingest pipeline did not know.

A pipeline that fingerprints events marks those that it cannot answer as pending. Each such fingerprint, if it is the one
that we compute, becomes one entry a model and canonical version, for the targets that take entries. An entry lasts
between one and two :data:`PERIOD`; while events of the fingerprint still come pending, each period makes it anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from connector import identity
from connector.events import CANONICAL_VERSIONS
from connector.ledger import OutboxRow
from connector.models import Bundle
from connector.models.cache import Cache
from connector.pipeline.routes import Routes
from connector.policy import verdict_name
from connector.types import Event, LookupEntry, ModelRef, Prediction

PERIOD: Final = timedelta(days=7)
REMEMBERED: Final = 100_000
"""Fingerprints whose entry is known to be on its way, so that their next events make none."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Made(NamedTuple):
    """Outbox rows, and the record ids by fingerprint that they (or an abstention) settle."""

    rows: tuple[OutboxRow, ...] = ()
    records: Mapping[str, str] = {}


class Lookups:
    """The entries that one source's events make."""

    def __init__(self, routes: Routes, origin_key: bytes) -> None:
        self._routes = routes
        self._origin_key = origin_key
        self._told: Cache[str, str] = Cache(REMEMBERED)

    def made(self, source: str, events: Sequence[Event], bundle: Bundle, now: datetime) -> Made:
        """What these events' fingerprints lack, each entry hanging on the verdict of the first event that asks for it."""
        if not self._routes.writers_of(LookupEntry, source):
            return Made()
        period = (now - _EPOCH) // PERIOD
        asking: dict[str, tuple[Event, str]] = {}
        for event in events:
            if is_pending(event) and event.kind in CANONICAL_VERSIONS:
                record = _record_id(event, bundle.model, period)
                if self._told.get(event.fingerprint) != record:
                    asking.setdefault(event.fingerprint, (event, record))
        if not asking:
            return Made()
        rows: list[OutboxRow] = []
        predictions = bundle.text_alone([event for event, _ in asking.values()])
        for (event, record), prediction in zip(asking.values(), predictions, strict=True):
            entry = self._entry(event, record, prediction, bundle, _EPOCH + (period + 2) * PERIOD)
            if entry.verdict != "abstain":
                rows += self._routes.caused(entry, identity.record_id(event.id, 1), source)
        return Made(tuple(rows), {fingerprint: record for fingerprint, (_, record) in asking.items()})

    def committed(self, made: Made) -> None:
        """Remembers what is in the ledger now; what was rolled back is made again with the batch."""
        for fingerprint, record in made.records.items():
            self._told.put(fingerprint, record)

    def _entry(
        self, event: Event, record: str, prediction: Prediction, bundle: Bundle, expires_at: datetime
    ) -> LookupEntry:
        return LookupEntry(
            record_id=record,
            fingerprint=event.fingerprint,
            canonical_version=CANONICAL_VERSIONS[event.kind],
            model=bundle.model,
            p_malicious=prediction.p_malicious,
            techniques=prediction.techniques,
            passed=prediction.passed,
            kind=event.kind,
            verdict=verdict_name(prediction, bundle.thresholds_alone),
            expires_at=expires_at,
            origin=identity.origin_mark(self._origin_key, record),
        )


def is_pending(event: Event) -> bool:
    """Whether an ingest pipeline asks for this event's fingerprint, and computed the same one."""
    stamp = event.ecs.get("triaged")
    return type(stamp) is dict and stamp.get("status") == "pending" and stamp.get("fingerprint") == event.fingerprint


def _record_id(event: Event, model: ModelRef, period: int) -> str:
    step = msgspec.json.encode([model.name, model.version, CANONICAL_VERSIONS[event.kind], period]).decode()
    return identity.follow_up_id(event.fingerprint, "lookup_entry", step)
