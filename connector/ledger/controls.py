"""What people set: switches, silences and approvals. Each change is audited in its own transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connector.ledger import audit
from connector.ledger.codec import decode_action
from connector.ledger.database import Tx, insert, lock
from connector.ledger.outbox import joined_scope
from connector.ledger.room import Room
from connector.ledger.rows import Approval, ApprovalState, Silence, Switch
from connector.ledger.schema import OPEN, approvals, counters, outbox, silences, switches
from connector.ledger.times import maybe_moment, micros, moment
from connector.types import Action


def switch_rows(tx: Tx) -> tuple[Switch, ...]:
    """All switches by name."""
    rows = tx.execute(sa.select(switches).order_by(switches.c.name))
    return tuple(Switch(name=row.name, on=row.on, who=row.who, at=moment(row.at)) for row in rows)


def live_silences(tx: Tx, now: int) -> tuple[Silence, ...]:
    """Silences that end after ``now``."""
    rows = tx.execute(sa.select(silences).where(silences.c.until > now).order_by(silences.c.id))
    return tuple(
        Silence(id=row.id, scope=row.scope, until=moment(row.until), who=row.who, reason=row.reason) for row in rows
    )


def approval_of(tx: Tx, key: str) -> Approval | None:
    """The decision on an action."""
    row = tx.execute(sa.select(approvals).where(approvals.c.action_key == key)).first()
    if row is None:
        return None
    return Approval(
        key=row.action_key,
        state=row.state,
        who=row.who,
        at=moment(row.at),
        reason=row.reason,
        expires_at=maybe_moment(row.expires_at),
    )


def _wake(tx: Tx, key: str, now: int) -> None:
    """An action that waits, and that nobody has claimed, is due now."""
    waiting = sa.update(outbox).where(outbox.c.kind == "action", outbox.c.record_id == key, outbox.c.state == OPEN)
    waiting = waiting.where(outbox.c.owner.is_(None), outbox.c.available_at > now)
    tx.execute(waiting.values(available_at=now))


class Controls(Room):
    """Switches, silences and approvals."""

    def set_switch(self, name: str, on: bool, who: str) -> None:
        """Sets a switch. It waits for admissions that are open, and holds for all that come after."""
        now = self._now()
        row = {"name": name, "on": on, "who": who, "at": now}
        with self._db.write(durable=True) as tx:
            lock(tx, switches)
            changed = {key: row[key] for key in ("on", "who", "at")}
            statement = insert(tx, switches).values(row)
            tx.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changed))
            audit.append(tx, who, "switch", {"name": name, "on": on}, now)

    def switches(self) -> dict[str, bool]:
        """Every switch that was ever set, and whether it is on."""
        with self._db.read() as tx:
            return {switch.name: switch.on for switch in switch_rows(tx)}

    def add_silence(self, scope: str, until: datetime, who: str, reason: str) -> Silence:
        """No playbook for the scope until then."""
        now = self._now()
        row = {"scope": scope, "until": micros(until), "who": who, "reason": reason, "created_at": now}
        with self._db.write(durable=True) as tx:
            number = tx.execute(sa.insert(silences).values(row).returning(silences.c.id)).scalar_one()
            audit.append(tx, who, "silence", {"scope": scope, "until": until.isoformat(), "reason": reason}, now)
        return Silence(id=number, scope=scope, until=until, who=who, reason=reason)

    def end_silence(self, number: int, who: str) -> bool:
        """Ends a silence now; False where it had ended."""
        now = self._now()
        with self._db.write(durable=True) as tx:
            ended = sa.update(silences).where(silences.c.id == number, silences.c.until > now).values(until=now)
            if tx.execute(ended).rowcount == 0:
                return False
            audit.append(tx, who, "silence ended", {"id": number}, now)
        return True

    def silences(self, now: datetime | None = None) -> tuple[Silence, ...]:
        """Silences that have not ended."""
        with self._db.read() as tx:
            return live_silences(tx, self._now() if now is None else micros(now))

    def set_approval(
        self, key: str, state: ApprovalState, who: str, *, reason: str = "", expires_at: datetime | None = None
    ) -> Approval:
        """Records a person's decision on an action. The first decision stands: a later one changes nothing.

        ``pending`` is no decision yet and gives way to one, and so does an approval that has expired. The action, if it
        waits, is looked at again at once. Returns what holds now.
        """
        now = self._now()
        row: dict[str, Any] = {"state": state, "who": who, "at": now, "reason": reason}
        row["expires_at"] = None if expires_at is None else micros(expires_at)
        gives_way = sa.or_(approvals.c.state == "pending", approvals.c.expires_at <= now)
        with self._db.write(durable=True) as tx:
            lock(tx, switches)  # an admission that has read the old decision is over before its action is woken
            statement = insert(tx, approvals).values(action_key=key, **row)
            statement = statement.on_conflict_do_update(index_elements=["action_key"], set_=row, where=gives_way)
            if tx.execute(statement.returning(approvals.c.action_key)).first() is not None:
                audit.append(tx, who, f"approval {state}", {"action": key, "reason": reason}, now)
                if state != "pending":
                    _wake(tx, key, now)
            held = approval_of(tx, key)
        if held is None:
            raise LookupError(f"approval {key} was just written and is not there")
        return held

    def approvals(self, state: ApprovalState | None = None) -> list[Approval]:
        """Decisions, or what waits for one, oldest first."""
        query = sa.select(approvals.c.action_key).order_by(approvals.c.at)
        if state is not None:
            query = query.where(approvals.c.state == state)
        with self._db.read() as tx:
            found = (approval_of(tx, key) for key in tx.execute(query).scalars().all())
            return [entry for entry in found if entry is not None]

    def joined(self, keys: Collection[str]) -> dict[str, int]:
        """How many verdicts each of these actions stands for; only of those that were grouped."""
        scopes = {joined_scope(key): key for key in keys}
        query = sa.select(counters.c.scope, sa.func.count()).where(counters.c.scope.in_(scopes))
        with self._db.read() as tx:
            return {scopes[scope]: count for scope, count in tx.execute(query.group_by(counters.c.scope))}

    def waiting(self, limit: int = 100) -> list[tuple[Action, str]]:
        """Actions that have not acted yet, oldest first, each with the reason for which it waits (empty: none yet)."""
        query = (
            sa.select(outbox.c.payload, outbox.c.reason)
            .where(outbox.c.kind == "action", outbox.c.state == OPEN)
            .order_by(outbox.c.created_at, outbox.c.id)
            .limit(limit)
        )
        with self._db.read() as tx:
            return [(decode_action(payload), reason) for payload, reason in tx.execute(query)]
