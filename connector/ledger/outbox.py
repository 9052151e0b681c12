"""The outbox: what is still to be sent, claimed in turns, and settled only by whoever holds the claim."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa

from connector.ledger import audit, bulk, dead_letters
from connector.ledger.codec import decode_action, decode_record, decode_verdict
from connector.ledger.database import Tx, chunks, insert
from connector.ledger.leases import micros_of
from connector.ledger.room import Room
from connector.ledger.rows import Claim, DeadLetter, OutboxRow, Settlement
from connector.ledger.schema import DONE, OPEN, counters, outbox, verdicts
from connector.ledger.times import micros
from connector.types import Action, Json

IS_OPEN = outbox.c.state == sa.literal_column("0")
"""Spelled as the partial index spells it: SQLite uses the index only then."""

PUT_BACK = frozenset({"retry", "untried", "unknown"})
"""Outcomes after which a row is open again."""

_DUE = (
    sa.select(outbox, verdicts.c.document)
    .outerjoin(verdicts, sa.and_(verdicts.c.record_id == outbox.c.record_id, outbox.c.payload.is_(None)))
    .where(outbox.c.target == sa.bindparam("target"), IS_OPEN, outbox.c.available_at <= sa.bindparam("now"))
    .order_by(outbox.c.available_at, outbox.c.id)
    .limit(sa.bindparam("limit"))
    .with_for_update(of=outbox, skip_locked=True)
)
_DOUBTS = outbox.c.doubts + sa.case((outbox.c.owner.is_not(None), 1), else_=0)
_HELD = sa.select(outbox.c.id, outbox.c.fence, outbox.c.state, outbox.c.owner).with_for_update()


def put(tx: Tx, rows: Sequence[OutboxRow], inserted: Collection[str] | None, now: int) -> list[OutboxRow]:
    """Inserts outbox rows; with ``inserted`` (record ids) only those whose cause is among them, or that have none.

    A row that waits already, and an action whose key was ever used, are inserted only once. Returns the rows that were
    parked now.
    """
    wanted = [row for row in rows if row.cause is None or inserted is None or row.cause in inserted]
    _join(tx, [row for row in wanted if row.grouped], now)
    parked: list[OutboxRow] = []
    for _, part in groupby(sorted(wanted, key=_turn), key=lambda row: bool(row.parked)):
        some = list(part)
        if some[0].parked:
            parked += [row for row in some if _park(tx, row, now)]
        else:
            bulk.insert(tx, outbox, _columns(some, now))
    return parked


def _turn(row: OutboxRow) -> tuple[str, ...]:
    """Two replicas may insert the same grouped action: in the order of the keys, so that they never deadlock."""
    return (row.target, row.record_id) if row.grouped else ()


def _park(tx: Tx, row: OutboxRow, now: int) -> bool:
    values = {name: column[0] for name, column in _columns([row], now).items()}
    statement = insert(tx, outbox).values(values).on_conflict_do_nothing().returning(outbox.c.id)
    number = tx.execute(statement).scalar()
    if number is None:
        return False
    letter = DeadLetter(kind="delivery", subject=row.record_id, source=row.target, reason=row.parked, attempts=0)
    dead_letters.bury_deliveries(tx, [(number, letter)], now)
    return True


def joined_scope(key: str) -> str:
    """Counts the verdicts that an action stands for."""
    return f"joined:{key}"


def _join(tx: Tx, rows: Sequence[OutboxRow], now: int) -> None:
    values = [{"scope": joined_scope(row.record_id), "action_key": row.cause, "at": now} for row in rows]
    if values:
        tx.execute(insert(tx, counters).on_conflict_do_nothing(), values)


def _columns(rows: Sequence[OutboxRow], now: int) -> dict[str, list[Any]]:
    zeros, blanks = [0] * len(rows), [""] * len(rows)
    return {
        "target": [row.target for row in rows],
        "record_id": [row.record_id for row in rows],
        "kind": [row.kind for row in rows],
        "payload": [None if row.kind == "record" and row.record_id == row.cause else row.payload for row in rows],
        "state": [OPEN] * len(rows),
        "available_at": [now if row.available_at is None else micros(row.available_at) for row in rows],
        "attempts": zeros,
        "doubts": zeros,
        "fence": zeros,
        "reason": blanks,
        "created_at": [now] * len(rows),
    }


def due(tx: Tx, target: str, limit: int, now: int) -> list[Claim]:
    """Locks rows that may be sent now, and reads each as the claim that it would be.

    A row whose record cannot be read any more becomes a dead letter here, and is left out.
    """
    claims: list[Claim] = []
    unreadable: list[tuple[int, DeadLetter]] = []
    actions: list[dict[str, Json]] = []
    for row in tx.execute(_DUE, {"target": target, "now": now, "limit": limit}).all():
        try:
            claims.append(_claim(row))
        except (msgspec.MsgspecError, LookupError) as error:
            reason = f"the stored record cannot be read: {error}"
            unreadable.append(
                (row.id, DeadLetter(kind="delivery", subject=row.record_id, source=target, reason=reason))
            )
            if row.kind == "action":
                actions.append({"key": row.record_id, "soar": target, "reason": reason})
    dead_letters.bury_deliveries(tx, unreadable, now)
    for detail in actions:
        audit.append(tx, audit.POLICY, "action unreadable", detail, now)
    return claims


def _claim(row: Any) -> Claim:
    doubts = row.doubts + (row.owner is not None)
    if row.kind == "action":
        record: Any = decode_action(row.payload)
    elif row.payload is not None:
        record = decode_record(row.payload)
    elif row.document is not None:
        record = decode_verdict(row.document)
    else:
        raise LookupError("its verdict is gone")
    return Claim(
        id=row.id,
        target=row.target,
        record_id=row.record_id,
        kind=row.kind,
        record=record,
        attempt=row.attempts + 1,
        doubts=doubts,
        fence=row.fence + 1,
    )


def take(tx: Tx, claims: Sequence[Claim], owner: str, until: int) -> None:
    """Makes the claims true: the rows are the owner's until then."""
    counts = {"doubts": _DOUBTS, "attempts": outbox.c.attempts + 1, "fence": outbox.c.fence + 1}
    taken = sa.update(outbox).where(bulk.within(tx, outbox.c.id)).values(owner=owner, available_at=until, **counts)
    tx.execute(taken, bulk.numbers(tx, [claim.id for claim in claims]))


