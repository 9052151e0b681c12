"""The ingest loop: poll, normalise, score, decide, and one transaction.

``Ingest.batch`` is the one way in: polls, backfill, replays and pushed events all go through it. While one batch is scored,
the next is read and normalised in a second thread.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Event as Flag

import msgspec

from connector import events, identity
from connector.errors import PermanentError
from connector.ledger import Commit, DeadLetter, Interval, Lease, Ledger, Reader
from connector.models import Bundle
from connector.pipeline import kept, spans
from connector.pipeline.routes import Routes
from connector.policy import Decision, DecisionContext, Policy, decide
from connector.ports import Clock, EventSource
from connector.settings import RetentionSettings, SourceSettings
from connector.telemetry import EVENTS, STEP_SECONDS, Signal, emit
from connector.types import Batch, Cursor, Event, Position, RawEvent, Span, StateChange, Verdict

Steps = Callable[[str], None]
"""Told the name of each step of the loops once it is done; crash tests end the process there."""

QUARANTINE_ATTEMPTS = 7
"""A single event that ended this many attempts at its batch is quarantined."""

BATCHES_A_TURN = 50
"""Batches of a past stretch that are read before what is new is looked at again."""

BATCHES_A_CHECK = 10
"""Batches between two looks at whether a target is full."""

SNAPSHOT_LIMIT = 1 << 20
"""Bytes of an event's JSON that a snapshot may hold."""


