"""``python -m tests.bench.api [--quick]``: the API's speed at a thousand events a request, as a share of the scorer's own.

Ratios of one run on one machine, taken by turns on the same events, over a Unix socket. Nothing is cached in the first part:
``scorer`` is the bundle alone on events that are normalised already, so the API pays for HTTP, decoding, normalising,
deciding and encoding besides. In the second part every score is cached: ``in process`` is all of that without HTTP.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from connector import wiring
from connector.api import Desk, Door
from connector.api.bodies import classify as decoded
from connector.api.classify import verdicts
from connector.errors import PermanentError
from connector.events import normalise
from connector.types import RawEvent, SourceRef
from tests.api.house import Caller
from tests.bench import streams
from tests.bench.streams import Stream
from tests.conftest import CORPORA

BATCH = 1000
TOKEN = "the bench's token, which nobody else needs to know"

CONFIG = """
data_dir = "{dir}/data"
[log]
level = "warning"
[model]
{store}cache_entries = {cache}
[soars.dryrun]
type = "dryrun"
path = "{dir}/runs.sqlite"
[api]
socket = "{dir}/api.sock"
rate = 1000000
burst = 1000000
[api.tokens.bench]
token = "{token}"
scopes = ["classify"]
"""


class Rates(NamedTuple):
    """Events a second, and the median of the rounds' ratios."""

    alone: float
    api: float
    ratio: float


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.api", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    arguments = parser.parse_args()
    batch, rounds, sample = (50, 2, 500) if arguments.quick else (BATCH, 5, 60_000)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        directory = Path(name)
        stream = streams.gather(arguments.corpora, directory)
        batches = list(distinct(stream, sample, batch, rounds + 1))
        with served(directory / "cold", arguments.store, cache=0) as (desk, call):
            cold = by_turns(batches, scorer(desk), asked(call))
        with served(directory / "warm", arguments.store, cache=200_000) as (desk, call):
            for lines in batches:
                asked(call)(lines)()
            warm = by_turns(batches, in_process(desk), asked(call))
    show(stream.name, len(batches[0]), cold, warm)


def distinct(stream: Stream, sample: int, size: int, count: int) -> Iterator[list[bytes]]:
    """Batches of lines, no two of which have a fingerprint in common; where there are too few, smaller ones."""
    found: dict[str, bytes] = {}
    for line in stream.lines(stream.shuffled(sample)):
        ref = SourceRef(siem="bench", index="bench", id="")
        try:
            event = normalise(RawEvent(deployment="bench", native_id="", ref=ref, data=line))
        except PermanentError:
            continue
        found.setdefault(event.fingerprint, line.strip())
        if len(found) == size * count:
            break
    lines = list(found.values())
    size = min(size, len(lines) // count)
    yield from (lines[start : start + size] for start in range(0, size * count, size))


@contextmanager
def served(directory: Path, store: Path | None, *, cache: int) -> Iterator[tuple[Desk, Caller]]:
    """The API over a bundle, until the end of the block."""
    directory.mkdir()
    config = directory / "triaged.toml"
    where = f'store = "{store.resolve()}"\n' if store else ""
    config.write_text(CONFIG.format(dir=directory, store=where, cache=cache, token=TOKEN), encoding="utf-8")
    app, door = wiring.App(wiring.load_settings(config)), Door()
    try:
        desk = app.desk()
        door.open(desk)
        yield desk, Caller(directory / "api.sock")
    finally:
        door.close()
        app.close()


Way = Callable[[Sequence[bytes]], Callable[[], object]]
"""Prepares a batch, and gives what is to be timed."""


def scorer(desk: Desk) -> Way:
    """The bundle alone."""

    def prepared(lines: Sequence[bytes]) -> Callable[[], object]:
        ref = SourceRef(siem="bench", index="bench", id="")
        events = [normalise(RawEvent(deployment="bench", native_id="", ref=ref, data=line)) for line in lines]
        return lambda: desk.bundle().predict(events, {})

    return prepared


def in_process(desk: Desk) -> Way:
    """All that the API does with a body, without HTTP."""

    def prepared(lines: Sequence[bytes]) -> Callable[[], object]:
        body = request(lines)
        return lambda: msgspec.json.encode(verdicts(desk, decoded(body, len(lines)), "bench"))

    return prepared


def asked(call: Caller) -> Way:
    """The API, asked by a client."""

    def prepared(lines: Sequence[bytes]) -> Callable[[], object]:
        body = request(lines)

        def once() -> None:
            answer = call("POST", "/v1/classify", body, token=TOKEN)
            assert answer.status == 200, answer.body
            assert answer.body.count(b'"verdict":') == len(lines)

        return once

    return prepared


def request(lines: Sequence[bytes]) -> bytes:
    """The lines as a request's body."""
    return b'{"events":[' + b",".join(b'{"data":%b}' % line for line in lines) + b"]}"


def by_turns(batches: Sequence[Sequence[bytes]], alone: Way, api: Way) -> Rates:
    """Both ways over each batch but the first, which warms them; the order changes from batch to batch."""
    rounds: list[tuple[float, float]] = []
    for number, lines in enumerate(batches):
        ways = [alone(lines), api(lines)]
        spent = [seconds(way) for way in ways] if number % 2 else [seconds(way) for way in reversed(ways)][::-1]
        rounds.append((spent[0], spent[1]))
    return rates(len(batches[0]), rounds[1:])


def rates(size: int, rounds: Sequence[tuple[float, float]]) -> Rates:
    """Of batches of a size, and the seconds that each way took in each round."""
    alone, api = (median(column) for column in zip(*rounds, strict=True))
    return Rates(size / alone, size / api, median(one / other for one, other in rounds))


def seconds(work: Callable[[], object]) -> float:
    """How long this takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(stream: str, batch: int, cold: Rates, warm: Rates) -> None:
    """The table for people and the JSON line for machines."""
    table = Table(title=f"{stream}, {batch} events a request, {len(os.sched_getaffinity(0))} cores")
    for column in ("what", "events/s", "share"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("the scorer alone, distinct events", f"{cold.alone:,.0f}", "")
    table.add_row("the API, distinct events", f"{cold.api:,.0f}", f"{cold.ratio:.0%}")
    table.add_row("in process, all scores cached", f"{warm.alone:,.0f}", "")
    table.add_row("the API, all scores cached", f"{warm.api:,.0f}", f"{warm.ratio:.0%}")
    Console(width=110).print(table)
    facts = {
        "stream": stream,
        "batch": batch,
        "scorer": round(cold.alone, 1),
        "api": round(cold.api, 1),
        "api_share": round(cold.ratio, 3),
        "in_process_cached": round(warm.alone, 1),
        "api_cached": round(warm.api, 1),
        "api_cached_share": round(warm.ratio, 3),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
