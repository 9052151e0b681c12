"""Admission: which actions may act now, decided while nobody else can count, switch or claim.

One write transaction claims the rows, reads what the decision depends on, counts what was let through and records what
was refused. Counters and switches are locked for its length, so that caps hold across replicas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.ledger import audit, dead_letters, outbox
from connector.ledger.codec import encode
from connector.ledger.controls import approval_of, live_silences, switch_rows
from connector.ledger.database import Tx, insert, lock
from connector.ledger.leases import micros_of
from connector.ledger.room import Room
from connector.ledger.rows import Approval, Claim, OutboxRow, Renewal, Silence
from connector.ledger.schema import DONE, counters, outbox as outbox_rows, runs, switches
from connector.ledger.times import maybe_moment, micros, moment
from connector.types import Action

COOLING = "cool-down:"
"""How the reason begins with which the policy refuses what comes too soon after a run."""

NOBODY = "00000000-0000-0000-0000-000000000000"
"""The key of no action."""


def _told_scope(action: Action) -> str:
    """Marks that the audit log tells of the present cool-down; it goes when the rule acts on the entity again."""
    return f"told:{action.rule}:{action.entity_key}"


class Admission:
    """An open admission. What is neither run, put off nor refused stays as it was."""

    def __init__(self, tx: Tx, rows: tuple[Claim, ...], owner: str, now: int, until: int) -> None:
        self.rows = rows
        """Claims whose record is an Action."""
        self.now = moment(now)
        """The moment of the admission: after all that came before it was counted. What is admitted is counted at it."""
        self._tx = tx
        self._owner = owner
        self._now = now
        self._until = until

    def switches(self) -> Mapping[str, bool]:
        """Every switch that was ever set, and whether it is on."""
        return {switch.name: switch.on for switch in switch_rows(self._tx)}

    def silences(self, now: datetime) -> tuple[Silence, ...]:
        """Silences that have not ended."""
        return live_silences(self._tx, micros(now))

    def approval(self, key: str) -> Approval | None:
        """What a person decided on the action."""
        return approval_of(self._tx, key)

    def last(self, scope: str, excluding_key: str) -> datetime | None:
        """When an action was last counted under the scope, other than this one."""
        newest = sa.select(sa.func.max(counters.c.at)).where(*_others(scope, excluding_key))
        return maybe_moment(self._tx.execute(newest).scalar())

    def count(self, scope: str, since: datetime, excluding_key: str) -> int:
        """How many actions were counted under the scope at or after ``since``, other than this one."""
        query = sa.select(sa.func.count()).where(*_others(scope, excluding_key), counters.c.at >= micros(since))
        return int(self._tx.execute(query).scalar_one())

    def run(self, row: Claim, scopes: Collection[str]) -> None:
        """Lets the action act: the claim becomes true, and it is counted once under each scope, from now on.

        One that was admitted before and comes back is counted at its latest admission: it may act now, and whoever
        comes next must find it within his window.
        """
        outbox.take(self._tx, [row], self._owner, self._until)
        values = [{"scope": scope, "action_key": row.record_id, "at": self._now} for scope in sorted(set(scopes))]
        if values:
            counted = insert(self._tx, counters)
            again = {"at": counted.excluded.at}
            counted = counted.on_conflict_do_update(index_elements=["scope", "action_key"], set_=again)
            self._tx.execute(counted, values)
        if values and isinstance(row.record, Action):
            self._tx.execute(sa.delete(counters).where(counters.c.scope == _told_scope(row.record)))
        self._tell("action admitted" if values else "action looked for", row)

    def wait(self, row: Claim, until: datetime, reason: str) -> None:
        """Puts the action off; no attempt is counted."""
        values = {"available_at": micros(until), "owner": None, "doubts": row.doubts, "reason": reason}
        self._tx.execute(sa.update(outbox_rows).where(outbox_rows.c.id == row.id).values(values))

    def refuse(self, row: Claim, reason: str, follow_ups: Sequence[OutboxRow] = ()) -> None:
        """Ends the action for good, and records why. It was never sent: what was counted for it is forgotten."""
        closed = sa.update(outbox_rows).where(outbox_rows.c.id == row.id)
        self._tx.execute(closed.values(state=DONE, owner=None, reason=reason))
        dead_letters.resolve_deliveries(self._tx, [row.id], self._now)
        outbox.uncount(self._tx, [row])
        refusal: dict[str, Any] = {
            "action_key": row.record_id,
            "soar": row.target,
            "state": "refused",
            "detail": reason,
        }
        refusal |= {"action": encode(row.record), "started_at": self._now, "polled_at": self._now}
        refusal |= {"finished_at": self._now}
        self._tx.execute(insert(self._tx, runs).values(refusal).on_conflict_do_nothing())
        outbox.put(self._tx, follow_ups, None, self._now)
        if self._is_news(row, reason):
            self._tell("action refused", row, reason=reason)

    def _is_news(self, row: Claim, reason: str) -> bool:
        """Whether the audit log tells of a refusal: of a cool-down's, of one rule on one entity, only of the first.

        All of them are in ``runs``, which retention empties; the log keeps for ever what it is told, and whoever writes
        events chooses how many there are.
        """
        if not reason.startswith(COOLING) or not isinstance(row.record, Action):
            return True
        told = insert(self._tx, counters).values(scope=_told_scope(row.record), action_key=NOBODY, at=self._now)
        return bool(self._tx.execute(told.on_conflict_do_nothing().returning(counters.c.at)).first())

    def _tell(self, what: str, row: Claim, **more: str) -> None:
        if isinstance(row.record, Action):
            audit.append_action(self._tx, audit.POLICY, what, row.record, self._now, attempt=row.attempt, **more)


def renew(tx: Tx, renewals: Iterable[Renewal], now: int) -> None:
    """Cool-downs that are not over begin anew."""
    windows = {renewal.scope: micros_of(renewal.window) for renewal in renewals}
    rows = [{"cooling": scope, "since": now - windows[scope]} for scope in sorted(windows)]
    if rows:
        still = sa.update(counters).where(counters.c.scope == sa.bindparam("cooling"), counters.c.at < now)
        tx.execute(still.where(counters.c.at > sa.bindparam("since")).values(at=now), rows)


def _others(scope: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return counters.c.scope == scope, counters.c.action_key != key


class Admissions(Room):
    """Opens admissions."""

    @contextmanager
    def claiming(self, soar: str, owner: str, ttl: timedelta, limit: int) -> Iterator[Admission]:
        """The actions that are due for a SOAR, inside one write transaction with counters and switches locked.

        It is on the disk when the block ends, before anything is sent: a claim that outlives the machine comes back
        doubtful. An exception in the block undoes all of it.
        """
        with self._db.write(durable=True) as tx:
            lock(tx, counters)
            lock(tx, switches)
            now = self._now()  # a moment read before the wait for the locks would be one that others have counted past
            rows = tuple(claim for claim in outbox.due(tx, soar, limit, now) if isinstance(claim.record, Action))
            yield Admission(tx, rows, owner, now, now + micros_of(ttl))