def held(tx: Tx, claims: Sequence[Claim]) -> frozenset[int]:
    """Row numbers of the claims that still hold; their rows are locked until the end of the transaction."""
    fences = {claim.id: claim.fence for claim in claims}
    rows = tx.execute(_HELD.where(bulk.within(tx, outbox.c.id)), bulk.numbers(tx, sorted(fences)))
    return frozenset(
        row.id for row in rows if row.state == OPEN and row.owner is not None and row.fence == fences[row.id]
    )


def finish(tx: Tx, claims: Iterable[Claim], now: int) -> None:
    """Ends rows that arrived: records leave the table, actions stay so that their key is never used twice."""
    done = list(claims)
    among = bulk.within(tx, outbox.c.id)
    if records := [claim.id for claim in done if claim.kind == "record"]:
        tx.execute(sa.delete(outbox).where(among), bulk.numbers(tx, records))
    if actions := [claim.id for claim in done if claim.kind == "action"]:
        tx.execute(sa.update(outbox).where(among).values(state=DONE, owner=None), bulk.numbers(tx, actions))
    dead_letters.resolve_deliveries(tx, [claim.id for claim in done], now)


def uncount(tx: Tx, claims: Iterable[Claim]) -> None:
    """Forgets that actions were counted, where none of them can have run."""
    for keys in chunks(sorted(claim.record_id for claim in claims if claim.kind == "action" and not claim.doubts)):
        tx.execute(sa.delete(counters).where(counters.c.action_key.in_(keys)))


