"""Readers: where each reader of a source partition stands. The table is called ``cursors``."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from connector.ledger.database import Tx, insert
from connector.ledger.leases import hold
from connector.ledger.room import Room
from connector.ledger.rows import Lease, Reader
from connector.ledger.schema import cursors

HISTORY = "history"
"""The purpose of an alert history's own cursor, which stands in the same table."""

_KEY = ("source", "digest", "partition", "purpose")


def put(tx: Tx, reader: Reader, now: int) -> None:
    """Writes a reader's state over what was there."""
    values = msgspec.structs.asdict(reader)
    values["position"] = values.pop("offset")
    values["updated_at"] = now
    statement = insert(tx, cursors)
    changed = {name: statement.excluded[name] for name in values if name not in _KEY}
    tx.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=changed), values)


def from_row(row: Any) -> Reader:
    """A reader as its row holds it."""
    return Reader(
        source=row.source,
        digest=row.digest,
        partition=row.partition,
        purpose=row.purpose,
        offset=row.position,
        span_stop=row.span_stop,
        token=row.token,
        attempts=row.attempts,
        complete=row.complete,
    )


class Readers(Room):
    """Readers by source, query digest, partition and purpose."""

    def reader(self, source: str, digest: str, partition: str, purpose: str) -> Reader | None:
        """The reader, if it has ever been put."""
        query = sa.select(cursors).where(cursors.c.source == source, cursors.c.digest == digest)
        query = query.where(cursors.c.partition == partition, cursors.c.purpose == purpose)
        with self._db.read() as tx:
            row = tx.execute(query).first()
        return None if row is None else from_row(row)

    def readers(self, source: str, digest: str | None = None) -> list[Reader]:
        """All readers of a source, in the order of their keys; of one query, or of every query that it ever had."""
        query = sa.select(cursors).where(cursors.c.source == source, cursors.c.purpose != HISTORY)
        if digest is not None:
            query = query.where(cursors.c.digest == digest)
        with self._db.read() as tx:
            return [from_row(row) for row in tx.execute(query.order_by(*(cursors.c[name] for name in _KEY)))]

    def put_reader(self, reader: Reader, lease: Lease | None = None) -> None:
        """Sets a reader, outside of any batch: when it begins its first span, or (without a lease) when a person says so.

        Raises ``LostLeaseError``.
        """
        with self._db.write() as tx:
            hold(tx, lease)
            put(tx, reader, self._now())

    def delete_readers(self, source: str) -> int:
        """Forgets where a source stands; what was proven and decided stays. Returns how many readers there were."""
        with self._db.write() as tx:
            gone = sa.delete(cursors).where(cursors.c.source == source, cursors.c.purpose != HISTORY)
            return tx.execute(gone).rowcount

    def delete_reader(self, reader: Reader) -> None:
        """Removes one reader whose work is done, such as a finished re-read or backfill."""
        key = (cursors.c[name] == getattr(reader, name) for name in _KEY)
        with self._db.write() as tx:
            tx.execute(sa.delete(cursors).where(*key))

    def begin(self, lease: Lease | None, reader: Reader) -> Reader:
        """Counts an attempt at the reader's next batch, and commits that before the batch is scored.

        A batch that kills the process leaves its count behind, so that it can be cut in half until its poison event
        is found. Raises ``LostLeaseError``.
        """
        begun = reader.begun()
        with self._db.write() as tx:
            hold(tx, lease)
            put(tx, begun, self._now())
        return begun
