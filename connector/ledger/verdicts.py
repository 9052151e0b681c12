"""Verdicts and the snapshots of events that they were decided on."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from connector import identity
from connector.ledger import bulk
from connector.ledger.codec import decode_verdict, encode
from connector.ledger.database import Tx, chunks, insert
from connector.ledger.room import Room
from connector.ledger.schema import snapshots, tombstones, verdicts
from connector.ledger.times import micros
from connector.types import Verdict, VerdictName

_IDS: sa.BindParameter[list[str]] = sa.bindparam("ids", expanding=True)
JUDGED = bulk.Place(verdicts.c.record_id)
BURIED = bulk.Place(tombstones.c.subject)
_PAGE = 500


def put(tx: Tx, new: Sequence[Verdict], now: int) -> frozenset[str]:
    """Inserts verdicts and returns the record ids of those that were really inserted.

    Ids that are there already, and ids whose verdict expired into a tombstone, change nothing. Raises ``ValueError``
    for a record id that is not the one that event and revision give: every look-up relies on it.
    """
    for verdict in new:
        if verdict.record_id != identity.record_id(verdict.event_id, verdict.revision):
            raise ValueError(f"verdict {verdict.record_id} is not revision {verdict.revision} of {verdict.event_id}")
    buried = bulk.present(tx, [verdict.record_id for verdict in new], BURIED)
    # In the order of the keys: two replicas that insert the same events then wait for, and never deadlock, each other.
    ids = {verdict.record_id: verdict for verdict in new if verdict.record_id not in buried}
    ordered = [ids[record_id] for record_id in sorted(ids)]
    columns: bulk.Columns = {
        "record_id": [verdict.record_id for verdict in ordered],
        "revision": [verdict.revision for verdict in ordered],
        "verdict": [verdict.verdict for verdict in ordered],
        "created_at": [now] * len(ordered),
        "document": list(map(encode, ordered)),
    }
    return bulk.insert_new(tx, verdicts, "record_id", columns)


def keep(tx: Tx, documents: Mapping[str, bytes], now: int) -> None:
    """Stores snapshots by event id; the first one stands."""
    keys = sorted(documents)
    columns: bulk.Columns = {"event_id": keys, "at": [now] * len(keys), "document": [documents[key] for key in keys]}
    bulk.insert(tx, snapshots, columns)


def bury(tx: Tx, subjects: Collection[str], reason: str, now: int) -> None:
    """Writes tombstones; one that is there already is as good as new."""
    if subjects:
        statement = insert(tx, tombstones)
        statement = statement.on_conflict_do_update(index_elements=["subject"], set_={"at": statement.excluded.at})
        tx.execute(statement, [{"subject": key, "at": now, "reason": reason} for key in sorted(subjects)])


class Verdicts(Room):
    """What was decided, and on what."""

    def verdicts(
        self,
        *,
        levels: Collection[VerdictName] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> Iterator[Verdict]:
        """Verdicts from the newest to the oldest; ``since <= time of decision < until``. Lazy, in pages."""
        query = sa.select(verdicts.c.id, verdicts.c.document).order_by(verdicts.c.id.desc()).limit(_PAGE)
        if levels is not None:
            query = query.where(verdicts.c.verdict.in_(levels))
        if since is not None:
            query = query.where(verdicts.c.created_at >= micros(since))
        if until is not None:
            query = query.where(verdicts.c.created_at < micros(until))
        given, before = 0, None
        while True:
            with self._db.read() as tx:
                page = tx.execute(query if before is None else query.where(verdicts.c.id < before)).all()
            for row in page:
                if limit is not None and given >= limit:
                    return
                given += 1
                yield decode_verdict(row.document)
            if len(page) < _PAGE:
                return
            before = page[-1].id

    def verdict(self, event_id: str, revision: int | None = None) -> Verdict | None:
        """An event's verdict at a revision; None: at its newest."""
        found: Verdict | None = None
        step = revision or 1
        with self._db.read() as tx:
            while True:
                record_id = identity.record_id(event_id, step)
                document = tx.execute(
                    sa.select(verdicts.c.document).where(verdicts.c.record_id == record_id)
                ).scalar_one_or_none()
                if document is None:
                    return found
                found, step = decode_verdict(document), step + 1
                if revision is not None:
                    return found

    def newest(self, event_ids: Collection[str]) -> dict[str, Verdict]:
        """The newest verdict of each of these events that has one, by event id."""
        query = sa.select(verdicts.c.document).where(verdicts.c.record_id.in_(_IDS))
        found: dict[str, Verdict] = {}
        asked = list(dict.fromkeys(event_ids))
        revision = 1
        with self._db.read() as tx:
            while asked:
                record_ids = [identity.record_id(event_id, revision) for event_id in asked]
                rows = [row for ids in chunks(record_ids) for row in tx.execute(query, {"ids": ids})]
                newer = {verdict.event_id: verdict for verdict in (decode_verdict(row.document) for row in rows)}
                found |= newer
                asked = list(newer)
                revision += 1
        return found

    def snapshots(self, event_ids: Sequence[str]) -> dict[str, bytes]:
        """The stored documents of those events that have one."""
        query = sa.select(snapshots.c.event_id, snapshots.c.document).where(snapshots.c.event_id.in_(_IDS))
        with self._db.read() as tx:
            return {row.event_id: row.document for ids in chunks(event_ids) for row in tx.execute(query, {"ids": ids})}

    def redact_snapshot(self, event_id: str, document: bytes) -> bool:
        """Replaces a snapshot by its redacted form; False where there is none."""
        with self._db.write() as tx:
            changed = sa.update(snapshots).where(snapshots.c.event_id == event_id)
            return tx.execute(changed.values(document=document, redacted_at=self._now())).rowcount == 1