class Prepared(msgspec.Struct, frozen=True):
    """A batch after normalisation. ``own`` are ids of records that are ours; ``dead`` could not be read."""

    events: tuple[Event, ...]
    dead: tuple[DeadLetter, ...] = ()
    own: tuple[str, ...] = ()
    sightings: tuple[tuple[str, str, int], ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What became of a batch: events that got their verdict now, dead letters, and events that were known."""

    verdicts: int = 0
    dead: int = 0
    known: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.verdicts + other.verdicts, self.dead + other.dead, self.known + other.known)


class Ingest:
    """Everything that one source needs to become verdicts in the ledger."""

    def __init__(
        self,
        name: str,
        source: EventSource,
        settings: SourceSettings,
        *,
        ledger: Ledger,
        bundle: Callable[[], Bundle],
        policy: Callable[[], Policy],
        routes: Routes,
        origin_key: bytes,
        owner: str,
        lease_ttl: timedelta,
        retention: RetentionSettings,
        clock: Clock,
        stopping: Flag,
        steps: Steps,
    ) -> None:
        self.name = name
        self.source = source
        self.settings = settings
        self._ledger = ledger
        self._bundle = bundle
        self._policy = policy
        self._routes = routes
        self._origin_key = origin_key
        self._owner = owner
        self._lease_ttl = lease_ttl
        self._retention = retention
        self._clock = clock
        self._stopping = stopping
        self._steps = steps
        self._lookback = microseconds(settings.lookback)

    def poll(self) -> Outcome:
        """Reads all that is due: new events, late ones, and what a person asked for.

        Returns at once where another replica holds the source or one of its targets is full.
        """
        if full := self._routes.pausing(self.name):
            emit(Signal.SOURCE_PAUSED, self.name, target=full)
            return Outcome()
        lease = self._ledger.acquire(f"source:{self.name}", self._owner, self._lease_ttl)
        if lease is None:
            return Outcome()
        total = Outcome()
        try:
            more = True
            while more and not self._stopping.is_set():
                more = False
                for task in self._tasks():
                    outcome, finished = self._read(task, lease)
                    total += outcome
                    more |= not finished
        finally:
            self._ledger.release(lease)
        emit(Signal.POLL_DONE, self.name, verdicts=total.verdicts, dead=total.dead, known=total.known)
        return total

    def _tasks(self) -> Iterator[spans.Task]:
        """One turn: what is due in each partition, the newest first."""
        digest = self.source.query_digest
        readers: dict[str, list[Reader]] = {}
        for reader in self._ledger.readers(self.name, digest):
            readers.setdefault(reader.partition, []).append(reader)
        weak: dict[str, list[Interval]] = {}
        for interval in self._ledger.weak(self.name, digest, self._lookback):
            weak.setdefault(interval.partition, []).append(interval)
        known_source = bool(readers)
        for head in self.source.heads():
            mine = readers.get(head.partition) or self._first_readers(head, known_source=known_source)
            yield from spans.plan(self._without_backlog(mine, head), weak.get(head.partition, ()), head, self._lookback)

    def _first_readers(self, head: Position, *, known_source: bool) -> list[Reader]:
        """Readers for a partition that is new: a file that appears later is read from its start."""
        from_start = self.settings.start == "beginning" or (head.partition != "" and known_source)
        digest = self.source.query_digest
        fresh = spans.first_readers(self.name, digest, head, self._lookback, from_start=from_start)
        for reader in fresh:
            self._ledger.put_reader(reader)
        return fresh

    def _without_backlog(self, readers: Sequence[Reader], head: Position) -> list[Reader]:
        """Hands what lies further back than the lookback to a reader of its own."""
        by_purpose = {reader.purpose: reader for reader in readers}
        split = spans.caught_up(by_purpose[spans.FORWARD], head, self._lookback)
        for reader in split or ():
            self._ledger.put_reader(reader)
            by_purpose[reader.purpose] = reader
        return list(by_purpose.values())

    def _read(self, task: spans.Task, lease: Lease) -> tuple[Outcome, bool]:
        """Reads a span, a batch at a time, each in a transaction of its own. False: there is more for another turn."""
        total = Outcome()
        reader = task.reader
        reason = ""
        turns = itertools.count() if reader.purpose == spans.FORWARD else range(BATCHES_A_TURN)
        with ThreadPoolExecutor(1, thread_name_prefix=f"read-{self.name}") as pool:
            ahead: Future[tuple[Batch[RawEvent], Prepared]] | None = None
            for turn in turns:
                suspect = reader.attempts
                if ahead is None:
                    raw = self._fetch(task.span, reader, self._limit(suspect))
                    reader = self._begin(lease, reader)
                    prepared = self._quarantine(raw) if self._is_poison(raw, suspect) else self._prepare(raw.items)
                else:
                    raw, prepared = ahead.result()
                    reader = self._begin(lease, reader)
                following = self._after(reader, raw, suspect)
                unfinished = following.span_stop is not None
                ahead = (
                    pool.submit(self._fetch_and_prepare, task.span, following) if unfinished and not suspect else None
                )
                lease = self._ledger.renew(lease, self._lease_ttl)
                reason = reason or raw.reason
                interval = None if unfinished else self._interval(task, following, reason)
                total += self._store(prepared, lease=lease, reader=following, interval=interval)
                if not unfinished or self._stopping.is_set():
                    return total, not unfinished
                if turn % BATCHES_A_CHECK == BATCHES_A_CHECK - 1 and self._routes.pausing(self.name):
                    return total, True
                reader = following
        return total, False

    def _begin(self, lease: Lease, reader: Reader) -> Reader:
        begun = self._ledger.begin(lease, reader)
        self._steps("ingest.begun")
        return begun

    def _limit(self, attempts: int) -> int:
        """Events to read: a quarter as many after each failed attempt, so that a poison event is soon alone."""
        return max(1, self.settings.batch >> 2 * attempts)

    def _is_poison(self, raw: Batch[RawEvent], attempts: int) -> bool:
        return len(raw.items) == 1 and attempts >= QUARANTINE_ATTEMPTS

    def _fetch(self, span: Span, reader: Reader, limit: int) -> Batch[RawEvent]:
        with self._timed("ingest.read"):
            cursor = Cursor(token=reader.token) if reader.token is not None else None
            return self.source.read(span, cursor, limit)

    def _fetch_and_prepare(self, span: Span, reader: Reader) -> tuple[Batch[RawEvent], Prepared]:
        raw = self._fetch(span, reader, self._limit(reader.attempts))
        return raw, self._prepare(raw.items)

    def _after(self, reader: Reader, raw: Batch[RawEvent], suspect: int) -> Reader:
        """Where the reader stands once this batch is in. A batch that took several attempts leaves some suspicion."""
        if not raw.complete:
            emit(Signal.READ_INCOMPLETE, self.name, reason=raw.reason, purpose=reader.purpose)
        moved = msgspec.structs.replace(reader, attempts=max(0, suspect - 1), complete=reader.complete and raw.complete)
        if raw.done:
            return msgspec.structs.replace(moved, offset=reader.span_stop, span_stop=None, token=None)
        if raw.cursor is None:
            raise PermanentError(f"source {self.name}: a batch that is not done came without a cursor")
        return msgspec.structs.replace(moved, token=raw.cursor.token)

    def _interval(self, task: spans.Task, following: Reader, reason: str) -> Interval:
        return Interval(
            source=self.name,
            digest=following.digest,
            partition=task.span.partition,
            start=task.span.start,
            stop=task.span.stop,
            read_at=task.read_at,
            complete=following.complete,
            reason=reason,
        )

    def batch(self, raws: Sequence[RawEvent]) -> Outcome:
        """Takes pushed events, which have no span: replays, and the inlets. Returns after the commit."""
        return self._store(self._prepare(raws), lease=None, reader=None, interval=None)

    def _prepare(self, raws: Sequence[RawEvent]) -> Prepared:
        """Normalises; what cannot be read becomes a dead letter, and records of ours are set apart."""
        good: list[Event] = []
        dead: list[DeadLetter] = []
        own: list[str] = []
        sightings: list[tuple[str, str, int]] = []
        with self._timed("ingest.normalise"):
            for raw in raws:
                try:
                    event = events.normalise(raw)
                except PermanentError as error:
                    dead.append(self._dead(raw, str(error)))
                    event_id = dead[-1].subject
                else:
                    event_id = event.id
                    if self._is_own(event):
                        own.append(event_id)
                    else:
                        good.append(event)
                if raw.position is not None:
                    sightings.append((event_id, raw.position.partition, raw.position.offset))
        return Prepared(tuple(good), tuple(dead), tuple(own), tuple(sightings))

    def _is_own(self, event: Event) -> bool:
        """Whether this is a record of ours that came back. A mark that does not verify hides nothing."""
        marks = event.ecs.get("triaged")
        mark = marks.get("origin") if isinstance(marks, Mapping) else None
        if mark is None:
            return False
        ours = identity.is_ours(self._origin_key, mark)
        emit(Signal.OWN_RECORD if ours else Signal.FOREIGN_MARK, self.name, place=event.place)
        return ours

    def _quarantine(self, raw: Batch[RawEvent]) -> Prepared:
        item = raw.items[0]
        letter = self._dead(item, f"poison: every one of {QUARANTINE_ATTEMPTS} attempts at this event failed")
        position = item.position
        seen = ((letter.subject, position.partition, position.offset),) if position else ()
        return Prepared((), (letter,), sightings=seen)

    def _dead(self, raw: RawEvent, reason: str) -> DeadLetter:
        emit(Signal.DEAD_LETTER, self.name, place=raw.place, reason=reason)
        return DeadLetter(
            subject=identity.event_id(raw.deployment, raw.native_id),
            source=self.name,
            reason=reason,
            payload=kept.preserved(raw),
            place=raw.place,
        )

    def _store(
        self, prepared: Prepared, *, lease: Lease | None, reader: Reader | None, interval: Interval | None
    ) -> Outcome:
        """Scores what is new, decides, and commits all of it at once."""
        self._steps("ingest.prepared")
        known = self._ledger.known([e.id for e in prepared.events])
        fresh = list({e.id: e for e in reversed(prepared.events) if e.id not in known}.values())[::-1]
        bundle = self._bundle()
        decisions, state = self._judge(bundle, fresh)
        self._steps("ingest.scored")
        verdicts = [d.verdict for d in decisions]
        commit = Commit(
            source=self.name,
            digest=self.source.query_digest,
            lease=lease,
            reader=reader,
            interval=interval,
            sightings=prepared.sightings,
            verdicts=verdicts,
            snapshots=dict(self._snapshots(fresh, verdicts)),
            outbox=self._routes.rows(self.name, decisions),
            dead=prepared.dead,
            own=prepared.own,
            state=state,
        )
        with self._timed("ingest.commit"):
            stored = self._ledger.commit(commit)
        self._steps("ingest.committed")
        outcome = Outcome(len(stored.inserted), len(stored.dead), len(prepared.events) - len(stored.inserted))
        EVENTS.labels(source=self.name, outcome="verdict").inc(outcome.verdicts)
        EVENTS.labels(source=self.name, outcome="dead").inc(outcome.dead)
        EVENTS.labels(source=self.name, outcome="known").inc(outcome.known)
        emit(Signal.BATCH_DONE, self.name, verdicts=outcome.verdicts, dead=outcome.dead, known=outcome.known)
        return outcome

    def _judge(self, bundle: Bundle, fresh: Sequence[Event]) -> tuple[list[Decision], Mapping[str, StateChange]]:
        if not fresh:
            return [], {}
        states = {m: self._ledger.member_state(m, keys) for m, keys in bundle.state_keys(fresh).items() if keys}
        with self._timed("ingest.score"):
            predictions, state = bundle.predict(fresh, states)
        policy = self._policy()
        context = DecisionContext(
            now=self._clock(),
            model=bundle.model,
            thresholds=bundle.thresholds,
            members=len(bundle.members),
            origin_key=self._origin_key,
        )
        with self._timed("ingest.decide"):
            return [decide(e, p, context, policy) for e, p in zip(fresh, predictions, strict=True)], state

    def _snapshots(self, fresh: Sequence[Event], verdicts: Sequence[Verdict]) -> Iterator[tuple[str, bytes]]:
        """Events as they were when scored: all above benign, and a fixed share of the rest, chosen by their id."""
        bound = int(self._retention.snapshot_share * 0x1_0000_0000)
        for event, verdict in zip(fresh, verdicts, strict=True):
            if verdict.verdict != "benign" or int(event.id[:8], 16) < bound:
                document = msgspec.json.encode({"kind": event.kind, "ecs": event.ecs})
                if len(document) <= SNAPSHOT_LIMIT:
                    yield event.id, zlib.compress(document, 1)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        with STEP_SECONDS.labels(step=step).time():
            yield
        self._steps(step)


def microseconds(duration: timedelta) -> int:
    """A duration in whole microseconds."""
    return duration // timedelta(microseconds=1)
