"""Dead letters: what could not be parsed, scored or delivered, with its reason and the way back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from connector.ledger import audit, bulk
from connector.ledger.codec import decode_action
from connector.ledger.database import Tx, chunks, insert
from connector.ledger.room import Room
from connector.ledger.rows import DeadLetter, Replayed
from connector.ledger.schema import DEAD, OPEN, dead_letters, outbox, verdicts
from connector.ledger.times import maybe_moment

_IDS: sa.BindParameter[list[Any]] = sa.bindparam("ids", expanding=True)
_EVENT = dead_letters.c.outbox_id.is_(None)
_UNRESOLVED = dead_letters.c.resolved_at.is_(None)
_JUDGED = bulk.Place(verdicts.c.record_id)
_DYING = bulk.Place(dead_letters.c.subject, (_EVENT, _UNRESOLVED))
_RESOLVE = sa.update(dead_letters).where(dead_letters.c.subject.in_(_IDS), _EVENT, _UNRESOLVED)


def put(tx: Tx, letters: Sequence[DeadLetter], now: int) -> frozenset[str]:
    """Inserts event dead letters and returns the event ids of those that really died now.

    An event that has its verdict does not die. One that died before counts again only if it was being replayed.
    """
    new = {letter.subject: letter for letter in letters}
    for judged in bulk.present(tx, new, _JUDGED):
        del new[judged]
    if not new:
        return frozenset()
    rows = [_row(new[subject], None, now) for subject in sorted(new)]
    statement = insert(tx, dead_letters)
    again = statement.on_conflict_do_update(
        index_elements=["subject"],
        index_where=sa.text("outbox_id IS NULL"),
        set_=_died_again(statement),
        where=sa.and_(dead_letters.c.replayed_at.is_not(None), _UNRESOLVED),
    )
    return frozenset(tx.execute(again.returning(dead_letters.c.subject), rows).scalars())


def bury_deliveries(tx: Tx, rows: Sequence[tuple[int, DeadLetter]], now: int) -> None:
    """Makes outbox rows (by number) dead, each with its letter."""
    if not rows:
        return
    for ids in chunks([number for number, _ in rows]):
        tx.execute(sa.update(outbox).where(outbox.c.id.in_(_IDS)).values(state=DEAD, owner=None), {"ids": ids})
    statement = insert(tx, dead_letters)
    statement = statement.on_conflict_do_update(
        index_elements=["outbox_id"], index_where=sa.text("outbox_id IS NOT NULL"), set_=_died_again(statement)
    )
    tx.execute(statement, [_row(letter, number, now) for number, letter in rows])


def resolve(tx: Tx, event_ids: Collection[str], now: int) -> None:
    """Marks the dead letters of events that now have their verdict."""
    for ids in chunks(sorted(bulk.present(tx, event_ids, _DYING))):
        tx.execute(_RESOLVE.values(resolved_at=now), {"ids": ids})


def resolve_deliveries(tx: Tx, numbers: Collection[int], now: int) -> None:
    """Marks the dead letters of outbox rows that arrived after all."""
    arrived = sa.update(dead_letters).where(bulk.within(tx, dead_letters.c.outbox_id), _UNRESOLVED)
    if numbers:
        tx.execute(arrived.values(resolved_at=now), bulk.numbers(tx, numbers))


def _tell_replayed(tx: Tx, row: Any, who: str, now: int) -> None:
    try:
        audit.append_action(tx, who, "action replayed", decode_action(row.payload), now)
    except msgspec.MsgspecError:  # it could not be read before either, which is why it is a dead letter
        audit.append(tx, who, "action replayed", {"key": row.record_id, "soar": row.target}, now)


def _row(letter: DeadLetter, outbox_id: int | None, now: int) -> dict[str, Any]:
    return {
        "subject": letter.subject,
        "source": letter.source,
        "outbox_id": outbox_id,
        "reason": letter.reason,
        "place": letter.place,
        "payload": letter.payload,
        "attempts": letter.attempts,
        "created_at": now,
    }


def _died_again(statement: Any) -> dict[str, Any]:
    return {
        "reason": statement.excluded.reason,
        "attempts": dead_letters.c.attempts + 1,
        "replayed_at": None,
        "resolved_at": None,
    }


def from_row(row: Any) -> DeadLetter:
    """A dead letter as its row holds it."""
    return DeadLetter(
        id=row.id,
        subject=row.subject,
        source=row.source,
        kind="event" if row.outbox_id is None else "delivery",
        reason=row.reason,
        place=row.place,
        payload=row.payload or b"",
        attempts=row.attempts,
        at=maybe_moment(row.created_at),
        replayed_at=maybe_moment(row.replayed_at),
        resolved_at=maybe_moment(row.resolved_at),
    )


class DeadLetters(Room):
    """Dead letters by id."""

    def dead_letters(
        self,
        *,
        source: str | None = None,
        kind: Literal["event", "delivery"] | None = None,
        ids: Collection[int] | None = None,
        resolved: bool = False,
        limit: int | None = None,
        payload: bool = True,
    ) -> list[DeadLetter]:
        """Dead letters, oldest first; ``source`` names a source or a target; resolved ones only if asked for.

        Without ``payload`` they come without the events that they keep, which are large.
        """
        kept = dead_letters.c.payload if payload else sa.null().label("payload")
        query = (
            sa.select(*(c for c in dead_letters.c if c is not dead_letters.c.payload), kept)
            .order_by(dead_letters.c.id)
            .limit(limit)
        )
        if source is not None:
            query = query.where(dead_letters.c.source == source)
        if kind is not None:
            query = query.where(_EVENT if kind == "event" else sa.not_(_EVENT))
        if ids is not None:
            query = query.where(dead_letters.c.id.in_(ids))
        if not resolved:
            query = query.where(_UNRESOLVED)
        with self._db.read() as tx:
            return [from_row(row) for row in tx.execute(query)]

    def replay(self, ids: Sequence[int], who: str) -> Replayed:
        """Sets unresolved dead letters in motion again.

        Event letters are returned, to be pushed through ingest: until that ends, ``known`` does not know them.
        Deliveries are queued again at once, with their attempts counted anew; of actions, the audit log tells by whom.
        """
        now = self._now()
        letters: list[DeadLetter] = []
        rows: list[int] = []
        with self._db.write() as tx:
            for part in chunks(sorted(ids)):
                dead = sa.update(dead_letters).where(dead_letters.c.id.in_(part), _UNRESOLVED)
                for row in tx.execute(dead.values(replayed_at=now).returning(dead_letters)):
                    letters.append(from_row(row))
                    if row.outbox_id is not None:
                        rows.append(row.outbox_id)
            requeued: list[Any] = []
            for part in chunks(rows):
                queued = sa.update(outbox).where(outbox.c.id.in_(part), outbox.c.state == DEAD)
                queued = queued.values(state=OPEN, available_at=now, attempts=0, owner=None)
                requeued += tx.execute(queued.returning(outbox)).all()
            for row in requeued:
                if row.kind == "action":
                    _tell_replayed(tx, row, who, now)
        events = tuple(sorted((letter for letter in letters if letter.kind == "event"), key=lambda letter: letter.id))
        return Replayed(push=events, requeued=len(requeued))
