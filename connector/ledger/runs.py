"""Playbook runs: which were started, and how they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from connector.ledger import audit, outbox
from connector.ledger.codec import decode_action, encode
from connector.ledger.database import Tx, insert
from connector.ledger.room import Room
from connector.ledger.rows import Claim, OpenRun, OutboxRow, RunRow
from connector.ledger.schema import runs
from connector.ledger.times import moment
from connector.types import Action, RunRef, RunStatus


class Runs(Room):
    """Runs by action key."""

    def start_run(
        self, claim: Claim, run_ref: RunRef, follow_ups: Sequence[OutboxRow] = (), *, sent: str | None = None
    ) -> bool:
        """Marks a claimed action as started, with the records that tell so; on the disk when it returns.

        ``sent`` is the digest of the request, for the audit log; None where nobody can show it.

        False, and nothing changed, where the claim was lost: whoever claims the row next asks the SOAR first.
        """
        now = self._now()
        with self._db.write(durable=True) as tx:
            if claim.id not in outbox.held(tx, [claim]):
                return False
            outbox.finish(tx, [claim], now)
            row: dict[str, Any] = {
                "action_key": claim.record_id,
                "soar": run_ref.soar,
                "run_id": run_ref.run_id,
                "state": "running",
            }
            row |= {"detail": "", "action": encode(claim.record), "started_at": now, "polled_at": now}
            tx.execute(insert(tx, runs).values(row).on_conflict_do_nothing())
            if isinstance(claim.record, Action):
                audit.append_action(
                    tx, audit.POLICY, "action started", claim.record, now, run=run_ref.run_id, sent=sent
                )
            outbox.put(tx, follow_ups, None, now)
        return True

    def open_runs(self, soar: str, limit: int) -> list[OpenRun]:
        """Runs whose end was not seen, those first that were looked at longest ago."""
        query = sa.select(runs).where(runs.c.soar == soar, runs.c.state == sa.literal_column("'running'"))
        with self._db.read() as tx:
            rows = tx.execute(query.order_by(runs.c.polled_at).limit(limit)).all()
        return [
            OpenRun(
                action=decode_action(row.action),
                ref=RunRef(soar=row.soar, run_id=row.run_id),
                state=row.state,
                started_at=moment(row.started_at),
            )
            for row in rows
        ]

    def finish_run(self, status: RunStatus, follow_ups: Sequence[OutboxRow] = ()) -> bool:
        """Writes how a run stands, with the records that tell so. ``running`` only notes that it was looked at.

        False, and no record, where its end was written before: of two workers that see it, one tells.
        """
        now = self._now()
        values = {"state": status.state, "detail": status.detail, "polled_at": now}
        if status.state != "running":
            values["finished_at"] = now
        with self._db.write() as tx:
            open_ = (runs.c.action_key == status.action_key, runs.c.state == "running")
            updated = sa.update(runs).where(*open_).values(values).returning(runs.c.action, runs.c.soar)
            row = tx.execute(updated).first()
            if row is None:
                return False
            if status.state != "running":
                _ended(tx, row, status, now)
            outbox.put(tx, follow_ups, None, now)
        return True

    def run_of(self, action_key: str) -> RunRow | None:
        """What became of an action: its state, detail and run id."""
        with self._db.read() as tx:
            row = tx.execute(sa.select(runs).where(runs.c.action_key == action_key)).first()
        return None if row is None else RunRow(state=row.state, detail=row.detail, run_id=row.run_id)


def _ended(tx: Tx, row: Any, status: RunStatus, now: int) -> None:
    told = {"run": status.run_id, "state": status.state, "detail": status.detail}
    audit.append_action(tx, f"soar:{row.soar}", "action ended", decode_action(row.action), now, **told)
