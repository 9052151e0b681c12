"""The ingest loop: poll, normalise, score, decide, and one transaction.

``Ingest.batch`` is the one way in: polls, backfill, replays and pushed events all go through it. While one batch is scored,
the next is read and normalised in a second thread.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from threading import Event as Flag

import msgspec

from connector.errors import ConfigError, PermanentError, TransientError
from connector.ledger import Commit, Interval, Lease, Ledger, Reader
from connector.models import Bundle
from connector.pipeline import kept, spans, suspicion
from connector.pipeline.lookup import Lookups
from connector.pipeline.prepare import Prepared, prepare, quarantine
from connector.pipeline.routes import Routes
from connector.policy import Decision, DecisionContext, Enrichment, Policy, decide
from connector.ports import Clock, EventSource
from connector.settings import RetentionSettings, SourceSettings
from connector.telemetry import EVENTS, LIST_ENTRIES, LISTED_EVENTS, STEP_SECONDS, Signal, emit
from connector.types import Batch, Cursor, Event, Position, RawEvent, Span, StateChange, Verdict

Steps = Callable[[str], None]
"""Told the name of each step of the loops once it is done; crash tests end the process there."""

BATCHES_A_TURN = 50
"""Batches of a past stretch that are read before what is new is looked at again."""

BATCHES_A_CHECK = 10
"""Batches between two looks at whether a target is full."""

SNAPSHOT_LIMIT = 1 << 20
"""Bytes of an event's JSON that a snapshot may hold."""


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
        enrichment: Enrichment | None = None,
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
        self._enrichment = enrichment or Enrichment()
        self._routes = routes
        self._lookups = Lookups(routes, origin_key)
        self._origin_key = origin_key
        self._owner = owner
        self._lease_ttl = lease_ttl
        self._retention = retention
        self._clock = clock
        self._stopping = stopping
        self._steps = steps
        self._lookback = microseconds(settings.lookback)
        self._marked = False

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
                for task in self._tasks(lease):
                    if self._stopping.is_set() or self._routes.pausing(self.name):
                        more = False
                        break
                    outcome, finished = self._read(task, lease)
                    total += outcome
                    more |= not finished
        finally:
            self._ledger.release(lease)
        emit(Signal.POLL_DONE, self.name, verdicts=total.verdicts, dead=total.dead, known=total.known)
        return total

    def _tasks(self, lease: Lease) -> Iterator[spans.Task]:
        """One turn: what is due in each partition, the newest first."""
        heads = self.source.heads()
        readers = self._readers(heads, lease)
        weak: dict[str, list[Interval]] = {}
        for interval in self._ledger.weak(self.name, self.source.query_digest, self._lookback):
            weak.setdefault(interval.partition, []).append(interval)
        for head in heads:
            mine = self._without_backlog(readers[head.partition], head, lease)
            yield from spans.plan(mine, weak.get(head.partition, ()), head, self._lookback)

    def _readers(self, heads: Sequence[Position], lease: Lease) -> Mapping[str, Sequence[Reader]]:
        """The readers of each partition; those of a new one are made now.

        A mark remembers that the source was seen, be it without any partition, and under which lookback: what was begun
        under a shorter one is begun anew.
        """
        everything = self._ledger.readers(self.name)
        mark = next((reader for reader in everything if reader.purpose == spans.SEEN), None)
        here: dict[str, dict[str, Reader]] = {}
        for reader in everything:
            if reader.digest == self.source.query_digest and reader.purpose != spans.SEEN:
                here.setdefault(reader.partition, {})[reader.purpose] = reader
        changed = list(spans.begun_anew(everything)) if mark is not None and mark.offset < self._lookback else []
        for reader in changed:
            if reader.digest == self.source.query_digest:
                here[reader.partition][reader.purpose] = reader
        for head in heads:
            mine = here.setdefault(head.partition, {})
            if spans.FORWARD not in mine:
                fresh = self._first_readers(head, everything)
                mine.update({reader.purpose: reader for reader in fresh})
                changed += fresh
        if not self._marked or mark is None:
            changed.append(spans.seen(self.name, self._lookback))
        for reader in changed:
            self._ledger.put_reader(reader, lease)
        self._marked = True
        return {partition: list(mine.values()) for partition, mine in here.items()}

    def _first_readers(self, head: Position, everything: Sequence[Reader]) -> list[Reader]:
        """Readers for a partition that is new to this query: they go on where those of the query before it stood.

        Without such, a file that appears later is read from its start.
        """
        digest = self.source.query_digest
        if inherited := spans.inherited(everything, digest, head, self._lookback):
            return inherited
        from_start = self.settings.start == "beginning" or (head.partition != "" and bool(everything))
        return spans.first_readers(self.name, digest, head, self._lookback, from_start=from_start)

    def _without_backlog(self, readers: Sequence[Reader], head: Position, lease: Lease) -> list[Reader]:
        """Hands what lies further back than the lookback to a reader of its own."""
        by_purpose = {reader.purpose: reader for reader in readers}
        split = spans.caught_up(by_purpose[spans.FORWARD], head, self._lookback)
        for reader in split or ():
            self._ledger.put_reader(reader, lease)
            by_purpose[reader.purpose] = reader
        return list(by_purpose.values())

    def _read(self, task: spans.Task, lease: Lease) -> tuple[Outcome, bool]:
        """Reads a span, a batch at a time, each in a transaction of its own. False: there is more for another turn."""
        total = Outcome()
        reader = task.reader
        reason = ""
        # one file, however long, leaves its source's other files their turn
        endless = reader.purpose == spans.FORWARD and not reader.partition
        turns = itertools.count() if endless else range(BATCHES_A_TURN)
        with ThreadPoolExecutor(1, thread_name_prefix=f"read-{self.name}") as pool:
            ahead: Future[tuple[Batch[RawEvent], Prepared]] | None = None
            for turn in turns:
                if ahead is None:
                    raw, prepared = (
                        self._fetch(task.span, reader, suspicion.limit(self.settings.batch, reader.attempts)),
                        None,
                    )
                else:
                    raw, prepared = ahead.result()
                reason = reason or raw.reason
                following = self._after(reader, raw)
                unfinished = following.span_stop is not None
                with self._attempt(lease, reader):
                    prepared = prepared or self._tried(raw, reader.attempts)
                    if unfinished and not reader.attempts:
                        ahead = pool.submit(self._fetch_and_prepare, task.span, following)
                    else:
                        ahead = None
                    lease = self._ledger.renew(lease, self._lease_ttl)
                    interval = None if unfinished else self._interval(task, following, reason)
                    total += self._store(prepared, lease=lease, reader=following, interval=interval)
                if not unfinished or self._stopping.is_set():
                    return total, not unfinished
                if turn % BATCHES_A_CHECK == BATCHES_A_CHECK - 1 and self._routes.pausing(self.name):
                    return total, True
                reader = following
        return total, False

    @contextmanager
    def _attempt(self, lease: Lease, reader: Reader) -> Iterator[None]:
        """One attempt at a batch, counted before it is made. An outage is no attempt: it says nothing of the events."""
        self._ledger.begin(lease, reader)
        self._steps("ingest.begun")
        try:
            yield
        except (TransientError, ConfigError):
            with suppress(TransientError):
                self._ledger.put_reader(reader, lease)
            raise

    def _tried(self, raw: Batch[RawEvent], attempts: int) -> Prepared:
        if suspicion.is_poison(self.settings.batch, attempts):
            return quarantine(self.name, raw.items, suspicion.QUARANTINE_ATTEMPTS)
        return self._prepare(raw.items)

    def _fetch(self, span: Span, reader: Reader, limit: int) -> Batch[RawEvent]:
        with self._timed("ingest.read"):
            cursor = Cursor(token=reader.token) if reader.token is not None else None
            return self.source.read(span, cursor, limit)

    def _fetch_and_prepare(self, span: Span, reader: Reader) -> tuple[Batch[RawEvent], Prepared]:
        raw = self._fetch(span, reader, suspicion.limit(self.settings.batch, reader.attempts))
        return raw, self._prepare(raw.items)

    def _after(self, reader: Reader, raw: Batch[RawEvent]) -> Reader:
        """Where the reader stands once this batch is in. A batch that took several attempts leaves some suspicion."""
        if not raw.complete:
            emit(Signal.READ_INCOMPLETE, self.name, reason=raw.reason, purpose=reader.purpose)
        attempts = suspicion.after_success(self.settings.batch, reader.attempts)
        moved = msgspec.structs.replace(reader, attempts=attempts, complete=reader.complete and raw.complete)
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
            reason=kept.scrub(reason),
        )

    def batch(self, raws: Sequence[RawEvent]) -> Outcome:
        """Takes pushed events, which have no span: replays, and the inlets. Returns after the commit."""
        return self._store(self._prepare(raws), lease=None, reader=None, interval=None)

    def _prepare(self, raws: Sequence[RawEvent]) -> Prepared:
        with self._timed("ingest.normalise"):
            return prepare(self.name, raws, self._origin_key)

    def _store(
        self, prepared: Prepared, *, lease: Lease | None, reader: Reader | None, interval: Interval | None
    ) -> Outcome:
        """Scores what is new, decides, and commits all of it at once."""
        self._steps("ingest.prepared")
        known = self._ledger.known([e.id for e in prepared.events])
        fresh = list({e.id: e for e in reversed(prepared.events) if e.id not in known}.values())[::-1]
        bundle = self._bundle()
        decisions, state = self._judge(bundle, fresh)
        lookups = self._lookups.made(self.name, fresh, bundle, self._clock())
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
            outbox=[*self._routes.rows(self.name, decisions), *lookups.rows],
            dead=prepared.dead,
            own=prepared.own,
            state=state,
        )
        with self._timed("ingest.commit"):
            stored = self._ledger.commit(commit)
        self._lookups.committed(lookups)
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
            contexts = [self._enrichment.context(event, context) for event in fresh]
            decided = zip(fresh, predictions, contexts, strict=True)
            decisions = [decide(event, prediction, known, policy) for event, prediction, known in decided]
        self._count_listed(contexts, context.now)
        return decisions, state

    def _count_listed(self, contexts: Sequence[DecisionContext], now: datetime) -> None:
        lists = self._enrichment.lists
        if not lists.size:
            return
        for name, (valid, expired) in lists.counts(now).items():
            LIST_ENTRIES.labels(list=name, state="valid").set(valid)
            LIST_ENTRIES.labels(list=name, state="expired").set(expired)
        for context in contexts:
            if context.listed is not None:
                LISTED_EVENTS.labels(source=self.name, list=context.listed.list).inc()

    def _snapshots(self, fresh: Sequence[Event], verdicts: Sequence[Verdict]) -> Iterator[tuple[str, bytes]]:
        """Events as they were when scored: all above benign, and a fixed share of the rest, chosen by their id."""
        bound = int(self._retention.snapshot_share * 0x1_0000_0000)
        for event, verdict in zip(fresh, verdicts, strict=True):
            if verdict.verdict != "benign" or int(event.id[:8], 16) < bound:
                try:
                    document = msgspec.json.encode({"kind": event.kind, "ecs": event.ecs})
                except (RecursionError, TypeError, ValueError):
                    continue  # a snapshot is a copy for later: no event is lost for want of one
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
