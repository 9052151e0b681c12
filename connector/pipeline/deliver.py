"""The deliver loop for records: claim rows of one target, write them, settle each by its own outcome."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta

from connector.errors import PermanentError, TransientError
from connector.ledger import Claim, Ledger, Settlement
from connector.pipeline.ingest import Steps
from connector.ports import Clock, SiemWriter
from connector.settings import TargetSettings
from connector.telemetry import DELIVERIES, PENDING, Signal, emit
from connector.types import Action, Delivery

LONGEST_WAIT = timedelta(minutes=5)


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

    def drain(self) -> int:
        """Delivers until nothing is due. Returns how many records were delivered."""
        delivered = 0
        while not self._stopping():
            claims = self._ledger.claim(self.name, self._owner, self.settings.batch, self._lease_ttl)
            if not claims:
                break
            self._steps("deliver.claimed")
            outcomes = self._write(claims)
            self._steps("deliver.written")
            settlements = [self._settlement(c, o) for c, o in zip(claims, outcomes, strict=True)]
            self._ledger.settle(self.name, settlements)
            self._steps("deliver.settled")
            for _, outcome, _, _ in settlements:
                DELIVERIES.labels(target=self.name, outcome=outcome).inc()
                delivered += outcome == "delivered"
        PENDING.labels(target=self.name).set(self._ledger.pending(self.name))
        return delivered

    def _write(self, claims: Sequence[Claim]) -> Sequence[Delivery]:
        """One outcome a claim. A call that the target refuses as a whole is cut in half until the culprit stands alone."""
        try:
            return self.writer.write([claim.record for claim in claims if not isinstance(claim.record, Action)])
        except TransientError as error:
            outcome = Delivery(outcome="unknown" if error.sent else "retry", reason=str(error))
            return [outcome] * len(claims)
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
