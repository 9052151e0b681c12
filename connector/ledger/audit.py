"""The audit log: append-only, each entry chained to the one before it by SHA-256.

A changed, removed or inserted entry breaks the chain at its place. Entries cut off at the end can be told only by
comparing the newest hash with a copy of it that is kept elsewhere, which is why :meth:`Audit.verify_audit` returns it.

What becomes of an action is written by :func:`append_action`, in the transaction in which it becomes so::

    action admitted    before anything is sent; also each time that it may be sent again
    action refused     with the reason; of a cool-down only the first time (:mod:`connector.ledger.admission`)
    action looked for  the policy refuses it now, but it may have run already: its SOAR is asked, nothing is sent
    action started     with the run's id
    action in doubt    it was sent, and nobody knows whether it arrived
    action failed      the SOAR rejected it (``outcome`` rejected), or the doubt stays for good (dead)
    action ended       with the state of the run
    action parked      its SOAR had no room: of one batch, rule and entity the first, with their count
    action unreadable  its row cannot be read
    action replayed    a person queued again what was parked, failed or unreadable
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from connector.errors import PermanentError
from connector.ledger.codec import encode
from connector.ledger.database import Tx, lock
from connector.ledger.room import Room
from connector.ledger.rows import AuditEntry
from connector.ledger.schema import audit
from connector.ledger.times import micros, moment
from connector.types import Action, Json

GENESIS = "0" * 64
POLICY = "policy"
"""Who acts where no person did: the rule that the entry names."""

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


def append_action(tx: Tx, actor: str, what: str, action: Action, now: int, **more: Json) -> AuditEntry:
    """Adds what became of an action.

    ``request`` is the digest of the action as its SOAR's adapter is given it: from that and the playbook alone it makes
    its requests, and the same bytes stand in ``runs.action``.
    """
    detail: dict[str, Json] = {
        "key": action.key,
        "rule": action.rule,
        "playbook": action.playbook,
        "soar": action.soar,
        "tier": action.tier,
        "mode": action.mode,
        "entity": action.entity_key,
        "event": action.verdict.event_id,
        "request": hashlib.sha256(encode(action)).hexdigest(),
    }
    return append(tx, actor, what, detail | more, now)


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
        count, newest = 0, GENESIS
        for entry in chained(self.audit_entries()):
            count, newest = entry.seq, entry.hash
        return count, newest


def chained(entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
    """The entries as they come, from the first one on; raises ``PermanentError`` at one that breaks the chain."""
    prev = GENESIS
    for count, entry in enumerate(entries, 1):
        if entry.seq != count or entry.prev != prev or entry.hash != link(entry):
            raise PermanentError(f"the audit chain is broken at entry {entry.seq} (expected entry {count})")
        prev = entry.hash
        yield entry
