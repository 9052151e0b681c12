"""``python -m tests.bench.shadow [--quick] [--corpora DIR] [--store DIR]``: what a challenger in shadow costs the daemon.

**CPU.** The daemon's pipeline (files in, SQLite ledger, files out) without a challenger and with one, and scoring alone, take
turns on the same distinct events, a batch at a time and in one process, so that all see the same machine. What is counted are
CPU seconds of the whole process, and not time on the clock. Scoring alone is measured in two ways: as the daemon scores with
what is in production (its own threads, and why it says what it says), and as a challenger scores (on one thread, without that).

**Rate.** The daemon itself, without a challenger and with one, by turns over the same events: how many it judges a second.
That is time on the clock, and depends on the cores that are free.

The challenger is the bundle in production with levels of zero: as dear to ask, and of another opinion about every event, so
that recording what differs is measured too. Nothing is found in a cache, since no event comes twice.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from connector import telemetry
from connector.daemon import drain, tune
from connector.learn.shadow import BATCH
from connector.models import Bundle, Store, manifest as manifests
from connector.resources import shipped
from connector.types import Event
from connector.wiring import App, load_settings, open_bundle
from tests import environment
from tests.bench import ingest, streams
from tests.bench.child import Report
from tests.conftest import CORPORA

CHALLENGER = "bench-challenger"
REST = 0.05
"""Seconds before each turn: threads of the turn before go on looking for work for a while, and would count in this one."""

Pairs = Sequence[tuple[bytes, Event]]


class Turn(NamedTuple):
    """CPU seconds that one batch took: the pipeline without and with a challenger, and scoring alone as either is scored."""

    without: float
    beside: float
    in_production: float
    in_shadow: float

    @property
    def extra(self) -> float:
        """What the challenger costs the pipeline."""
        return self.beside - self.without


class Rate(NamedTuple):
    """Events a second that the daemon judges without and with a challenger, and the share of events that this one scored."""

    without: float
    beside: float
    compared: float


def main() -> None:
    """Measures and prints: a table for each part, and one JSON line for programs."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shadow", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    arguments = parser.parse_args()
    telemetry.configure("auto", "warning")
    rounds, sample, most, batch = (1, 500, 200, 50) if arguments.quick else (3, 30_000, 10 * BATCH, BATCH)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        directory = Path(name)
        store = doubled(arguments.store or shipped("model_store"), directory / "store")
        stream = streams.gather(arguments.corpora, directory)
        pairs = streams.distinct(stream, sample, most)
        costs = cost(by_turns(directory, store, pairs, batch))
        show(f"{len(pairs)} distinct events of {stream.name}", costs)
        rates = kept([rate(directory, number, store, pairs) for number in range(rounds)])
        show(f"{rounds} runs of the daemon", rates)
    print(json.dumps({"stream": stream.name, "events": len(pairs), **costs, **rates}))


def doubled(source: Path, place: Path) -> Path:
    """A copy of the store, with the challenger beside the bundle in production."""
    store = Store(Path(shutil.copytree(source, place)))
    copy = shutil.copytree(store.directory(_production(place)), store.directory(_challenger(place)))
    manifest = manifests.read(copy)
    zero = msgspec.structs.replace(manifest.thresholds, suspicious=0.0, malicious=0.0, trigger=0.0)
    manifests.seal(copy, msgspec.structs.replace(manifest, version=CHALLENGER, thresholds=zero))
    return place


def by_turns(directory: Path, store: Path, pairs: Pairs, batch: int) -> list[Turn]:
    """What each batch costs; the first one warms up and is left out."""
    tune()  # as the daemon does
    with ExitStack() as opened:
        without, beside = (
            opened.enter_context(closing(App(load_settings(configured(directory / name, store, shadow=shadow)))))
            for name, shadow in (("without", False), ("beside", True))
        )
        settings = beside.settings
        in_production, in_shadow = (
            Alone(opened.enter_context(closing(bundle)))
            for bundle in (
                open_bundle(settings),
                open_bundle(settings, settings.model.shadow, threads=1, explains=False),
            )
        )
        return [
            Turn(
                passed(without, directory / "without", part),
                passed(beside, directory / "beside", part),
                in_production.scored(part),
                in_shadow.scored(part),
            )
            for part in (pairs[start : start + batch] for start in range(0, len(pairs), batch))
        ][1:]


def passed(app: App, place: Path, part: Pairs) -> float:
    """CPU seconds of everything that the daemon does with these events."""
    with (place / "stream.jsonl").open("ab") as file:
        file.writelines(line for line, _ in part)
    return _cpu(lambda: _drained(app))


