"""Retention: what is old goes, and leaves behind what the promise needs.

A verdict leaves a tombstone, so that its id keeps deduplicating. A verdict that still waits to be delivered stays. An
unresolved dead letter goes only when its own time is over, and leaves a tombstone and an audit entry. A member's state
that nobody touched for as long as verdicts are kept goes too: the next batch starts it anew. Entities go once nothing is
left of their risk, and incidents with their verdicts. Intervals and
sightings go once their verdicts may have gone; a tombstone outlives them, because each new sighting renews it. A reader
of a partition that its source no longer has goes when it stood still for as long as tombstones are kept; one of a
partition that is still there stays, or what it read would be read again. A finished backfill or repair goes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.ledger import audit, entities, verdicts as verdict_rows
from connector.ledger.database import Tx
from connector.ledger.readers import HISTORY
from connector.ledger.room import Room
from connector.ledger.schema import (
    DEAD,
    DONE,
    approvals,
    counters,
    cursors,
    dead_letters,
    incidents,
    intervals,
    member_state,
    outbox,
    reviews,
    runs,
    shadow_counts,
    shadow_samples,
    sightings,
    silences,
    snapshots,
    streams,
    tombstones,
    verdicts,
)
from connector.ledger.shadow import DAY
from connector.ledger.times import micros
from connector.settings import RetentionSettings

_STEP = 2_000
"""Rows a transaction: the ingest loop waits for no more than these."""

_ONE_TIME = sa.or_(cursors.c.purpose.startswith("backfill-"), cursors.c.purpose == "repair")
"""Readers of one stretch, which nobody asks again once they are through (:mod:`connector.pipeline.spans` names them)."""


def never() -> bool:
    """Nothing stops a retention that a person waits for."""
    return False


class Retention(Room):
    """The job that forgets."""

    def retain(
        self,
        settings: RetentionSettings,
        now: datetime,
        *,
        present: Mapping[str, Collection[str]] | None = None,
        stopping: Callable[[], bool] = never,
    ) -> dict[str, int]:
        """Deletes what is older than the settings allow; returns how many rows went, by table.

        ``present``: the partitions that each source has; of a source that is absent here no reader goes. ``stopping``
        is asked between any two transactions, and what is left is done the next time.
        """

        def before(age: timedelta) -> int:
            return micros(now - age)

        at = micros(now)
        kept = before(settings.tombstones)
        jobs: dict[str, Callable[[], int]] = {
            "verdicts": lambda: self._verdicts(before(settings.verdicts), at, stopping),
            "snapshots": lambda: self._stepwise(lambda tx: _snapshots(tx, before(settings.snapshots)), stopping),
            "dead_letters": lambda: self._stepwise(
                lambda tx: _dead_letters(tx, before(settings.dead_letters), at), stopping
            ),
            "actions": lambda: self._stepwise(lambda tx: _actions(tx, kept), stopping),
            "runs": lambda: self._older(runs.c.finished_at, kept),
            "counters": lambda: self._older(counters.c.at, kept),
            "approvals": lambda: self._older(approvals.c.at, kept),
            "silences": lambda: self._older(silences.c.until, kept),
            "reviews": lambda: self._older(reviews.c.asked_at, kept),
            "member_state": lambda: self._older(member_state.c.updated_at, before(settings.verdicts)),
            "entities": lambda: self._stepwise(lambda tx: entities.forget(tx, before(entities.KEPT)), stopping),
            "incidents": lambda: self._older(incidents.c.updated_at, before(settings.verdicts)),
            "intervals": lambda: self._spans(before(settings.verdicts), stopping),
            "shadow_counts": lambda: self._older(shadow_counts.c.day, before(settings.verdicts) // DAY),
            "shadow_samples": lambda: self._older(shadow_samples.c.at, before(settings.verdicts)),
            "tombstones": lambda: self._stepwise(lambda tx: _tombstones(tx, kept), stopping),
            "readers": lambda: self._idle_readers(kept, present or {}),
        }
        return {name: job() for name, job in jobs.items() if not stopping()}

    def _stepwise(self, step: Callable[[Tx], int], stopping: Callable[[], bool]) -> int:
        total = 0
        while not stopping():
            with self._db.write() as tx:
                gone = step(tx)
            total += gone
            if gone < _STEP:
                break
        return total

    def _older(self, time: sa.Column[Any], cutoff: int) -> int:
        """For tables that grow with actions and hosts, not with events."""
        with self._db.write() as tx:
            return tx.execute(sa.delete(time.table).where(time < cutoff)).rowcount

    def _verdicts(self, cutoff: int, now: int, stopping: Callable[[], bool]) -> int:
        """Verdicts lie in the order of their time, so that the old ones are found without an index."""
        total, after = 0, 0
        while not stopping():
            with self._db.write() as tx:
                page = sa.select(verdicts.c.id, verdicts.c.record_id, verdicts.c.created_at).where(
                    verdicts.c.id > after
                )
                rows = tx.execute(page.order_by(verdicts.c.id).limit(_STEP)).all()
                old = {row.record_id: row.id for row in rows if row.created_at < cutoff}
                seen = len(old)
                total += _bury_verdicts(tx, old, cutoff, now)
            if seen < _STEP:
                break
            after = rows[-1].id
        return total

    def _spans(self, cutoff: int, stopping: Callable[[], bool]) -> int:
        with self._db.read() as tx:
            numbers = tx.execute(sa.select(streams.c.id, streams.c.source, streams.c.partition)).all()
        total = 0
        for number, source, partition in numbers:
            if stopping():
                break
            with self._db.write() as tx:
                total += _old_intervals(tx, number, cutoff)
                horizon = _horizon(tx, number, source, partition, cutoff)
            self._stepwise(lambda tx, n=number, h=horizon: _old_sightings(tx, n, h), stopping)  # type: ignore[misc]
        return total

    def _idle_readers(self, cutoff: int, present: Mapping[str, Collection[str]]) -> int:
        with self._db.write() as tx:
            total = tx.execute(sa.delete(cursors).where(_ONE_TIME, cursors.c.span_stop.is_(None))).rowcount
        for source, partitions in present.items():
            with self._db.write() as tx:
                total += _lost_readers(tx, source, frozenset(partitions), cutoff)
        return total


def _lost_readers(tx: Tx, source: str, present: Collection[str], cutoff: int) -> int:
    """Readers of partitions that are gone and in which nothing moved since; their streams too, once those are empty."""
    own = (cursors.c.source == source, cursors.c.purpose != HISTORY, cursors.c.partition != "")
    newest = sa.select(cursors.c.partition).where(*own).group_by(cursors.c.partition)
    still = newest.having(sa.func.max(cursors.c.updated_at) < cutoff)
    total = 0
    for partition in [name for name in tx.execute(still).scalars() if name not in present]:
        total += tx.execute(sa.delete(cursors).where(*own, cursors.c.partition == partition)).rowcount
    unused = (
        streams.c.source == source,
        ~sa.exists().where(cursors.c.source == source, cursors.c.partition == streams.c.partition),
        ~sa.exists().where(intervals.c.stream == streams.c.id),
        ~sa.exists().where(sightings.c.stream == streams.c.id),
    )
    tx.execute(sa.delete(streams).where(*unused))
    return total


def _bury_verdicts(tx: Tx, old: dict[str, int], cutoff: int, now: int) -> int:
    if not old:
        return 0
    waiting = sa.select(outbox.c.record_id).where(
        outbox.c.created_at < cutoff, outbox.c.payload.is_(None), outbox.c.state != DONE
    )
    for record_id in tx.execute(waiting).scalars():
        old.pop(record_id, None)
    if old:
        verdict_rows.bury(tx, old.keys(), "verdict expired", now)
        tx.execute(sa.delete(verdicts).where(verdicts.c.id.in_(list(old.values()))))
    return len(old)


def _snapshots(tx: Tx, cutoff: int) -> int:
    old = sa.select(snapshots.c.event_id).where(snapshots.c.at < cutoff).limit(_STEP)
    return tx.execute(sa.delete(snapshots).where(snapshots.c.event_id.in_(old))).rowcount


def _tombstones(tx: Tx, cutoff: int) -> int:
    old = sa.select(tombstones.c.subject).where(tombstones.c.at < cutoff).limit(_STEP)
    return tx.execute(sa.delete(tombstones).where(tombstones.c.subject.in_(old))).rowcount


def _dead_letters(tx: Tx, cutoff: int, now: int) -> int:
    query = sa.select(dead_letters).where(dead_letters.c.created_at < cutoff).order_by(dead_letters.c.id).limit(_STEP)
    rows = tx.execute(query).all()
    lost = [row for row in rows if row.resolved_at is None]
    # first, as in a replay; the audit log comes last everywhere
    tx.execute(sa.delete(dead_letters).where(dead_letters.c.id.in_([row.id for row in rows])))
    if lost:
        verdict_rows.bury(tx, {row.subject for row in lost if row.outbox_id is None}, "dead letter expired", now)
        dropped = [row.outbox_id for row in lost if row.outbox_id is not None]
        tx.execute(sa.delete(outbox).where(outbox.c.id.in_(dropped), outbox.c.state == DEAD, outbox.c.kind == "record"))
        by_source: dict[str, int] = {}
        for row in lost:
            by_source[row.source] = by_source.get(row.source, 0) + 1
        audit.append(tx, "retention", "dead letters expired unresolved", {"count": by_source}, now)
    return len(rows)


def _actions(tx: Tx, cutoff: int) -> int:
    """Actions that ended go as late as tombstones: their key must not be used again while anything may propose it."""
    letters = sa.select(dead_letters.c.outbox_id).where(dead_letters.c.outbox_id == outbox.c.id)
    ended = sa.or_(outbox.c.state == DONE, sa.and_(outbox.c.state == DEAD, ~letters.exists()))
    old = sa.select(outbox.c.id).where(outbox.c.created_at < cutoff, outbox.c.kind == "action", ended).limit(_STEP)
    return tx.execute(sa.delete(outbox).where(outbox.c.id.in_(old))).rowcount


def _old_intervals(tx: Tx, number: int, cutoff: int) -> int:
    """Of each query, only the oldest stretch goes: a hole in the middle would look like a gap."""
    gone = 0
    digests = tx.execute(sa.select(intervals.c.digest).where(intervals.c.stream == number).distinct()).scalars().all()
    for digest in digests:
        own = (intervals.c.stream == number, intervals.c.digest == digest)
        young = tx.execute(
            sa.select(sa.func.min(intervals.c.start)).where(*own, intervals.c.recorded_at >= cutoff)
        ).scalar()
        old = sa.delete(intervals).where(*own, intervals.c.recorded_at < cutoff)
        gone += tx.execute(old if young is None else old.where(intervals.c.stop <= young)).rowcount
    return gone


def _horizon(tx: Tx, number: int, source: str, partition: str, cutoff: int) -> int | None:
    """Sightings before this offset are accounted to nothing any more; None: no interval is left, nor a reader."""
    first = tx.execute(sa.select(sa.func.min(intervals.c.start)).where(intervals.c.stream == number)).scalar()
    if first is not None:
        return int(first)
    busy = sa.select(sa.func.count()).where(
        cursors.c.source == source, cursors.c.partition == partition, cursors.c.updated_at >= cutoff
    )
    return -(2**63) if tx.execute(busy).scalar_one() else None


def _old_sightings(tx: Tx, number: int, horizon: int | None) -> int:
    own = sa.select(sightings.c.position, sightings.c.event_id).where(sightings.c.stream == number)
    if horizon is not None:
        own = own.where(sightings.c.position < horizon)
    rows = tx.execute(own.order_by(sightings.c.position, sightings.c.event_id).limit(_STEP)).all()
    if rows:
        first, last = rows[0], rows[-1]
        upto = sa.or_(
            sightings.c.position < last.position,
            sa.and_(sightings.c.position == last.position, sightings.c.event_id <= last.event_id),
        )
        tx.execute(
            sa.delete(sightings).where(sightings.c.stream == number, sightings.c.position >= first.position, upto)
        )
    return len(rows)
