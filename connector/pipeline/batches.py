"""A source's batches, step by step: read, normalise, score, decide, and one transaction."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

import msgspec

from connector.errors import PermanentError
from connector.ledger import Commit, Committed, EntitiesMovedError, Interval, Lease, Ledger, Reader
from connector.pipeline import spans, suspicion
from connector.pipeline.flag import Flag
from connector.pipeline.judge import Judge, Scored
from connector.pipeline.lookup import Made
from connector.pipeline.passage import Outcome, Passage
from connector.pipeline.prepare import Prepared, prepare, quarantine
from connector.pipeline.routes import Routes
from connector.pipeline.steps import Steps, timed
from connector.ports import EventSource
from connector.settings import SourceSettings
from connector.telemetry import EVENTS, Signal, emit
from connector.types import Batch, Cursor, RawEvent, Span

DECISIONS: Final = 5
"""How often a batch is decided before it is scored again: others may be first with an entity each time."""


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
            return Passage(self, task, lease, pool).run()

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

    def score(
        self, prepared: Prepared, *, under_way: Collection[str] = (), settled: Callable[[], object] | None = None
    ) -> Scored:
        """Scores what is new, beside a batch that is being committed: see :meth:`Judge.score`."""
        self.steps("ingest.prepared")
        scored = self.judge.score(prepared, under_way=under_way, settled=settled)
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
        stored, lookups = self._commit(scored, bare)
        self.judge.committed(scored, lookups, stored.inserted)
        self.steps("ingest.committed")
        events = len(scored.prepared.events)
        outcome = Outcome(len(stored.inserted), len(stored.dead), events - len(stored.inserted))
        EVENTS.labels(source=self.name, outcome="verdict").inc(outcome.verdicts)
        EVENTS.labels(source=self.name, outcome="dead").inc(outcome.dead)
        EVENTS.labels(source=self.name, outcome="known").inc(outcome.known)
        emit(Signal.BATCH_DONE, self.name, verdicts=outcome.verdicts, dead=outcome.dead, known=outcome.known)
        return outcome

    def _commit(self, scored: Scored, bare: Commit) -> tuple[Committed, Made]:
        """Decides and commits, anew where another batch was first with an entity: what was scored still holds."""
        for attempt in range(DECISIONS):
            commit, lookups = self.judge.decide(scored, bare, again=attempt > 0)
            try:
                with timed("ingest.commit", self.steps):
                    return self.ledger.commit(commit), lookups
            except EntitiesMovedError:
                if attempt == DECISIONS - 1:
                    raise
                # at random, so that sources that share an entity do not meet again and again
                time.sleep(random.uniform(0.0, 0.02 * 2**attempt))  # noqa: S311 (jitter, not a secret)
        raise AssertionError("unreachable: the last attempt returns or raises")
