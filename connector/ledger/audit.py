"""The audit log: append-only, each entry chained to the one before it by SHA-256.

A changed, removed or inserted entry breaks the chain at its place. Entries cut off at the end can be told only by
comparing the newest hash with a copy of it that is kept elsewhere, which is why :meth:`Audit.verify_audit` returns it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from connector.errors import PermanentError
from connector.ledger.database import Tx, lock
from connector.ledger.room import Room
from connector.ledger.rows import AuditEntry
from connector.ledger.schema import audit
from connector.ledger.times import micros, moment
from connector.types import Json

GENESIS = "0" * 64
_PAGE = 1_000


def append(tx: Tx, actor: str, what: str, detail: Mapping[str, Json], now: int) -> AuditEntry:
    """Adds an entry inside the transaction that it tells of."""
    lock(tx, audit)
    last = tx.execute(sa.select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)).first()
    seq, prev = (1, GENESIS) if last is None else (last.seq + 1, last.hash)
    text = msgspec.json.encode(detail, order="sorted").decode()
    entry = AuditEntry(seq=seq, at=moment(now), actor=actor, what=what, detail=text, prev=prev, hash="")
    entry = msgspec.structs.replace(entry, hash=link(entry))
    tx.execute(sa.insert(audit), {**msgspec.structs.asdict(entry), "at": now})
    return entry


def link(entry: AuditEntry) -> str:
    """The hash of an entry: SHA-256 of the JSON array of the hash before it and its content."""
    content = (entry.prev, entry.seq, micros(entry.at), entry.actor, entry.what, entry.detail)
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _from_row(row: Any) -> AuditEntry:
    return AuditEntry(
        seq=row.seq,
        at=moment(row.at),
        actor=row.actor,
        what=row.what,
        detail=row.detail,
        prev=row.prev,
        hash=row.hash,
    )


class Audit(Room):
    """The chain."""

    def audit(self, actor: str, what: str, detail: Mapping[str, Json]) -> AuditEntry:
        """Appends an entry."""
        with self._db.write() as tx:
            return append(tx, actor, what, detail, self._now())

    def audit_entries(self) -> Iterator[AuditEntry]:
        """The whole chain in order, read in pages."""
        after = 0
        while True:
            page = sa.select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(_PAGE)
            with self._db.read() as tx:
                rows = tx.execute(page).all()
            yield from map(_from_row, rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq

    def verify_audit(self) -> tuple[int, str]:
        """The number of entries and the newest hash. Raises ``PermanentError`` naming the first broken entry."""
        prev, count = GENESIS, 0
        for entry in self.audit_entries():
            count += 1
            if entry.seq != count or entry.prev != prev or entry.hash != link(entry):
                raise PermanentError(f"the audit chain is broken at entry {entry.seq} (expected entry {count})")
            prev = entry.hash
        return count, prev
