"""From normalised events to what the ledger is told of them: score what is new, then decide.

Scoring and deciding are two steps, because a batch is decided and committed while the next one is scored.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from connector.ledger import Commit, Ledger, OutboxRow, Renewal
from connector.models import Bundle
from connector.pipeline.entities import RolledUp, RollUp
from connector.pipeline.lookup import Lookups, Made
from connector.pipeline.prepare import Prepared
from connector.pipeline.routes import Routes
from connector.pipeline.snapshot import snapshot
from connector.pipeline.steps import Steps, timed
from connector.policy import Decision, DecisionContext, Enrichment, Policy, decide
from connector.ports import Clock
from connector.settings import RetentionSettings
from connector.telemetry import LIST_ENTRIES, LISTED_EVENTS, Signal, emit
from connector.types import Event, Prediction, StateChange, Verdict

Seen: TypeAlias = Callable[[Sequence[Event], Sequence[Prediction], Bundle], None]
"""Who wants to know which events got their verdict, by which predictions of which bundle."""


class Scored(msgspec.Struct, frozen=True):
    """A batch whose new events, each once, have a prediction."""

    prepared: Prepared
    fresh: Sequence[Event]
    bundle: Bundle
    predictions: Sequence[Prediction]
    state: Mapping[str, StateChange]

    @property
    def ids(self) -> frozenset[str]:
        """All that the batch accounts for: events with a verdict, dead letters, and records of ours."""
        dead = (letter.subject for letter in self.prepared.dead)
        return frozenset((*(event.id for event in self.fresh), *dead, *self.prepared.own))


class Judge:
    """What one source's events are, by the bundle and the policy of the moment."""

    def __init__(
        self,
        source: str,
        *,
        ledger: Ledger,
        bundle: Callable[[], Bundle],
        policy: Callable[[], Policy],
        enrichment: Enrichment,
        routes: Routes,
        origin_key: bytes,
        retention: RetentionSettings,
        clock: Clock,
        steps: Steps,
        seen: Seen,
    ) -> None:
        self._seen = seen
        self._source = source
        self._ledger = ledger
        self._bundle = bundle
        self._policy = policy
        self._enrichment = enrichment
        self._routes = routes
        self._lookups = Lookups(routes, origin_key)
        self._rollup = RollUp(ledger, origin_key)
        self._origin_key = origin_key
        self._retention = retention
        self._clock = clock
        self._steps = steps

    def score(self, prepared: Prepared, *, under_way: Collection[str], settled: Callable[[], object] | None) -> Scored:
        """Scores the events that nobody knows: the ledger does not, and they are not among those being committed.

        ``settled`` waits for that commit, if there is one; it is called only where members read state, which the commit
        may change.
        """
        known = self._ledger.known([e.id for e in prepared.events]).union(under_way)
        fresh = list({e.id: e for e in reversed(prepared.events) if e.id not in known}.values())[::-1]
        bundle = self._bundle()
        if not fresh:
            return Scored(prepared, fresh, bundle, (), {})
        keys = {member: wanted for member, wanted in bundle.state_keys(fresh).items() if wanted}
        if keys and settled is not None:
            settled()
        states = {member: self._ledger.member_state(member, wanted) for member, wanted in keys.items()}
        with timed("ingest.score", self._steps):
            predictions, state = bundle.predict(fresh, states)
        return Scored(prepared, fresh, bundle, predictions, state)

    def decide(self, scored: Scored, commit: Commit, *, again: bool = False) -> tuple[Commit, Made]:
        """The commit with all that the batch changes, and the look-up entries in it.

        Whether a target is full is looked up here, and how entities stand, so batches are decided one after another.
        ``again``: another batch was first with some of the entities.
        """
        with timed("ingest.decide", self._steps):
            decisions, rolled = self._decisions(scored, again=again)
        lookups = self._lookups.made(self._source, scored.fresh, scored.bundle, self._clock())
        verdicts = [decision.verdict for decision in decisions]
        whole = msgspec.structs.replace(
            commit,
            sightings=scored.prepared.sightings,
            verdicts=verdicts,
            snapshots=dict(self._snapshots(scored.fresh, verdicts)),
            outbox=[*self._routes.rows(self._source, decisions), *lookups.rows, *self._told(rolled)],
            renewals=[
                Renewal(cause=decision.verdict.record_id, scope=scope.name, window=scope.window)
                for decision in decisions
                for scope in decision.renewals
            ],
            dead=scored.prepared.dead,
            own=scored.prepared.own,
            state=scored.state,
            entities=rolled.changes,
        )
        return whole, lookups

    def _told(self, rolled: RolledUp) -> Iterator[OutboxRow]:
        for record, cause in rolled.records:
            yield from self._routes.caused(record, cause, self._source)

    def committed(self, scored: Scored, lookups: Made, inserted: Collection[str]) -> None:
        """Remembers which look-up entries are in the ledger now, and shows the events that got their verdict, once each.

        Whoever learns from them fails no verdict: these are in the ledger, whatever goes wrong here.
        """
        self._lookups.committed(lookups)
        pairs = zip(scored.fresh, scored.predictions, strict=True)
        told = [(event, prediction) for event, prediction in pairs if event.id in inserted]
        try:
            self._seen([event for event, _ in told], [prediction for _, prediction in told], scored.bundle)
        except Exception as error:  # noqa: BLE001 (what learns reads text that attackers chose)
            emit(Signal.JOB_FAILED, "site", error=error)

    def _decisions(self, scored: Scored, *, again: bool) -> tuple[list[Decision], RolledUp]:
        policy = self._policy()
        context = DecisionContext(
            now=self._clock(),
            model=scored.bundle.model,
            thresholds=scored.bundle.thresholds,
            members=len(scored.bundle.members),
            origin_key=self._origin_key,
        )
        contexts = [self._enrichment.context(event, context) for event in scored.fresh]
        if not again:
            self._count_listed(contexts, context.now)
        rolled = self._rollup.of(scored.fresh, scored.predictions, contexts, again=again)
        decided = zip(scored.fresh, scored.predictions, rolled.contexts, strict=True)
        return [decide(event, prediction, known, policy) for event, prediction, known in decided], rolled

    def _count_listed(self, contexts: Sequence[DecisionContext], now: datetime) -> None:
        lists = self._enrichment.lists
        if not lists.size:
            return
        for name, (valid, expired) in lists.counts(now).items():
            LIST_ENTRIES.labels(list=name, state="valid").set(valid)
            LIST_ENTRIES.labels(list=name, state="expired").set(expired)
        for context in contexts:
            if context.listed is not None:
                LISTED_EVENTS.labels(source=self._source, list=context.listed.list).inc()

    def _snapshots(self, fresh: Sequence[Event], verdicts: Sequence[Verdict]) -> Iterator[tuple[str, bytes]]:
        """Events as they were when scored: all above benign, and a fixed share of the rest, chosen by their id."""
        bound = int(self._retention.snapshot_share * 0x1_0000_0000)
        for event, verdict in zip(fresh, verdicts, strict=True):
            wanted = verdict.verdict != "benign" or int(event.id[:8], 16) < bound
            if wanted and (kept := snapshot(event)) is not None:
                yield event.id, kept
