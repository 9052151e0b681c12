"""A source's batches: read, normalise, score, decide, and one transaction.

Three batches of a span are on their way at once: while one is scored, the next is read and normalised, and the one before
is decided and committed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from functools import partial
from threading import Event as Flag

import msgspec

from connector.errors import ConfigError, PermanentError, TransientError
from connector.ledger import Commit, Interval, Lease, Ledger, Reader
from connector.pipeline import kept, spans, suspicion
from connector.pipeline.judge import Judge, Scored
from connector.pipeline.prepare import Prepared, prepare, quarantine
from connector.pipeline.routes import Routes
from connector.pipeline.steps import Steps, timed
from connector.ports import EventSource
from connector.settings import SourceSettings
from connector.telemetry import EVENTS, Signal, emit
from connector.types import Batch, Cursor, RawEvent, Span

BATCHES_A_TURN = 50
"""Batches of a past stretch that are read before what is new is looked at again."""

BATCHES_A_CHECK = 10
"""Batches between two looks at whether a target is full."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of a batch: events that got their verdict now, dead letters, and events that were known."""

    verdicts: int = 0
    dead: int = 0
    known: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.verdicts + other.verdicts, self.dead + other.dead, self.known + other.known)


class Batches:
    """One source's way into the ledger, a batch at a time."""

    def __init__(
        self,
        name: str,
        source: EventSource,
        settings: SourceSettings,
        *,
        ledger: Ledger,
        judge: Judge,
        routes: Routes,
        origin_key: bytes,
        lease_ttl: timedelta,
        stopping: Flag,
        steps: Steps,
    ) -> None:
        self.name = name
        self.size = settings.batch
        self.ledger = ledger
        self.judge = judge
        self.lease_ttl = lease_ttl
        self.stopping = stopping
        self.steps = steps
        self._source = source
        self._routes = routes
        self._origin_key = origin_key

    @property
    def paused(self) -> bool:
        """Whether a full target stops this source."""
        return self._routes.pausing(self.name) is not None

    def read(self, task: spans.Task, lease: Lease) -> tuple[Outcome, bool]:
        """Reads a span, each batch in a transaction of its own. False: there is more for another turn."""
        with ThreadPoolExecutor(2, thread_name_prefix=f"batch-{self.name}") as pool:
            return _Passage(self, task, lease, pool).run()

    def push(self, raws: Sequence[RawEvent]) -> Outcome:
        """Takes events that have no span. Returns after the commit."""
        scored = self.score(self.prepare(raws))
        return self.land(scored)

    def fetch(self, span: Span, reader: Reader) -> Batch[RawEvent]:
        """The next batch of the span; one that failed before is read in smaller pieces."""
        with timed("ingest.read", self.steps):
            cursor = Cursor(token=reader.token) if reader.token is not None else None
            return self._source.read(span, cursor, suspicion.limit(self.size, reader.attempts))

    def prepare(self, raws: Sequence[RawEvent]) -> Prepared:
        """The batch, normalised."""
        with timed("ingest.normalise", self.steps):
            return prepare(self.name, raws, self._origin_key)

    def prepare_or_quarantine(self, raws: Sequence[RawEvent], attempts: int) -> Prepared:
        """The batch, normalised, unless it has failed alone so often that it is poison."""
        if suspicion.is_poison(self.size, attempts):
            return quarantine(self.name, raws, suspicion.QUARANTINE_ATTEMPTS)
        return self.prepare(raws)

    def after(self, reader: Reader, raw: Batch[RawEvent]) -> Reader:
        """Where the reader stands once this batch is in. A batch that took several attempts leaves some suspicion."""
        if not raw.complete:
            emit(Signal.READ_INCOMPLETE, self.name, reason=raw.reason, purpose=reader.purpose)
        attempts = suspicion.after_success(self.size, reader.attempts)
        moved = msgspec.structs.replace(reader, attempts=attempts, complete=reader.complete and raw.complete)
        if raw.done:
            return msgspec.structs.replace(moved, offset=reader.span_stop, span_stop=None, token=None)
        if raw.cursor is None:
            raise PermanentError(f"source {self.name}: a batch that is not done came without a cursor")
        return msgspec.structs.replace(moved, token=raw.cursor.token)

    def score(self, prepared: Prepared, before: _Landing | None = None) -> Scored:
        """Scores what is new, beside the batch before, which may still be landing."""
        self.steps("ingest.prepared")
        under_way: Collection[str] = before.events if before else ()
        scored = self.judge.score(
            prepared, under_way=under_way, settled=before.wait if before else _nothing_to_wait_for
        )
        self.steps("ingest.scored")
        return scored

    def land(
        self,
        scored: Scored,
        *,
        lease: Lease | None = None,
        reader: Reader | None = None,
        interval: Interval | None = None,
    ) -> Outcome:
        """Decides, and commits all that the batch changes at once."""
        digest = self._source.query_digest
        bare = Commit(source=self.name, digest=digest, lease=lease, reader=reader, interval=interval)
        commit, lookups = self.judge.decide(scored, bare)
        with timed("ingest.commit", self.steps):
            stored = self.ledger.commit(commit)
        self.judge.committed(lookups)
        self.steps("ingest.committed")
        events = len(scored.prepared.events)
        outcome = Outcome(len(stored.inserted), len(stored.dead), events - len(stored.inserted))
        EVENTS.labels(source=self.name, outcome="verdict").inc(outcome.verdicts)
        EVENTS.labels(source=self.name, outcome="dead").inc(outcome.dead)
        EVENTS.labels(source=self.name, outcome="known").inc(outcome.known)
        emit(Signal.BATCH_DONE, self.name, verdicts=outcome.verdicts, dead=outcome.dead, known=outcome.known)
        return outcome


