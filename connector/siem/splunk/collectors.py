"""Events to the collectors of one site, and the outcome of each: the loop of sending, waiting and sending again."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from threading import Event as Flag, Lock
from typing import Final

from connector.errors import PermanentError, TransientError
from connector.ports import Clock
from connector.retries import retrying
from connector.siem.splunk.acks import Acks
from connector.siem.splunk.hec import Collector
from connector.siem.splunk.outcomes import BadEventError, BusyError, IndexRefusedError, NoAcksError
from connector.siem.splunk.packing import HecEvent, apart, packed
from connector.telemetry import Signal, emit
from connector.types import Delivery, Noun

DELIVERED: Final = Delivery(outcome="delivered")
UNTOLD: Final = Delivery(outcome="unknown", reason="it was sent, and the indexers have not acknowledged it yet")
_BEHIND: Final = Delivery(outcome="retry", reason="a request before it failed")
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0


class Patience(Noun, frozen=True):
    """How long and how often.

    ``wait`` for acknowledgements in one call; an event counts as ``lost`` after that time; it is sent at most ``sends``
    times. ``required``: a token without acknowledgement is refused.
    """

    wait: timedelta
    lost: timedelta
    sends: int
    required: bool


class Collectors:
    """Sends to one collector at a time, and to the next one where that fails. Safe to use from several threads."""

    def __init__(
        self, name: str, collectors: Sequence[Collector], *, patience: Patience, max_bytes: int, clock: Clock
    ) -> None:
        self._name = name
        self._collectors = collectors
        self._patience = patience
        self._max_bytes = max_bytes
        self._clock = clock
        self._acks = Acks(patience.lost)
        self._at = 0
        self._proven = False
        self._without_acks = False
        self._lock = Lock()
        self._closing = Flag()

    def deliver(self, events: Sequence[HecEvent]) -> list[Delivery]:
        """One outcome an event, in order.

        Raises:
            TransientError: not a single request was answered.
            ConfigError: the collector refuses us, or the index of everything that was sent.
        """
        with self._lock:
            self._acks.expire(self._clock())
            outcomes = self._settled(events)
            fresh = {e.key: e for e in events if e.key not in outcomes and not self._acks.waits(e.key)}
            outcomes |= self._sent(list(fresh.values()))
            self._await([event.key for event in events])
            return [self._outcome(event.key, outcomes) for event in events]

    def prove(self) -> None:
        """Whether every collector takes our token, without sending an event. Raises what keeps it from that."""
        for collector in self._collectors:
            retrying()(self._prove, collector)

    def close(self) -> None:
        """Ends the waiting of a call that waits."""
        self._closing.set()

    def _settled(self, events: Sequence[HecEvent]) -> dict[str, Delivery]:
        """What needs no sending: what was acknowledged between two calls, and what was sent often enough."""
        outcomes = {}
        for event in events:
            if self._acks.waits(event.key) or event.key in outcomes:
                continue
            if self._acks.confirmed(event.key):
                outcomes[event.key] = DELIVERED
            elif (sends := self._acks.sends(event.key)) >= self._patience.sends:
                self._acks.forget(event.key)
                outcomes[event.key] = Delivery(
                    outcome="rejected", reason=f"it was sent {sends} times and never acknowledged by the indexers"
                )
        return outcomes

    def _outcome(self, key: str, outcomes: dict[str, Delivery]) -> Delivery:
        if key not in outcomes:
            outcomes[key] = DELIVERED if self._acks.confirmed(key) else UNTOLD
        return outcomes[key]

    def _sent(self, events: Sequence[HecEvent]) -> dict[str, Delivery]:
        """Sends, and returns the outcomes that are known at once; what has none is taken, and will be acknowledged."""
        outcomes: dict[str, Delivery] = {}
        parts = deque(packed(events, self._max_bytes))
        answered, refused = False, None
        while parts:
            part = parts.popleft()
            try:
                outcomes |= self._taken(part)
                answered = True
            except PermanentError as error:
                answered = True
                if len(part) == 1:
                    outcomes[part[0].key] = Delivery(outcome="rejected", reason=str(error))
                else:
                    number = error.number if isinstance(error, BadEventError) else None
                    parts.extendleft(reversed(apart(part, number)))
            except IndexRefusedError as error:
                refused = error
                outcomes |= _all(part, Delivery(outcome="retry", reason=str(error)))
            except TransientError as error:
                if not answered:
                    raise
                doubtful = error.sent and not isinstance(error, BusyError)
                outcomes |= _all(part, Delivery(outcome="unknown" if doubtful else "retry", reason=str(error)))
                for rest in parts:
                    outcomes |= _all(rest, _BEHIND)
                break
        if refused is not None and not answered:
            raise refused
        return outcomes

    def _taken(self, part: Sequence[HecEvent]) -> dict[str, Delivery]:
        collector, number = retrying()(self._pass, b"".join(event.body for event in part))
        if number is not None:
            self._acks.sent(collector.channel, number, [event.key for event in part], self._clock())
            return {}
        if self._patience.required:
            raise NoAcksError(f"{collector.address} took events without promising an acknowledgement: {_WANTED}")
        if not self._without_acks:
            self._without_acks = True
            emit(Signal.ACKS_MISSING, self._name, collector=collector.address)
        return _all(part, DELIVERED)

    def _pass(self, body: bytes) -> tuple[Collector, int | None]:
        """Hands a request to the first collector that takes it, beginning with the one that took the last."""
        failed = TransientError("no collector is configured")
        for _ in self._collectors:
            collector = self._collectors[self._at]
            try:
                if self._patience.required and not self._proven:
                    self._prove(collector)
                return collector, collector.send(body)
            except TransientError as error:
                self._at = (self._at + 1) % len(self._collectors)
                if error.sent and not isinstance(error, BusyError):
                    self._acks.broke(collector.channel)
                    raise
                failed = error
        raise failed

    def _prove(self, collector: Collector) -> None:
        """Asks what the token can. Raises ``NoAcksError`` where it must have acknowledgement and has none."""
        if not collector.acknowledges() and self._patience.required:
            raise NoAcksError(f"the token of {collector.address} has no indexer acknowledgement: {_WANTED}")
        self._proven = True

    def _await(self, keys: Sequence[str]) -> None:
        """Asks for acknowledgements until these records have theirs, or the time for that is over."""
        end = time.monotonic() + self._patience.wait.total_seconds()
        pause = _FIRST_PAUSE_S
        while any(map(self._acks.waits, keys)):
            self._ask()
            left = end - time.monotonic()
            if left <= 0 or not any(map(self._acks.waits, keys)) or self._closing.wait(min(pause, left)):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _ask(self) -> None:
        for collector in self._collectors:
            numbers = self._acks.open_on(collector.channel)
            if not numbers:
                continue
            try:
                self._acks.confirm(collector.channel, collector.confirmed(numbers))
            except NoAcksError:
                self._acks.broke(collector.channel)
            except TransientError:
                continue


_WANTED: Final = 'switch it on for the token, or allow its lack with `ack = "auto"`'


def _all(part: Sequence[HecEvent], outcome: Delivery) -> dict[str, Delivery]:
    return dict.fromkeys((event.key for event in part), outcome)