def causes(claims: Iterable[Claim]) -> frozenset[str]:
    """The record ids that follow-ups of these claims may hang on."""
    found = set()
    for claim in claims:
        found.add(claim.record_id)
        if isinstance(claim.record, Action):
            found.add(claim.record.cause)
    return frozenset(found)


class Outbox(Room):
    """Rows by target."""

    def claim(self, target: str, owner: str, limit: int, ttl: timedelta) -> list[Claim]:
        """Up to ``limit`` rows that are due, oldest first, ours for ``ttl``. A row that comes back is doubtful."""
        now = self._now()
        with self._db.write() as tx:
            claims = due(tx, target, limit, now)
            take(tx, claims, owner, now + micros_of(ttl))
        return claims

    def settle(
        self, target: str, outcomes: Sequence[Settlement], follow_ups: Sequence[OutboxRow] = ()
    ) -> frozenset[int]:
        """Writes what became of claims, and the records that follow from it, in one transaction.

        A claim that was lost meanwhile changes nothing, nor do follow-ups that hang on it. Returns the row numbers
        that were really settled.
        """
        now = self._now()
        with self._db.write() as tx:
            ours = held(tx, [claim for claim, *_ in outcomes])
            mine = [entry for entry in outcomes if entry[0].id in ours and entry[0].target == target]
            finish(tx, (claim for claim, outcome, *_ in mine if outcome == "delivered"), now)
            _put_back(tx, mine)
            dead_letters.bury_deliveries(tx, [(entry[0].id, _letter(entry)) for entry in mine if _is_dead(entry)], now)
            uncount(tx, [claim for claim, outcome, *_ in mine if outcome == "rejected"])
            _tell(tx, mine, now)
            lost = causes(claim for claim, *_ in outcomes if claim.id not in ours)
            put(tx, [row for row in follow_ups if row.cause not in lost], None, now)
        return ours

    def pending(self, target: str) -> int:
        """How many rows wait for the target, claimed ones included."""
        query = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.target == target, IS_OPEN)
        with self._db.read() as tx:
            return int(tx.execute(query).scalar_one())


def _tell(tx: Tx, entries: Iterable[Settlement], now: int) -> None:
    """Audits what became of actions. What was not tried is no news: it was admitted, and waits again."""
    for entry in entries:
        claim, outcome, reason, _ = entry
        if isinstance(claim.record, Action) and outcome not in {"delivered", "untried"}:
            what = "action failed" if _is_dead(entry) else "action in doubt"
            told = {"outcome": outcome, "reason": reason, "attempt": claim.attempt}
            audit.append_action(tx, f"soar:{claim.target}", what, claim.record, now, **told)


def _is_dead(entry: Settlement) -> bool:
    _, outcome, _, retry_at = entry
    return outcome in {"rejected", "dead"} or (outcome in PUT_BACK and retry_at is None)


def _letter(entry: Settlement) -> DeadLetter:
    claim, outcome, reason, _ = entry
    text = f"outcome unknown: {reason}" if outcome == "unknown" else reason
    return DeadLetter(
        kind="delivery", subject=claim.record_id, source=claim.target, reason=text, attempts=claim.attempt
    )


def _put_back(tx: Tx, entries: Iterable[Settlement]) -> None:
    rows = [
        {
            "row": claim.id,
            "at": micros(retry_at),
            "why": reason,
            "doubt": int(outcome == "unknown"),
            "tried": claim.attempt - (outcome == "untried"),
        }
        for claim, outcome, reason, retry_at in entries
        if outcome in PUT_BACK and retry_at is not None
    ]
    if rows:
        again = sa.update(outbox).where(outbox.c.id == sa.bindparam("row"))
        doubts = outbox.c.doubts + sa.bindparam("doubt")
        place: dict[str, Any] = {"available_at": sa.bindparam("at"), "reason": sa.bindparam("why")}
        tx.execute(again.values(owner=None, doubts=doubts, attempts=sa.bindparam("tried"), **place), rows)