class Alone:
    """A bundle by itself, with what its members remember of the batches before."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._states: dict[str, dict[str, tuple[int, bytes]]] = {}

    def scored(self, part: Pairs) -> float:
        """CPU seconds of scoring these events."""
        events = [event for _, event in part]
        return _cpu(lambda: self._scored(events))

    def _scored(self, events: Sequence[Event]) -> None:
        wanted = self._bundle.state_keys(events)
        held = {
            name: {key: row for key in keys if (row := self._states.get(name, {}).get(key)) is not None}
            for name, keys in wanted.items()
        }
        for name, change in self._bundle.predict(events, held)[1].items():
            self._states.setdefault(name, {}).update(
                {key: (version + 1, value) for key, (version, value) in change.rows.items()}
            )


def configured(place: Path, store: Path, *, shadow: bool) -> Path:
    """Settings as for the bench of ingest, with a challenger or without, in a folder of their own."""
    place.mkdir()
    (place / "stream.jsonl").touch()
    model = f'store = "{store}"\n' + (f'shadow = "{_challenger(store)}"\n' if shadow else "")
    config = place / "triaged.toml"
    threads = len(os.sched_getaffinity(0))
    config.write_text(ingest.CONFIG.format(dir=place, store=model, threads=threads, batch=ingest.BATCH), "utf-8")
    return config


def rate(directory: Path, number: int, store: Path, pairs: Pairs) -> Rate:
    """One turn of the daemon without a challenger and with one."""
    without, _ = judged(directory / f"daemon-{number}-without", store, pairs, shadow=False)
    beside, compared = judged(directory / f"daemon-{number}-beside", store, pairs, shadow=True)
    return Rate(without, beside, compared / len(pairs))


def judged(place: Path, store: Path, pairs: Pairs, *, shadow: bool) -> tuple[float, int]:
    """Events a second that the daemon judges, and how many a challenger scored."""
    config, report = configured(place, store, shadow=shadow), place / "report.json"
    (place / "stream.jsonl").write_bytes(b"".join(line for line, _ in pairs))
    command = [sys.executable, "-m", "tests.bench.child", str(config), str(len(pairs)), str(report)]
    subprocess.run(command, cwd=ingest.ROOT, env=environment.clean(), check=True)
    found = msgspec.json.decode(report.read_bytes(), type=Report)
    ended = next(seconds for seconds, count, _, _ in found.samples if count >= len(pairs))
    return len(pairs) / (ended - found.samples[0][0]), found.compared


def cost(turns: Sequence[Turn]) -> dict[str, object]:
    """CPU seconds, and the challenger's cost as a share of scoring alone: of all batches, and between which half of them lie."""
    whole = Turn(*(sum(column) for column in zip(*turns, strict=True)))
    low, _, high = quantiles([turn.extra / turn.in_production for turn in turns], n=4)
    return {
        "cpu_without": round(whole.without, 2),
        "cpu_beside": round(whole.beside, 2),
        "cpu_in_production": round(whole.in_production, 2),
        "cpu_in_shadow": round(whole.in_shadow, 2),
        "cost_over_scoring_in_production": round(whole.extra / whole.in_production, 3),
        "half_of_batches_within": [round(low, 3), round(high, 3)],
        "cost_over_scoring_in_shadow": round(whole.extra / whole.in_shadow, 3),
    }


def kept(rates: Sequence[Rate]) -> dict[str, object]:
    """Medians of the runs: events a second, what of the rate is left, and the share of events that were compared."""
    return {
        "rate_without": round(median(one.without for one in rates), 1),
        "rate_beside": round(median(one.beside for one in rates), 1),
        "rate_kept": round(median(one.beside / one.without for one in rates), 3),
        "compared": round(median(one.compared for one in rates), 3),
    }


_WORDS = {
    "cpu_without": "CPU s of the pipeline without a challenger",
    "cpu_beside": "CPU s of the pipeline with one",
    "cpu_in_production": "CPU s of scoring alone, as in production",
    "cpu_in_shadow": "CPU s of scoring alone, as in shadow",
    "cost_over_scoring_in_production": "(with - without) / scoring as in production",
    "half_of_batches_within": "the same of single batches: half of them within",
    "cost_over_scoring_in_shadow": "(with - without) / scoring as in shadow",
    "rate_without": "events/s that the daemon judges, without",
    "rate_beside": "events/s that the daemon judges, with",
    "rate_kept": "with / without",
    "compared": "share of events that the challenger had time for",
}


def show(title: str, facts: Mapping[str, object]) -> None:
    """Prints a table for people."""
    table = Table(title=title, show_header=False)
    for name, value in facts.items():
        table.add_row(_WORDS[name], str(value))
    Console(width=110).print(table)
    sys.stdout.flush()


def _production(store: Path) -> str:
    ref = Store(store).production()
    assert ref is not None
    return ref


def _challenger(store: Path) -> str:
    return f"{_production(store).partition('/')[0]}/{CHALLENGER}"


def _drained(app: App) -> None:
    assert drain(app) == []


def _cpu(work: Callable[[], object]) -> float:
    time.sleep(REST)
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
