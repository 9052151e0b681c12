"""Reading an event against merely parsing it: normalise, canonical form and fingerprint, beside orjson there and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple

import orjson

from connector.errors import PermanentError
from connector.events import normalise
from connector.types import RawEvent, SourceRef
from tests.bench.plan import Plan
from tests.bench.streams import Stream


class Normal(NamedTuple):
    """Events a second of CPU time on one core. ``share`` is the median of the rounds' ratios, not of their rates."""

    orjson: float
    ours: float
    share: float


def measure(stream: Stream, plan: Plan) -> Normal:
    """Both ways over the same lines, by turns, in the order of the shuffled stream, so that neither has a quieter machine."""
    lines = list(stream.lines(stream.shuffled(plan.sample)))
    raws = [_raw(number, line) for number, line in enumerate(lines)]
    rounds = [(_seconds(lambda: _there_and_back(lines)), _seconds(lambda: _read(raws))) for _ in range(plan.rounds)]
    plain, ours = (median(column) for column in zip(*rounds, strict=True))
    return Normal(len(lines) / plain, len(lines) / ours, median(a / b for a, b in rounds))


def _raw(number: int, line: bytes) -> RawEvent:
    ref = SourceRef(siem="bench", index="bench", id=str(number))
    return RawEvent(deployment="bench", native_id=str(number), ref=ref, data=line)


def _there_and_back(lines: Sequence[bytes]) -> None:
    for line in lines:
        try:
            orjson.dumps(orjson.loads(line))
        except orjson.JSONDecodeError:
            continue


def _read(raws: Sequence[RawEvent]) -> None:
    for raw in raws:
        try:
            normalise(raw)
        except PermanentError:
            continue


def _seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
