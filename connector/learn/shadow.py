"""Shadow mode: a challenger scores what the champion has scored, and the ledger keeps where they differ.

The events come after their verdicts are in the ledger, and wait in memory for a job of their own: no verdict waits for the
challenger, and none is changed by it. It scores on one thread. Where more waits than fits, or the process ends, what was
not compared is counted as such.

What the challenger's members remember (of a host what it did before) is kept in memory, the newest of it, and is empty after
a start. An event that was not compared is missing there too.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from threading import Lock
from typing import Final, NamedTuple

import msgspec

from connector.errors import ConfigError, TransientError
from connector.ledger import Ledger
from connector.ledger.shadow import Compared, Disagreement
from connector.models import Bundle
from connector.models.cache import Cache
from connector.policy.facts import verdict_name
from connector.ports import Clock
from connector.telemetry import Signal, emit
from connector.types import Event, Prediction, VerdictName

WAITING: Final = 5_000
"""Events that wait at most: what a challenger cannot keep up with is not worth their memory."""

BYTES: Final = 32 << 20
"""Bytes of JSON that wait at most: events may be large, and a sender chooses how large."""

REMEMBERED: Final = 20_000
"""State rows of the challenger's members that are kept at most, hosts say: 26 MB of the sequence member's windows."""

BATCH: Final = 256
FLAGGED: Final = frozenset({"malicious", "suspicious"})
"""Verdicts that write techniques."""

SAMPLES: Final = 5
"""Disagreements of one sort that one run keeps at most: a run begins every second, and each sample costs a row."""


class _Said(NamedTuple):
    """What a bundle says of an event, as far as a verdict shows it."""

    name: VerdictName
    passed: tuple[str, ...]
    confidence: float | None


class _Judged(NamedTuple):
    """An event, the champion that judged it, and what it said."""

    event: Event
    champion: str
    said: _Said
    size: int


class Shadow:
    """One challenger beside whatever is in production. ``take`` is called by every source, ``run`` by one job."""

    def __init__(
        self,
        challenger: Bundle,
        ledger: Ledger,
        clock: Clock,
        *,
        waiting: int = WAITING,
        size: int = BYTES,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._challenger = challenger
        self._ledger = ledger
        self._clock = clock
        self._most = waiting
        self._room = size
        self._stopping = stopping
        self._states: Cache[tuple[str, str], tuple[int, bytes]] = Cache(REMEMBERED)
        self._lock = Lock()
        self._waiting: deque[_Judged] = deque()
        self._counts: dict[str, Counter[Compared]] = {}
        self._samples: dict[str, list[Disagreement]] = {}
        self._kept: Counter[tuple[str, Compared]] = Counter()

    def take(self, events: Sequence[Event], predictions: Sequence[Prediction], champion: Bundle) -> None:
        """Remembers what the champion said of events that are in the ledger now."""
        if champion.ref == self._challenger.ref:
            return
        judged = [
            _Judged(event, champion.ref, _said(prediction, champion), _size(event))
            for event, prediction in zip(events, predictions, strict=True)
        ]
        with self._lock:
            for one in judged:
                if len(self._waiting) < self._most and one.size <= self._room:
                    self._room -= one.size
                    self._waiting.append(one)
                else:
                    self._skip([one])

    def run(self) -> int:
        """Scores what waits when it begins, and records it batch by batch; returns how many events were compared.

        It ends after a batch where the daemon stops. Raises ``TransientError`` where the ledger does not answer: what was
        counted stays for the next run.
        """
        self._record()
        self._kept.clear()
        left, compared = len(self._waiting), 0
        while compared < left and not self._stopping():
            batch = self._next()
            try:
                predictions = self._predicted([one.event for one in batch])
            except BaseException:
                with self._lock:
                    self._skip(batch)
                raise
            for one, prediction in zip(batch, predictions, strict=True):
                self._compare(one, _said(prediction, self._challenger))
            compared += len(batch)
            self._record()
        return compared

    def close(self) -> None:
        """Counts what still waits as not compared, records it, and ends the challenger."""
        with self._lock:
            self._skip(self._waiting)
            self._waiting.clear()
        try:
            self._record()
        except TransientError as error:
            emit(Signal.JOB_FAILED, "shadow", error=error)
        self._challenger.close()

    def _predicted(self, events: Sequence[Event]) -> list[Prediction]:
        """What the challenger says, with what its members remember, and remember from now on."""
        held = {
            member: {key: row for key in keys if (row := self._states.get((member, key))) is not None}
            for member, keys in self._challenger.state_keys(events).items()
        }
        predictions, changes = self._challenger.predict(events, held)
        for member, change in changes.items():
            for key, (version, value) in change.rows.items():
                self._states.put((member, key), (version + 1, value))
        return predictions

    def _next(self) -> list[_Judged]:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            self._room += sum(one.size for one in batch)
            return batch

    def _skip(self, judged: Iterable[_Judged]) -> None:
        """Under the lock."""
        for one in judged:
            self._counts.setdefault(one.champion, Counter())[Compared(said=one.said.name, instead=None)] += 1

    def _compare(self, one: _Judged, instead: _Said) -> None:
        found = Compared(
            said=one.said.name, instead=instead.name, same_techniques=_written(one.said) == _written(instead)
        )
        with self._lock:
            self._counts.setdefault(one.champion, Counter())[found] += 1
            if not found.agree and self._kept[one.champion, found] < SAMPLES:
                self._kept[one.champion, found] += 1
                self._samples.setdefault(one.champion, []).append(self._sample(one, instead, found, self._clock()))

    def _sample(self, one: _Judged, instead: _Said, found: Compared, now: datetime) -> Disagreement:
        return Disagreement(
            event_id=one.event.id,
            champion=one.champion,
            challenger=self._challenger.ref,
            at=now,
            compared=found,
            confidence=one.said.confidence,
            instead_confidence=instead.confidence,
            passed=one.said.passed,
            instead_passed=instead.passed,
        )

    def _record(self) -> None:
        """Writes champion by champion; what is written is forgotten here."""
        for champion in list(self._counts):
            with self._lock:
                counts, samples = self._counts[champion].copy(), list(self._samples.get(champion, ()))
            self._ledger.record_shadow(champion, self._challenger.ref, counts, samples)
            with self._lock:
                self._counts[champion] -= counts
                self._samples[champion] = self._samples.get(champion, [])[len(samples) :]
                if not self._counts[champion]:
                    del self._counts[champion]


def beside(
    ref: str | None, opened: Callable[[str], Bundle], ledger: Ledger, clock: Clock, stopping: Callable[[], bool]
) -> Shadow | None:
    """The named challenger in shadow; None where none is named, or it cannot be used, which is reported: verdicts go on."""
    if ref is None:
        return None
    try:
        return Shadow(opened(ref), ledger, clock, stopping=stopping)
    except ConfigError as error:
        emit(Signal.SHADOW_REFUSED, reason=str(error))
        return None


def _said(prediction: Prediction, bundle: Bundle) -> _Said:
    p = prediction.p_malicious
    return _Said(verdict_name(prediction, bundle.thresholds), prediction.passed, None if math.isnan(p) else round(p, 6))


def _size(event: Event) -> int:
    """Bytes of the event as JSON; what cannot be written so does not wait."""
    try:
        return len(msgspec.json.encode(event.ecs))
    except (RecursionError, TypeError, ValueError):
        return BYTES + 1


def _written(said: _Said) -> frozenset[str]:
    """The techniques that a verdict of that name writes."""
    return frozenset(said.passed) if said.name in FLAGGED else frozenset()
