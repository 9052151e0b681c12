"""A span's way into the ledger, three batches at once.

While one is scored, the next is read and normalised, and the one before is decided and committed
(docs/decisions/0016-scoring-beside-the-commit.md).
"""

from __future__ import annotations

import itertools
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from connector.errors import ConfigError, TransientError
from connector.ledger import Interval, Lease, Reader
from connector.pipeline import kept, spans
from connector.pipeline.judge import Scored
from connector.pipeline.prepare import Prepared
from connector.telemetry import Signal, emit
from connector.types import Batch, RawEvent

if TYPE_CHECKING:
    from connector.pipeline.batches import Batches

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


class Landing(msgspec.Struct, frozen=True):
    """A batch that is being committed, and the ids of all that it accounts for."""

    outcome: Future[Outcome]
    ids: frozenset[str]

    def wait(self) -> None:
        """Returns once it is in the ledger; raises what kept it out."""
        self.outcome.result()


class Passage:
    """A span on its way.

    The attempt at a batch is counted in a transaction of its own before the batch is scored, or, where it is scored
    beside the commit of the one before, in that commit. What kills the process before that commit is done counts against
    the batch before, which is then read in smaller pieces, each alone on its way.
    """

    def __init__(self, batches: Batches, task: spans.Task, lease: Lease, pool: Executor) -> None:
        self._batches = batches
        self._task = task
        self._lease = lease
        self._pool = pool
        self._reader = task.reader
        self._landed: Reader | None = None
        """Where the ledger stands, without the attempts that are under way; None while none was begun."""
        self._ahead: Future[tuple[Batch[RawEvent], Prepared]] | None = None
        self._landing: Landing | None = None
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
        except Exception:
            self._tell_of_landing()
            raise
        return self._total, ends or paused

    def _scored(self) -> tuple[Scored, Reader]:
        """The next batch, scored while the one after it is read and the one before it is committed."""
        reader, batches = self._reader, self._batches
        raw, prepared = self._ahead.result() if self._ahead else (batches.fetch(self._task.span, reader), None)
        self._reason = self._reason or raw.reason
        following = batches.after(reader, raw)
        if self._landing is None:
            self._landed = reader
            batches.ledger.begin(self._lease, reader)
            batches.steps("ingest.begun")
        prepared = prepared or batches.prepare_or_quarantine(raw.items, reader.attempts)
        beside = following.span_stop is not None and not reader.attempts
        self._ahead = self._pool.submit(self._look_ahead, following) if beside else None
        before = self._landing
        scored = (
            batches.score(prepared, under_way=before.ids, settled=before.wait) if before else batches.score(prepared)
        )
        self._settle()
        self._lease = batches.ledger.renew(self._lease, batches.lease_ttl)
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
            self._landing = Landing(self._pool.submit(land), scored.ids)
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
        with suppress(TransientError, ConfigError):
            self._settle()
        if self._landed is not None:
            with suppress(TransientError):
                self._batches.ledger.put_reader(self._landed, self._lease)

    def _tell_of_landing(self) -> None:
        """A bug in scoring must not hide what kept the batch before out of the ledger."""
        if self._landing is not None and (error := self._landing.outcome.exception()) is not None:
            emit(Signal.JOB_FAILED, self._batches.name, error=error)

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
