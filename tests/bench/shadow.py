"""``python -m tests.bench.shadow [--quick] [--corpora DIR] [--store DIR]``: what a challenger in shadow costs the daemon.

The whole daemon (files in, SQLite ledger, files out) runs over the same distinct events without a challenger and with one,
and between the two the challenger scores the same events in a process of its own. All are CPU seconds of a whole process
from the first event on, and not time on the clock, so that what else runs on the machine does not count. The challenger is
the bundle in production with levels of zero: as dear to ask, and of another opinion about every event, so that recording
what differs is measured too. Nothing is cached, since no event comes twice.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from connector.learn.shadow import BATCH, WAITING
from connector.models import Store, manifest as manifests
from connector.resources import shipped
from connector.types import Event
from connector.wiring import load_settings, open_bundle
from tests import environment
from tests.bench import ingest, streams
from tests.bench.child import Report
from tests.conftest import CORPORA

CHALLENGER = "bench-challenger"


class Round(NamedTuple):
    """CPU seconds of the daemon without and with a challenger, and of the challenger alone; events a second of the daemon."""

    without: float
    beside: float
    alone: float
    rate_without: float
    rate_beside: float
    compared: int

    @property
    def ratio(self) -> float:
        """What the challenger costs the daemon, in its own scoring times."""
        return (self.beside - self.without) / self.alone


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shadow", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    arguments = parser.parse_args()
    rounds, sample, most = (1, 500, 200) if arguments.quick else (5, 100_000, WAITING)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        directory = Path(name)
        store = doubled(arguments.store or shipped("model_store"), directory / "store")
        stream = streams.gather(arguments.corpora, directory)
        pairs = streams.distinct(stream, sample, most)
        (directory / "stream.jsonl").write_bytes(b"".join(line for line, _ in pairs))
        measured = [once(directory, number, store, [event for _, event in pairs]) for number in range(rounds)]
    show(stream.name, len(pairs), measured)


def doubled(source: Path, place: Path) -> Path:
    """A copy of the store, with the challenger beside the bundle in production."""
    store = Store(Path(shutil.copytree(source, place)))
    ref = store.production()
    assert ref is not None
    name, version = ref.split("/")
    copy = shutil.copytree(store.directory(ref), place / name / CHALLENGER)
    manifest = manifests.read(copy)
    zero = msgspec.structs.replace(manifest.thresholds, suspicious=0.0, malicious=0.0, trigger=0.0)
    manifests.seal(copy, msgspec.structs.replace(manifest, version=CHALLENGER, thresholds=zero))
    assert version != CHALLENGER
    return place


def once(directory: Path, number: int, store: Path, events: Sequence[Event]) -> Round:
    """One turn of the three."""
    without, rate_without, _ = daemon(directory, f"{number}-without", store, len(events), beside=False)
    spent = alone(directory, store, events)
    beside, rate_beside, compared = daemon(directory, f"{number}-beside", store, len(events), beside=True)
    return Round(without, beside, spent, rate_without, rate_beside, compared)


def daemon(directory: Path, name: str, store: Path, events: int, *, beside: bool) -> tuple[float, float, int]:
    """CPU seconds of the daemon, its events a second, and how many of them a challenger scored."""
    place = directory / name
    place.mkdir()
    (place / "stream.jsonl").hardlink_to(directory / "stream.jsonl")
    config = place / "triaged.toml"
    config.write_text(configured(place, store, beside=beside), encoding="utf-8")
    report = place / "report.json"
    command = [sys.executable, "-m", "tests.bench.child", str(config), str(events), str(report)]
    subprocess.run(command, cwd=ingest.ROOT, env=environment.clean(), check=True)
    found = msgspec.json.decode(report.read_bytes(), type=Report)
    begun, ended = found.samples[0], found.samples[-1]
    stored = next(seconds for seconds, count, _, _ in found.samples if count >= events)
    return ended[3] - begun[3], events / (stored - begun[0]), found.compared


def configured(place: Path, store: Path, *, beside: bool) -> str:
    """The settings of the bench of ingest, with a challenger or without."""
    where = f'store = "{store}"\n'
    if beside:
        ref = Store(store).production()
        assert ref is not None
        where += f'shadow = "{ref.partition("/")[0]}/{CHALLENGER}"\n'
    return ingest.CONFIG.format(dir=place, store=where, threads=len(os.sched_getaffinity(0)), batch=ingest.BATCH)


def alone(directory: Path, store: Path, events: Sequence[Event]) -> float:
    """CPU seconds of the challenger by itself, opened as the daemon opens it, over the same events."""
    config = directory / "alone.toml"
    config.write_text(configured(directory, store, beside=True), encoding="utf-8")
    settings = load_settings(config)
    with closing(open_bundle(settings, settings.model.shadow, threads=1, explains=False)) as bundle:
        gc.disable()
        begun = time.process_time()
        for start in range(0, len(events), BATCH):
            bundle.predict_without_state(events[start : start + BATCH])
        spent = time.process_time() - begun
        gc.enable()
    return spent


def show(name: str, events: int, rounds: Sequence[Round]) -> None:
    """Prints a table for people and a JSON line for programs: medians over the rounds, and the range of the ratio."""
    middle = Round(*(median(column) for column in zip(*rounds, strict=True)))
    ratios = sorted(one.ratio for one in rounds)
    facts = {
        "stream": name,
        "events": events,
        "compared": round(middle.compared),
        "cpu_without": round(middle.without, 2),
        "cpu_beside": round(middle.beside, 2),
        "cpu_alone": round(middle.alone, 2),
        "cost_over_own_scoring": round(median(ratios), 3),
        "cost_over_own_scoring_range": [round(ratios[0], 3), round(ratios[-1], 3)],
        "rate_without": round(middle.rate_without, 1),
        "rate_beside": round(middle.rate_beside, 1),
        "rate_kept": round(median(one.rate_beside / one.rate_without for one in rounds), 3),
    }
    table = Table(
        title=f"A challenger in shadow: {events} distinct events of {name}, {len(rounds)} rounds", show_header=False
    )
    for what, key in (
        ("events that the challenger scored", "compared"),
        ("CPU s of the daemon without", "cpu_without"),
        ("CPU s of the daemon with the challenger", "cpu_beside"),
        ("CPU s of the challenger's scoring alone", "cpu_alone"),
        ("(with - without) / own scoring", "cost_over_own_scoring"),
        ("the same, least and most of the rounds", "cost_over_own_scoring_range"),
        ("events/s that the champion judges, without", "rate_without"),
        ("events/s that the champion judges, with", "rate_beside"),
        ("with / without", "rate_kept"),
    ):
        table.add_row(what, str(facts[key]))
    Console(width=110).print(table)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
