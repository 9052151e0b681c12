"""What an export reads: changes that it does not have yet, and events as they were when they were scored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from connector.ledger.codec import decode_verdict
from connector.ledger.database import chunks
from connector.ledger.room import Room
from connector.ledger.rows import Noted, Scored
from connector.ledger.schema import dispositions, snapshots, verdicts
from connector.ledger.times import moment
from connector.types import DispositionChange

_PAGE: Final = 2_000
_decode = msgspec.json.Decoder(DispositionChange).decode


class Closures(Room):
    """Changes of alerts, and the events that they are about."""

    def dispositions_beside(self, known: Collection[str]) -> Iterator[Noted]:
        """Every change whose id is not known, in the order of ids.

        Ids and no cursor: changes may be observed, and committed by replicas, in any order, and none is passed over.
        """
        after: str | None = None
        while True:
            page = sa.select(dispositions.c.id).order_by(dispositions.c.id).limit(_PAGE)
            with self._db.read() as tx:
                ids = tx.execute(page if after is None else page.where(dispositions.c.id > after)).scalars().all()
                new = [one for one in ids if one not in known]
                wanted = sa.select(dispositions.c.id, dispositions.c.history, dispositions.c.document)
                rows = tx.execute(wanted.where(dispositions.c.id.in_(new)).order_by(dispositions.c.id)).all()
            yield from (Noted(id=row.id, history=row.history, change=_decode(row.document)) for row in rows)
            if len(ids) < _PAGE:
                return
            after = ids[-1]

    def scored(self, event_ids: Sequence[str]) -> dict[str, Scored]:
        """Of those events that have a snapshot: their first verdict, when it was written, and what it was decided on."""
        query = sa.select(
            snapshots.c.event_id, snapshots.c.document, verdicts.c.created_at, verdicts.c.document.label("said")
        ).join(verdicts, verdicts.c.record_id == snapshots.c.event_id)
        found: dict[str, Scored] = {}
        with self._db.read() as tx:
            for ids in chunks(sorted(set(event_ids))):
                for row in tx.execute(query.where(snapshots.c.event_id.in_(ids))):
                    at: datetime = moment(row.created_at)
                    found[row.event_id] = Scored(verdict=decode_verdict(row.said), at=at, snapshot=row.document)
        return found
