"""The ingest loop's end: one transaction writes all that a batch changes, or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import sqlalchemy as sa

from connector.ledger import (
    admission,
    audit,
    bulk,
    dead_letters as letters,
    entities,
    intervals,
    outbox,
    readers,
    states,
    verdicts,
)
from connector.ledger.codec import decode_action
from connector.ledger.database import Tx, chunks
from connector.ledger.leases import hold
from connector.ledger.room import Room
from connector.ledger.rows import Commit, Committed, OutboxRow
from connector.ledger.schema import dead_letters, tombstones
from connector.types import Action

_NOT_REPLAYED = sa.or_(dead_letters.c.replayed_at.is_(None), dead_letters.c.resolved_at.is_not(None))
_DEAD = bulk.Place(dead_letters.c.subject, (dead_letters.c.outbox_id.is_(None), _NOT_REPLAYED))
_IDS: sa.BindParameter[list[str]] = sa.bindparam("ids", expanding=True)
_TOUCH = sa.update(tombstones).where(tombstones.c.subject.in_(_IDS))


class Ingest(Room):
    """What is known, and what a batch adds to it."""

    def known(self, event_ids: Collection[str]) -> frozenset[str]:
        """Those events that have a verdict, a tombstone, or a dead letter that is not being replayed."""
        with self._db.read() as tx:
            return bulk.present(tx, set(event_ids), verdicts.JUDGED, verdicts.BURIED, _DEAD)

    def commit(self, batch: Commit) -> Committed:
        """Writes a batch, fenced by its lease. Doing it twice changes nothing.

        Outbox rows and snapshots are inserted, and cool-downs renewed, only for verdicts that were really inserted; a
        verdict resolves its event's dead letter. Raises ``LostLeaseError`` where the lease changed hands, and ``TransientError`` where a
        member's state or an entity moved; nothing is written then.
        """
        now = self._now()
        with self._db.write(durable=batch.reader is None) as tx:
            hold(tx, batch.lease)
            inserted = verdicts.put(tx, batch.verdicts, now)
            events = frozenset(entry.event_id for entry in batch.verdicts if entry.record_id in inserted)
            letters.resolve(tx, events, now)
            dead = letters.put(tx, batch.dead, now)
            verdicts.bury(tx, frozenset(batch.own), "own record", now)
            fresh = events | dead
            verdicts.keep(tx, {key: batch.snapshots[key] for key in batch.snapshots if key in fresh}, now)
            parked = outbox.put(tx, batch.outbox, inserted, now)
            admission.renew(tx, [renewal for renewal in batch.renewals if renewal.cause in inserted], now)
            states.change(tx, batch.state, now)
            entities.change(tx, batch.entities, inserted, now)
            _account(tx, batch, fresh, now)
            _tell_parked(tx, parked, now)  # last: whoever writes the audit log locks nothing else after it
        return Committed(inserted=events, dead=dead)


def _tell_parked(tx: Tx, rows: Iterable[OutboxRow], now: int) -> None:
    """Audits the actions for which there was no room: of a rule and an entity the first one, with how many they are."""
    alike: dict[tuple[str, str], list[Action]] = {}
    for action in (decode_action(row.payload) for row in rows if row.kind == "action" and row.payload is not None):
        alike.setdefault((action.rule, action.entity_key), []).append(action)
    for first, *others in alike.values():
        audit.append_action(tx, audit.POLICY, "action parked", first, now, count=1 + len(others))


def _account(tx: Tx, batch: Commit, fresh: frozenset[str], now: int) -> None:
    """Sightings, interval and cursor. A tombstone that is sighted again lives on, so that its span stays accounted."""
    intervals.sight(tx, batch.source, batch.sightings)
    again = {event_id for event_id, _, _ in batch.sightings} - fresh
    for ids in chunks(sorted(bulk.present(tx, again, verdicts.BURIED))):
        tx.execute(_TOUCH.values(at=now), {"ids": ids})
    if batch.interval is not None:
        intervals.record(tx, batch.interval, now)
    if batch.reader is not None:
        readers.put(tx, batch.reader, now)
