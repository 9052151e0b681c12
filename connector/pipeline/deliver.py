"""The deliver loop for records: claim rows of one target, write them, settle each by its own outcome."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from connector.errors import ConfigError, PermanentError, TransientError
from connector.ledger import Claim, Ledger, Settlement
from connector.pipeline.steps import Steps
from connector.ports import Clock, SiemWriter
from connector.settings import TargetSettings
from connector.telemetry import DELIVERIES, PENDING, Signal, emit
from connector.types import Action, Delivery

LONGEST_WAIT = timedelta(minutes=5)
SUSPECT = 2
"""A record is written alone once so many claims of it ended without an outcome, by a crash or a bug."""

NO_OUTCOME = Delivery(outcome="retry", reason="every attempt ended without an outcome")


class Outage:
    """How a target answers as a whole. Its failures make it rest; they count against no single record."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rests_until: datetime | None = None
        self.failures = 0

    @property
    def resting(self) -> bool:
        """Whether it is too early to ask again."""
        return self._rests_until is not None and self._clock() < self._rests_until

    def failed(self) -> datetime:
        """Notes one more failure in a row; returns when to ask again."""
        self.failures += 1
        self._rests_until = self._clock() + backoff(self.failures)
        return self._rests_until

    def answered(self) -> None:
        """Notes that it works."""
        self._rests_until = None
        self.failures = 0


class Deliver:
    """Moves one target's rows from the outbox to the target. Limits, waits and retries are this target's own."""

    def __init__(
        self,
        name: str,
        writer: SiemWriter,
        settings: TargetSettings,
        *,
        ledger: Ledger,
        owner: str,
        lease_ttl: timedelta,
        clock: Clock,
        stopping: Callable[[], bool],
        steps: Steps,
    ) -> None:
        self.name = name
        self.writer = writer
        self.settings = settings
        self._ledger = ledger
        self._owner = owner
        self._lease_ttl = lease_ttl
        self._clock = clock
        self._stopping = stopping
        self._steps = steps
        self._outage = Outage(clock)
        self._size = settings.batch

    def drain(self) -> int:
        """Delivers until nothing is due, or the target fails as a whole. Returns how many records were delivered."""
        delivered = 0
        while not self._stopping() and not self._outage.resting:
            claims = self._claim()
            if not claims:
                break
            self._steps("deliver.claimed")
            delivered += self._deliver(claims)
        PENDING.labels(target=self.name).set(self._ledger.pending(self.name))
        return delivered

    def _claim(self) -> Sequence[Claim]:
        """What is written next. A suspect is written alone, and last; one without attempts left is a dead letter."""
        claims = self._ledger.claim(self.name, self._owner, self._size, self._lease_ttl)
        worn_out = [claim for claim in claims if claim.attempt > self.settings.max_attempts]
        claims = [claim for claim in claims if claim.attempt <= self.settings.max_attempts]
        chosen = [claim for claim in claims if claim.doubts < SUSPECT] or claims[:1]
        kept = {claim.id for claim in chosen}
        settlements = [self._settlement(claim, NO_OUTCOME) for claim in worn_out]
        settlements += [(claim, "untried", "", self._clock()) for claim in claims if claim.id not in kept]
        if settlements:
            self._ledger.settle(self.name, settlements)
            self._size = max(1, len(chosen))
        return chosen

    def _deliver(self, claims: Sequence[Claim]) -> int:
        """Writes and settles; returns how many arrived. A failure of the target as a whole counts against no record."""
        try:
            outcomes = self._write(claims)
        except (TransientError, ConfigError) as error:
            again = self._outage.failed()
            self._size = max(1, len(claims) // 2)
            emit(Signal.DELIVERY_RETRIED, self.name, reason=str(error), records=len(claims))
            self._ledger.settle(self.name, [(claim, "untried", str(error), again) for claim in claims])
            if isinstance(error, ConfigError):
                raise
            return 0
        self._outage.answered()
        self._size = min(self.settings.batch, 2 * self._size)
        self._steps("deliver.written")
        settlements = [self._settlement(c, o) for c, o in zip(claims, outcomes, strict=True)]
        self._ledger.settle(self.name, settlements)
        self._steps("deliver.settled")
        for _, outcome, _, _ in settlements:
            DELIVERIES.labels(target=self.name, outcome=outcome).inc()
        return sum(outcome == "delivered" for _, outcome, _, _ in settlements)

    def _write(self, claims: Sequence[Claim]) -> Sequence[Delivery]:
        """One outcome a claim. A call that the target refuses as a whole is cut in half until the culprit stands alone."""
        try:
            return self.writer.write([claim.record for claim in claims if not isinstance(claim.record, Action)])
        except PermanentError as error:
            if len(claims) == 1:
                return [Delivery(outcome="rejected", reason=str(error))]
            half = len(claims) // 2
            return [*self._write(claims[:half]), *self._write(claims[half:])]

    def _settlement(self, claim: Claim, delivery: Delivery) -> Settlement:
        """Writers are idempotent by record id, so an unknown outcome is tried again like a failed one."""
        if delivery.outcome == "delivered":
            return claim, "delivered", "", None
        if delivery.outcome == "rejected" or claim.attempt >= self.settings.max_attempts:
            emit(Signal.DEAD_LETTER, self.name, reason=delivery.reason, attempt=claim.attempt)
            return claim, "dead", delivery.reason or "no more attempts", None
        emit(Signal.DELIVERY_RETRIED, self.name, reason=delivery.reason, attempt=claim.attempt)
        return claim, "retry", delivery.reason, self._clock() + backoff(claim.attempt)


def backoff(attempt: int) -> timedelta:
    """How long to wait after the n-th attempt: doubling from a second to five minutes, half of it random."""
    longest = min(2.0 ** min(attempt, 16), LONGEST_WAIT.total_seconds())
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 (jitter, not a secret)
