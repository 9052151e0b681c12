"""The ingest loop: poll, normalise, score, decide, and one transaction.

``Ingest`` chooses what is read next; :mod:`connector.pipeline.batches` takes it into the ledger. ``Ingest.batch`` is the way
in for what nobody polls: replays and pushed events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta

from connector.ledger import Interval, Lease, Ledger, Reader
from connector.models import Bundle
from connector.pipeline import spans
from connector.pipeline.batches import Batches
from connector.pipeline.flag import Flag
from connector.pipeline.judge import Judge, Seen
from connector.pipeline.passage import Outcome
from connector.pipeline.routes import Routes
from connector.pipeline.steps import Steps
from connector.policy import Enrichment, Policy
from connector.ports import Clock, EventSource
from connector.settings import RetentionSettings, SourceSettings
from connector.telemetry import Signal, emit
from connector.types import Event, Position, Prediction, RawEvent


def unwatched(_: Sequence[Event], __: Sequence[Prediction], ___: Bundle) -> None:
    """Nobody wants to know which events are new."""


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
        seen: Seen = unwatched,
    ) -> None:
        self.name = name
        self.source = source
        self.settings = settings
        self._ledger = ledger
        self._routes = routes
        self._owner = owner
        self._lease_ttl = lease_ttl
        self._stopping = stopping
        self._lookback = microseconds(settings.lookback)
        self._marked = False
        judge = Judge(
            name,
            ledger=ledger,
            bundle=bundle,
            policy=policy,
            enrichment=enrichment or Enrichment(),
            routes=routes,
            origin_key=origin_key,
            retention=retention,
            clock=clock,
            steps=steps,
            seen=seen,
        )
        self._batches = Batches(
            name,
            source,
            settings,
            ledger=ledger,
            judge=judge,
            routes=routes,
            origin_key=origin_key,
            lease_ttl=lease_ttl,
            stopping=stopping,
            steps=steps,
        )

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
                    outcome, finished = self._batches.read(task, lease)
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

    def batch(self, raws: Sequence[RawEvent]) -> Outcome:
        """Takes pushed events, which have no span: replays, and the inlets. Returns after the commit."""
        return self._batches.push(raws)


def microseconds(duration: timedelta) -> int:
    """A duration in whole microseconds."""
    return duration // timedelta(microseconds=1)
