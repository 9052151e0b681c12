"""Leases: who may work on what, and a fencing token that tells a late worker that it no longer may.

A lease is lost when another owner takes it after it expired. Whoever holds an older fence can then write nothing:
every transaction of the ingest loop checks the fence first (Kleppmann, "How to do distributed locking", 2016).
"""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from connector.errors import LostLeaseError
from connector.ledger.database import Tx, insert
from connector.ledger.room import Room
from connector.ledger.rows import Lease
from connector.ledger.schema import leases
from connector.ledger.times import moment

_FENCE = (
    sa.select(leases.c.owner, leases.c.fence).where(leases.c.name == sa.bindparam("name")).with_for_update(read=True)
)


def hold(tx: Tx, lease: Lease | None) -> None:
    """Proves inside a transaction that the lease has not changed hands, and keeps it so until the end.

    Raises ``LostLeaseError``. None, for a pushed batch, needs no proof.
    """
    if lease is None:
        return
    row = tx.execute(_FENCE, {"name": lease.name}).first()
    if row is None or row.fence != lease.fence or row.owner != lease.owner:
        holder = "nobody" if row is None or row.owner is None else row.owner
        raise LostLeaseError(f"lease {lease.name!r} of {lease.owner!r} is lost: {holder} holds it now")


class Leases(Room):
    """Leases by name."""

    def acquire(self, name: str, owner: str, ttl: timedelta) -> Lease | None:
        """The lease, if nobody else holds it. The same owner takes it again at once, with a new fence (a restart)."""
        now = self._now()
        with self._db.write() as tx:
            fresh = {"name": name, "owner": None, "fence": 0, "expires_at": 0}
            tx.execute(insert(tx, leases).values(fresh).on_conflict_do_nothing())
            row = tx.execute(
                sa.update(leases)
                .where(leases.c.name == name, _free(owner, now))
                .values(owner=owner, fence=leases.c.fence + 1, expires_at=now + micros_of(ttl))
                .returning(leases.c.fence, leases.c.expires_at)
            ).first()
        return (
            None if row is None else Lease(name=name, owner=owner, fence=row.fence, expires_at=moment(row.expires_at))
        )

    def renew(self, lease: Lease, ttl: timedelta) -> Lease:
        """The lease with a later end. Raises ``LostLeaseError`` where it has changed hands."""
        until = self._now() + micros_of(ttl)
        with self._db.write() as tx:
            hold(tx, lease)
            tx.execute(sa.update(leases).where(leases.c.name == lease.name).values(expires_at=until))
        return Lease(name=lease.name, owner=lease.owner, fence=lease.fence, expires_at=moment(until))

    def release(self, lease: Lease) -> None:
        """Gives the lease back; one that is lost already stays as it is."""
        with self._db.write() as tx:
            tx.execute(
                sa.update(leases)
                .where(leases.c.name == lease.name, leases.c.fence == lease.fence)
                .values(owner=None, expires_at=0)
            )


def _free(owner: str, now: int) -> sa.ColumnElement[bool]:
    return sa.or_(leases.c.owner.is_(None), leases.c.owner == owner, leases.c.expires_at <= now)


def micros_of(ttl: timedelta) -> int:
    """A duration in microseconds."""
    return ttl // timedelta(microseconds=1)