class _Landing(msgspec.Struct, frozen=True):
    """A batch that is being committed, and the ids of its events."""

    outcome: Future[Outcome]
    events: frozenset[str]

    def wait(self) -> None:
        """Returns once it is in the ledger; raises what kept it out."""
        self.outcome.result()


class _Passage:
    """A span on its way.

    The attempt at a batch is counted before the batch is scored: in a transaction of its own, or, where the batch is
    scored beside the commit of the one before, in that commit. What kills the process before that commit is done counts
    against the batch before; from then on one batch at a time is on its way, until the culprit stands alone.
    """

    def __init__(self, batches: Batches, task: spans.Task, lease: Lease, pool: Executor) -> None:
        self._batches = batches
        self._task = task
        self._lease = lease
        self._pool = pool
        self._reader = task.reader
        self._landed = task.reader
        self._ahead: Future[tuple[Batch[RawEvent], Prepared]] | None = None
        self._landing: _Landing | None = None
        self._reason = ""
        self._total = Outcome()
        # one file, however long, leaves its source's other files their turn
        endless = task.reader.purpose == spans.FORWARD and not task.reader.partition
        self._turns = None if endless else BATCHES_A_TURN

    def run(self) -> tuple[Outcome, bool]:
        """Reads until the span ends, its turn is over, or somebody stops it."""
        try:
            for turn in itertools.count(1):
                scored, following = self._scored()
                ends = following.span_stop is None
                paused = turn % BATCHES_A_CHECK == 0 and self._batches.paused
                last = ends or paused or turn == self._turns or self._batches.stopping.is_set()
                self._land(scored, following, last=last)
                if last:
                    break
        except (TransientError, ConfigError):
            self._uncount()
            raise
        return self._total, ends or paused

    def _scored(self) -> tuple[Scored, Reader]:
        """The next batch, scored while the one after it is read and the one before it is committed."""
        reader, batches = self._reader, self._batches
        raw, prepared = self._ahead.result() if self._ahead else (batches.fetch(self._task.span, reader), None)
        self._reason = self._reason or raw.reason
        following = batches.after(reader, raw)
        if self._landing is None:
            batches.ledger.begin(self._lease, reader)
            batches.steps("ingest.begun")
        prepared = prepared or batches.prepare_or_quarantine(raw.items, reader.attempts)
        beside = following.span_stop is not None and not reader.attempts
        self._ahead = self._pool.submit(self._look_ahead, following) if beside else None
        self._lease = batches.ledger.renew(self._lease, batches.lease_ttl)
        scored = batches.score(prepared, self._landing)
        self._settle()
        return scored, following

    def _look_ahead(self, reader: Reader) -> tuple[Batch[RawEvent], Prepared]:
        raw = self._batches.fetch(self._task.span, reader)
        return raw, self._batches.prepare(raw.items)

    def _land(self, scored: Scored, following: Reader, *, last: bool) -> None:
        """Commits the batch: beside the next one, or, where none is looked at yet, at once."""
        beside = not last and self._ahead is not None
        interval = self._interval(following) if following.span_stop is None else None
        land = partial(
            self._batches.land,
            scored,
            lease=self._lease,
            reader=following.begun() if beside else following,
            interval=interval,
        )
        if beside:
            self._landing = _Landing(self._pool.submit(land), frozenset(event.id for event in scored.fresh))
            self._reader = following
        else:
            self._total += land()
            self._reader = self._landed = following

    def _settle(self) -> None:
        """Waits for the batch that is being committed."""
        if self._landing is not None:
            landing, self._landing = self._landing, None
            self._total += landing.outcome.result()
            self._landed = self._reader

    def _uncount(self) -> None:
        """Takes back the attempt that an outage cut short: it says nothing of the events."""
        with suppress(TransientError):
            self._settle()
        with suppress(TransientError):
            self._batches.ledger.put_reader(self._landed, self._lease)

    def _interval(self, following: Reader) -> Interval:
        return Interval(
            source=self._batches.name,
            digest=following.digest,
            partition=self._task.span.partition,
            start=self._task.span.start,
            stop=self._task.span.stop,
            read_at=self._task.read_at,
            complete=following.complete,
            reason=kept.scrub(self._reason),
        )


def _nothing_to_wait_for() -> None:
    """There is no batch before."""
