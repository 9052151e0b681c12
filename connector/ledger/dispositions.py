"""What analysts did with alerts: every change is a fact, kept once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa

from connector import identity
from connector.ledger import readers
from connector.ledger.codec import encode
from connector.ledger.database import Tx, insert
from connector.ledger.readers import HISTORY
from connector.ledger.room import Room
from connector.ledger.rows import Reader
from connector.ledger.schema import cursors, dispositions
from connector.ledger.times import micros
from connector.types import Cursor, DispositionChange

_decode = msgspec.json.Decoder(DispositionChange).decode


def _id(history: str, change: DispositionChange) -> str:
    moment = str(micros(change.changed_at))
    return identity.derive("disposition", history, change.alert_id, moment, change.status, change.disposition or "")


def put(tx: Tx, history: str, changes: Sequence[DispositionChange]) -> int:
    """Writes those changes that are new, and returns how many that were."""
    rows = {
        _id(history, change): {
            "history": history,
            "alert_id": change.alert_id,
            "changed_at": micros(change.changed_at),
            "observed_at": micros(change.observed_at),
            "document": encode(change),
        }
        for change in changes
    }
    if not rows:
        return 0
    statement = insert(tx, dispositions).on_conflict_do_nothing().returning(dispositions.c.id)
    return len(tx.execute(statement, [{"id": key, **rows[key]} for key in sorted(rows)]).all())


def of_alert(tx: Tx, history: str, alert_id: str) -> list[DispositionChange]:
    """The changes of one alert, oldest first."""
    own = (dispositions.c.history == history, dispositions.c.alert_id == alert_id)
    query = sa.select(dispositions.c.document).where(*own).order_by(dispositions.c.changed_at, dispositions.c.id)
    return list(map(_decode, tx.execute(query).scalars()))


class Dispositions(Room):
    """Changes by history."""

    def record_dispositions(self, history: str, changes: Sequence[DispositionChange], cursor: Cursor | None) -> int:
        """Writes changes and where the history was read up to, in one transaction. Returns how many were new.

        A change that was read before keeps the time at which it was first observed.
        """
        now = self._now()
        with self._db.write() as tx:
            new = put(tx, history, changes)
            if cursor is not None:
                place = Reader(source=history, digest="", partition="", purpose=HISTORY, offset=0, token=cursor.token)
                readers.put(tx, place, now)
        return new

    def disposition_cursor(self, history: str) -> Cursor | None:
        """Where the history was read up to."""
        query = sa.select(cursors.c.token).where(cursors.c.source == history, cursors.c.purpose == HISTORY)
        with self._db.read() as tx:
            token = tx.execute(query).scalar()
        return None if token is None else Cursor(token=token)

    def dispositions(self, history: str | None = None) -> Iterator[DispositionChange]:
        """All changes in the order in which they were observed."""
        query = sa.select(dispositions.c.document).order_by(dispositions.c.observed_at, dispositions.c.id)
        if history is not None:
            query = query.where(dispositions.c.history == history)
        with self._db.read() as tx:
            documents = tx.execute(query).scalars().all()
        yield from map(_decode, documents)
