"""What threads and batches are worth to the text member's graph, and what a batch does to its scores, in one run.

``python -m tests.bench.runs --corpora DIR [--store STORE] [--bundle NAME/VERSION]``. Distinct events of one stream, as texts.
Settings take turns, several times, so that what else the machine does falls on all.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import msgspec
import numpy as np
from tokenizers import Tokenizer

from connector.events import render
from connector.models import Store
from connector.models.cpus import usable
from connector.models.ensemble import TEXT
from connector.models.graph import Graph, Reading
from connector.models.text import MODEL, TOKENIZER, Options, readings
from connector.ports import MemberSpec
from connector.resources import shipped
from tests.bench.streams import distinct, gather

THREADS: Final = (1, 2, 4, 16)
BATCHES: Final = (1, 8, 32)


class Setting(NamedTuple):
    """So many runs side by side, each of so many events."""

    threads: int
    batch: int


class Worth(NamedTuple):
    """Throughput and CPU an event, of those of one thread and one event a run; the largest change of a logit."""

    setting: Setting
    speed: float
    cpu: float
    moved: float


def measure(spec: MemberSpec, folder: Path, texts: Sequence[str], rounds: int) -> Iterator[Worth]:
    """Every setting on the same texts."""
    options = msgspec.convert(spec.options, Options)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(options.max_length)
    read = readings(tokenizer, texts, options.letters)
    settings = [Setting(threads, batch) for threads in THREADS for batch in BATCHES]
    graphs = {
        one: Graph(folder / MODEL, labels=len(spec.labels), threads=one.threads, batch_size=one.batch)
        for one in settings
    }
    spent: dict[Setting, list[tuple[float, float]]] = {one: [] for one in settings}
    try:
        alone = _logits(graphs[settings[0]], read)
        moved = {one: float(np.abs(_logits(graph, read) - alone).max()) for one, graph in graphs.items()}
        for _ in range(rounds):
            for one, graph in graphs.items():
                spent[one].append(_spent(graph, read))
    finally:
        for graph in graphs.values():
            graph.close()
    base = spent[settings[0]]
    for one in settings:
        pairs = list(zip(base, spent[one], strict=True))
        yield Worth(
            one,
            speed=median(before[0] / mine[0] for before, mine in pairs),
            cpu=median(mine[1] / before[1] for before, mine in pairs),
            moved=moved[one],
        )


def _logits(graph: Graph, read: Sequence[Reading]) -> np.ndarray:
    found = graph.run(read)
    return np.column_stack([found.techniques, found.malicious])


def _spent(graph: Graph, read: Sequence[Reading]) -> tuple[float, float]:
    """Seconds by the clock, and of CPU."""
    begun = time.perf_counter(), time.process_time()
    graph.run(read)
    return time.perf_counter() - begun[0], time.process_time() - begun[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        stream = gather(options.corpora, Path(place))
        texts = [render(event.canonical) for _, event in distinct(stream, 20 * options.events, options.events)]
    store = Store(options.store or shipped("model_store"))
    ref = options.bundle or store.production()
    spec = next(member for member in store.manifest(ref).members if member.kind == TEXT)
    print(f"{ref}, {len(texts)} distinct events of {stream.name}, {usable()} CPUs that this process may use\n")
    print("| runs side by side | events a run | throughput | CPU an event | largest change of a logit |")
    print("|---|---|---|---|---|")
    for one in measure(spec, store.directory(ref) / spec.directory, texts, options.rounds):
        threads, batch = one.setting
        print(f"| {threads} | {batch} | {one.speed:.2f} | {one.cpu:.2f} | {one.moved:.3g} |")
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.bench.runs", description=__doc__)
    made.add_argument("--corpora", type=Path, required=True)
    made.add_argument("--store", type=Path)
    made.add_argument("--bundle")
    made.add_argument("--events", type=int, default=2_000)
    made.add_argument("--rounds", type=int, default=7)
    return made


if __name__ == "__main__":
    sys.exit(main())
