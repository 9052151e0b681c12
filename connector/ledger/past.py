"""What happened, in the order in which it happened: read in pages, and never written, for whoever asks what if."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from connector.ledger.admission import Admission
from connector.ledger.codec import decode_verdict
from connector.ledger.controls import approval_of
from connector.ledger.database import Tx, chunks
from connector.ledger.room import Room
from connector.ledger.rows import Approval, Counted, PastAction, PastSilence, Silence, Switch
from connector.ledger.schema import OPEN, audit, counters, dispositions, outbox, runs, silences, verdicts
from connector.ledger.times import micros, moment
from connector.types import DispositionChange, Verdict

_PAGE: Final = 500
_SLACK: Final = 60_000_000
"""Microseconds by which replicas may commit verdicts out of the order of their numbers."""

_change = msgspec.json.Decoder(DispositionChange).decode
_detail = msgspec.json.Decoder(dict[str, Any]).decode


class Past(Room):
    """Verdicts and actions as they came, and what people set meanwhile."""

    def verdicts_in(self, since: datetime, until: datetime) -> Iterator[tuple[datetime, Verdict]]:
        """Verdicts with the time at which they were written, ``since <= time < until``, oldest first."""
        first, last = micros(since), micros(until)
        with self._db.read() as tx:
            after = _number_before(tx, first - _SLACK)
        while True:
            page = sa.select(verdicts.c.id, verdicts.c.created_at, verdicts.c.document).where(verdicts.c.id > after)
            with self._db.read() as tx:
                rows = tx.execute(page.order_by(verdicts.c.id).limit(_PAGE)).all()
            for row in rows:
                if first <= row.created_at < last:
                    yield moment(row.created_at), decode_verdict(row.document)
            if len(rows) < _PAGE or rows[0].created_at >= last + _SLACK:
                return
            after = rows[-1].id

    def past_actions(self, soar: str, keys: Collection[str]) -> dict[str, PastAction]:
        """What became of those of these actions that were ever queued for the SOAR, by key."""
        query = (
            sa.select(outbox, runs.c.state.label("run"), runs.c.detail)
            .outerjoin(runs, runs.c.action_key == outbox.c.record_id)
            .where(outbox.c.target == soar, outbox.c.payload.is_not(None), outbox.c.kind == "action")
        )
        found: dict[str, PastAction] = {}
        with self._db.read() as tx:
            for part in chunks(sorted(keys)):
                for row in tx.execute(query.where(outbox.c.record_id.in_(part))):
                    found[row.record_id] = _past(row)
        return found

    def actions_queued(self, since: datetime, until: datetime) -> int:
        """How many actions were queued in that time, ``since <= time < until``, and not forgotten since."""
        between = (outbox.c.created_at >= micros(since), outbox.c.created_at < micros(until))
        query = sa.select(sa.func.count()).select_from(outbox).where(outbox.c.kind == "action", *between)
        with self._db.read() as tx:
            return int(tx.execute(query).scalar_one())

    def counted_in(self, since: datetime, until: datetime) -> Iterator[Counted]:
        """What was counted for caps and cool-downs, ``since <= time < until``, oldest first."""
        between = (counters.c.at >= micros(since), counters.c.at < micros(until))
        with self._db.read() as tx:
            query = sa.select(counters).where(*between).order_by(counters.c.at).execution_options(yield_per=_PAGE)
            for row in tx.execute(query):
                yield Counted(scope=row.scope, key=row.action_key, at=moment(row.at))

    def switchings(self) -> list[Switch]:
        """Every time that somebody threw a switch, oldest first: the audit log has them all."""
        query = sa.select(audit.c.at, audit.c.actor, audit.c.detail).where(audit.c.what == "switch")
        with self._db.read() as tx:
            rows = tx.execute(query.order_by(audit.c.seq)).all()
        told = [(row, _detail(row.detail)) for row in rows]
        return [Switch(name=d["name"], on=d["on"], who=row.actor, at=moment(row.at)) for row, d in told]

    def past_silences(self) -> list[PastSilence]:
        """Silences that retention has not forgotten, each with its beginning; one that was ended ends there."""
        with self._db.read() as tx:
            rows = tx.execute(sa.select(silences).order_by(silences.c.id)).all()
        return [
            PastSilence(
                since=moment(row.created_at),
                silence=Silence(id=row.id, scope=row.scope, until=moment(row.until), who=row.who, reason=row.reason),
            )
            for row in rows
        ]

    def approval(self, key: str) -> Approval | None:
        """The decision on an action that stands."""
        with self._db.read() as tx:
            return approval_of(tx, key)

    def decided_by_analysts(self) -> dict[str, str]:
        """What people said last of each event's alert, by event id; an alert that was re-opened says nothing.

        Read in pages; what is kept grows with what people closed, not with events.
        """
        latest: dict[str, tuple[datetime, tuple[str, ...], str | None]] = {}
        page = sa.select(dispositions.c.id, dispositions.c.document).order_by(dispositions.c.id).limit(_PAGE)
        after: str | None = None
        while True:
            with self._db.read() as tx:
                rows = tx.execute(page if after is None else page.where(dispositions.c.id > after)).all()
            for change in (_change(row.document) for row in rows):
                before = latest.get(change.alert_id)
                if not change.machine and change.event_ids and (before is None or before[0] <= change.changed_at):
                    latest[change.alert_id] = (change.changed_at, change.event_ids, change.disposition)
            if len(rows) < _PAGE:
                break
            after = rows[-1].id
        decided = sorted((at, ids, said) for at, ids, said in latest.values() if said is not None)
        return {event_id: said for _, ids, said in decided for event_id in ids if said is not None}

    @contextmanager
    def looking(self) -> Iterator[Admission]:
        """An admission that claims nothing and writes nothing: what it would read now."""
        now = self._now()
        with self._db.read() as tx:
            yield Admission(tx, (), "", now, now)


def _number_before(tx: Tx, at: int) -> int:
    """A row number before which all verdicts are older. They lie in the order of their time, so it is found by halves."""
    low, high = 0, tx.execute(sa.select(sa.func.max(verdicts.c.id))).scalar() or 0
    while low < high:
        middle = (low + high + 1) // 2
        nearest = sa.select(verdicts.c.created_at).where(verdicts.c.id <= middle).order_by(verdicts.c.id.desc())
        created = tx.execute(nearest.limit(1)).scalar()
        if created is None or created < at:
            low = middle
        else:
            high = middle - 1
    return low


def _past(row: Any) -> PastAction:
    if row.run is not None:
        return PastAction(number=row.id, state="refused" if row.run == "refused" else "ran", reason=row.detail)
    return PastAction(number=row.id, state="waiting" if row.state == OPEN else "failed", reason=row.reason)
