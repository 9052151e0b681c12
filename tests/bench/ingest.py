"""The whole daemon on the stream: files in, SQLite ledger, files out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from tests import environment
from tests.bench.child import Report
from tests.bench.plan import Plan
from tests.bench.streams import Stream

ROOT = Path(__file__).parents[2]

CONFIG = """
data_dir = "{dir}/data"
[log]
level = "warning"
[model]
{store}threads = {threads}
[sources.stream]
type = "files"
deployment = "bench"
paths = ["{dir}/stream.jsonl"]
every = "PT0.2S"
batch = {batch}
[targets.out]
type = "files"
path = "{dir}/out.jsonl"
every = "PT0.2S"
batch = 1000
max_pending = 10000000
[soars.dryrun]
type = "dryrun"
path = "{dir}/runs.sqlite"
"""

BATCH = 1000


class Ingest(NamedTuple):
    """What one run of the daemon showed. Times in seconds since the warm part was in; memory in bytes.

    ``growth`` is the time of the last chunk over that of the first, ``cpu_growth`` the same in CPU time, which tells
    more on a machine that others use too.
    """

    rate: float
    repeat: float
    dead: int
    marks: dict[int, float]
    growth: float
    cpu_growth: float
    delivered_rate: float
    peak_memory: int
    memory_growth: int


def measure(stream: Stream, directory: Path, plan: Plan, *, store: Path | None, threads: int) -> Ingest:
    """Runs the daemon over the shuffled stream and reads its times off."""
    with (directory / "stream.jsonl").open("wb") as file:
        file.writelines(stream.lines(stream.shuffled(plan.stream)))
    config = directory / "triaged.toml"
    where = f'store = "{store}"\n' if store else ""
    batch = min(BATCH, plan.chunk // 4)
    config.write_text(CONFIG.format(dir=directory, store=where, threads=threads, batch=batch), encoding="utf-8")
    report = directory / "report.json"
    command = [sys.executable, "-m", "tests.bench.child", str(config), str(plan.stream), str(report)]
    subprocess.run(command, cwd=ROOT, env=environment.clean(), check=True)
    return _read(msgspec.json.decode(report.read_bytes(), type=Report), plan)


def _read(report: Report, plan: Plan) -> Ingest:
    seconds, events, resident, cpu = (np.array(column, float) for column in zip(*report.samples, strict=True))

    def at(count: int, clock: np.ndarray = seconds) -> float:
        """When so many events were in the ledger, by interpolation between two samples."""
        later = int(np.searchsorted(events, count))
        if later == 0:
            return float(clock[0])
        known = slice(later - 1, later + 1)
        return float(np.interp(count, events[known], clock[known]))

    def spent(start: int, clock: np.ndarray = seconds) -> float:
        """What the chunk that begins there took."""
        return at(start + plan.chunk, clock) - at(start, clock)

    begun = float(seconds[np.flatnonzero(events == 0)[-1]])
    warm = at(plan.warm)
    middle = resident[np.searchsorted(events, plan.warm + plan.chunk)]
    return Ingest(
        rate=plan.stream / (at(plan.stream) - begun),
        repeat=plan.stream / max(report.scored, 1),
        dead=report.dead,
        marks={mark: at(plan.warm + mark) - warm for mark in plan.marks},
        growth=spent(plan.stream - plan.chunk) / spent(plan.warm),
        cpu_growth=spent(plan.stream - plan.chunk, cpu) / spent(plan.warm, cpu),
        delivered_rate=plan.stream / (report.delivered_at - begun),
        peak_memory=report.peak,
        memory_growth=int(resident[-1] - middle),
    )
