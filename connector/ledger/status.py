"""Counts for people."""

from __future__ import annotations

import sqlalchemy as sa

from connector.ledger.controls import switch_rows
from connector.ledger.database import Tx
from connector.ledger.outbox import IS_OPEN
from connector.ledger.readers import HISTORY, from_row
from connector.ledger.room import Room
from connector.ledger.rows import Lease, Status
from connector.ledger.schema import cursors, dead_letters, leases, outbox, runs, snapshots, tombstones, verdicts
from connector.ledger.times import moment


class StatusRoom(Room):
    """How the ledger stands."""

    def status(self) -> Status:
        """Counts of everything that a person would ask about, at one moment."""
        unresolved = dead_letters.c.resolved_at.is_(None)
        with self._db.read() as tx:
            held = tx.execute(sa.select(leases).where(leases.c.owner.is_not(None)).order_by(leases.c.name))
            places = sa.select(cursors).where(cursors.c.purpose != HISTORY).order_by(cursors.c.source)
            return Status(
                verdicts=_by(tx, verdicts.c.verdict),
                tombstones=_count(tx, tombstones),
                snapshots=_count(tx, snapshots),
                pending=_by(tx, outbox.c.target, IS_OPEN),
                dead_letters=_by(tx, dead_letters.c.source, unresolved),
                open_runs=sum(_by(tx, runs.c.soar, runs.c.state == "running").values()),
                readers=tuple(from_row(row) for row in tx.execute(places)),
                leases=tuple(
                    Lease(name=row.name, owner=row.owner, fence=row.fence, expires_at=moment(row.expires_at))
                    for row in held
                ),
                switches=switch_rows(tx),
            )


def _by(tx: Tx, column: sa.Column[str], *where: sa.ColumnElement[bool]) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(*where).group_by(column).order_by(column)
    return {str(name): int(count) for name, count in tx.execute(query)}


def _count(tx: Tx, table: sa.Table) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
