"""Questions to analysts: asked once an event, closed by an answer or withdrawn, and each answer a change like any other.

A question's row is open while ``answered_at`` is null; ``document`` holds it whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from connector.ledger import audit, dispositions, outbox
from connector.ledger.codec import decode_verdict, encode
from connector.ledger.database import Tx, insert, lock
from connector.ledger.leases import micros_of
from connector.ledger.room import Room
from connector.ledger.rows import OutboxRow, Review
from connector.ledger.schema import reviews, snapshots, verdicts
from connector.ledger.times import micros, moment
from connector.types import DispositionChange, Verdict

REVIEW: Final = "review"
"""The alert history whose changes are answers to questions of ours."""

MOST_OPEN: Final = 7

_PAGE: Final = 500
_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)
_EVERY = sa.true()
_IS_OPEN = reviews.c.answered_at.is_(None)
_decode = msgspec.json.Decoder(Review).decode


class Reviews(Room):
    """Questions by id."""

    def with_snapshots(self, since: datetime, limit: int) -> Iterator[Verdict]:
        """First verdicts of at most ``limit`` events whose snapshots were kept from then on, newest first. Read in pages."""
        query = (
            sa.select(snapshots.c.at, snapshots.c.event_id, verdicts.c.document)
            .join(verdicts, verdicts.c.record_id == snapshots.c.event_id)
            .where(snapshots.c.at >= micros(since))
            .order_by(snapshots.c.at.desc(), snapshots.c.event_id)
        )
        place: sa.ColumnElement[bool] = sa.true()
        while limit > 0:
            with self._db.read() as tx:
                rows = tx.execute(query.where(place).limit(min(_PAGE, limit))).all()
            yield from (decode_verdict(row.document) for row in rows)
            if len(rows) < _PAGE:
                return
            limit -= len(rows)
            at, last = rows[-1].at, rows[-1].event_id
            # said twice over, so that the index begins there
            place = sa.and_(snapshots.c.at <= at, sa.or_(snapshots.c.at < at, snapshots.c.event_id > last))

    def reviews(self, *, only_open: bool = False) -> list[Review]:
        """All questions that retention has not forgotten, oldest first."""
        with self._db.read() as tx:
            return _all(tx, _IS_OPEN if only_open else _EVERY)

    def review(self, review_id: str) -> Review | None:
        """One question."""
        with self._db.read() as tx:
            return _read(tx, review_id)

    def review_room(self, budget: int) -> int:
        """How many more may be asked: a day's budget less what was asked in the last 24 hours.

        Nor may more than :data:`MOST_OPEN` budgets be open: a queue that nobody reads does not grow for ever.
        """
        with self._db.read() as tx:
            return _room(tx, budget, self._now())

    def ask_reviews(self, asked: Sequence[Review], rows: Sequence[OutboxRow], budget: int) -> list[Review]:
        """Asks, in this order and as far as there is room, what was never asked, nor any of its group.

        Each comes with the outbox rows that it causes. Returns what was asked now.
        """
        now = self._now()
        with self._db.write() as tx:
            lock(tx, reviews)  # two replicas share one budget
            known = {name for one in _all(tx) for name in (one.id, one.group)}
            fresh = [one for one in asked if not known & {one.id, one.group}]
            done = fresh[: _room(tx, budget, now)]
            if done:
                tx.execute(insert(tx, reviews), [_row(one) for one in done])
                outbox.put(tx, rows, {one.event_id for one in done}, now)
        return done

    def answer_review(self, review_id: str, change: DispositionChange, actor: str) -> Review | None:
        """Writes an answer as a change of the history ``review`` and closes the question; None: there is no such one.

        The change is dated now, after every earlier one. Whoever says again what stands changes nothing. What was
        withdrawn stays so, and takes no answer. Returns the question as it stands.
        """
        with self._db.write(durable=True) as tx:
            review = _read(tx, review_id, locked=True)
            if review is None or review.state == "withdrawn":
                return review
            said = dispositions.of_alert(tx, REVIEW, review_id)
            at = max([moment(self._now()), *(one.changed_at + _TICK for one in said)])
            dated = msgspec.structs.replace(change, changed_at=at, observed_at=at)
            if said and _undated(said[-1]) == _undated(dated):
                return review
            dispositions.put(tx, REVIEW, [dated])
            closed = msgspec.structs.replace(
                review, state="answered", closed_at=at, analyst=change.analyst, outcome=change.disposition or ""
            )
            _write(tx, closed)
            told = {"review": review_id, "analyst": change.analyst, "disposition": change.disposition}
            audit.append(tx, actor, "review answered", told, micros(at))
        return closed

    def withdraw_reviews(self, why: Mapping[str, str]) -> int:
        """Withdraws those of these questions that are still open, each with its reason. Returns how many."""
        now = moment(self._now())
        done = 0
        with self._db.write() as tx:
            for review_id in sorted(why):
                review = _read(tx, review_id, locked=True)
                if review is not None and review.state == "open":
                    _write(
                        tx, msgspec.structs.replace(review, state="withdrawn", closed_at=now, outcome=why[review_id])
                    )
                    done += 1
        return done

    def tell_reviews(self, closed: Sequence[Review], rows: Sequence[OutboxRow]) -> None:
        """Marks closed questions as told to the SIEMs, and queues the rows that they cause."""
        now = self._now()
        with self._db.write() as tx:
            found = (_read(tx, one.id, locked=True) for one in sorted(closed, key=lambda one: one.id))
            fresh = [one for one in found if one is not None and one.state != "open" and not one.told]
            for one in fresh:
                _write(tx, msgspec.structs.replace(one, told=True))
            outbox.put(tx, rows, {one.event_id for one in fresh}, now)


def _room(tx: Tx, budget: int, now: int) -> int:
    today = _count(tx, reviews.c.asked_at > now - micros_of(_DAY))
    return max(0, min(budget - today, MOST_OPEN * budget - _count(tx, _IS_OPEN)))


def _count(tx: Tx, which: sa.ColumnElement[bool]) -> int:
    return int(tx.execute(sa.select(sa.func.count()).select_from(reviews).where(which)).scalar_one())


def _all(tx: Tx, which: sa.ColumnElement[bool] = _EVERY) -> list[Review]:
    query = sa.select(reviews.c.document).where(which).order_by(reviews.c.asked_at, reviews.c.id)
    return list(map(_decode, tx.execute(query).scalars()))


def _read(tx: Tx, review_id: str, *, locked: bool = False) -> Review | None:
    query = sa.select(reviews.c.document).where(reviews.c.id == review_id)
    document = tx.execute(query.with_for_update() if locked else query).scalar_one_or_none()
    return None if document is None else _decode(document)


def _write(tx: Tx, review: Review) -> None:
    tx.execute(sa.update(reviews).where(reviews.c.id == review.id).values(_row(review)))


def _row(review: Review) -> dict[str, Any]:
    return {
        "id": review.id,
        "event_id": review.event_id,
        "reason": review.reason,
        "asked_at": micros(review.asked_at),
        "answered_at": None if review.closed_at is None else micros(review.closed_at),
        "analyst": review.analyst,
        "document": encode(review),
    }


def _undated(change: DispositionChange) -> DispositionChange:
    epoch = moment(0)
    return msgspec.structs.replace(change, changed_at=epoch, observed_at=epoch)
