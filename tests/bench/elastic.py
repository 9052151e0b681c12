"""``python -m tests.bench.elastic [--quick]``: what enrichment costs a server, and what a server costs the daemon.

Ratios of one run on one machine. What the ingest pipeline costs a real OpenSearch is measured by
:mod:`tests.bench.elastic_ingest`. Then the real daemon reads the same events from the server and from a file, in turns, and
its CPU time is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from connector.errors import PermanentError
from connector.events import normalise
from connector.siem.elastic.client import Cluster, Connection
from connector.types import Event, RawEvent, SourceRef
from tests import environment
from tests.bench import elastic_ingest, ingest_parts, streams
from tests.bench.child import Report
from tests.bench.elastic_ingest import BULK, MAPPINGS, Cost
from tests.conftest import CORPORA
from tests.servers.cache import Unavailable
from tests.servers.opensearch import OpenSearch
from tests.servers.process import Server
from tests.siem.elastic.asked import ask

ROOT = Path(__file__).parents[2]
DAEMON_ROUNDS = 3
_BEGUN = datetime(2026, 3, 1, tzinfo=UTC)

CONFIG = """
data_dir = "{dir}/data"
[log]
level = "warning"
[model]
threads = {threads}
[sources.stream]
{source}
deployment = "bench"
start = "beginning"
settle = 0
every = "PT0.2S"
batch = 1000
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


def main() -> int:
    """Measures and prints. 1 where the server cannot be had on this machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.elastic", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--events", type=int, default=None, help="how many events")
    parser.add_argument("--rounds", type=int, default=None, help="turns of each pipeline")
    arguments = parser.parse_args()
    count = arguments.events or (600 if arguments.quick else 20_000)
    rounds = arguments.rounds or (1 if arguments.quick else 8)
    try:
        server = OpenSearch(heap="2g", java="")
    except Unavailable as reason:
        sys.stderr.write(f"the bench needs an OpenSearch server: {reason}\n")
        return 1
    with server, tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        folder = Path(name)
        stream = streams.gather(arguments.corpora, folder)
        events = elastic_ingest.accepted(server, events_of(stream, count))
        cost = elastic_ingest.measured(server, events, rounds)
        parts = ingest_parts.microseconds(events, elastic_ingest.deployed(server), rounds=2 * rounds)
        sys.stderr.write(f"{cost}\n{parts}\n")
        seconds = daemon_cost(server, events, folder, min(rounds, DAEMON_ROUNDS))
    show(stream.name, len(events), cost, parts, seconds)
    return 0


def events_of(stream: streams.Stream, count: int) -> list[Event]:
    """So many events that have a form of their own, as they stand in ECS."""
    found: list[Event] = []
    for number, line in enumerate(stream.lines(stream.shuffled(2 * count))):
        ref = SourceRef(siem="bench", index="bench", id=str(number))
        try:
            event = normalise(RawEvent(deployment="bench", native_id=str(number), ref=ref, data=line))
        except PermanentError:
            continue
        if "winlog" in event.ecs:
            # recordings have times that no server parses: these are a millisecond apart instead
            moment = _BEGUN + timedelta(milliseconds=number)
            found.append(msgspec.structs.replace(event, ecs={**event.ecs, "@timestamp": moment.isoformat()}))
        if len(found) == count:
            break
    return found


def daemon_cost(server: Server, events: Sequence[Event], folder: Path, rounds: int) -> dict[str, float]:
    """CPU seconds of the daemon for all events, by where they come from: the median of the turns."""
    lines = [msgspec.json.encode(event.ecs) for event in events]
    (folder / "stream.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    ask(server, "PUT", "/bench-events", MAPPINGS)
    rows = [b'{"create":{}}\n' + line + b"\n" for line in lines]
    connection = Cluster(Connection(flavour="opensearch", hosts=(server.url,)))
    for start in range(0, len(rows), BULK):
        connection.request("indexing", "POST", "/bench-events/_bulk", b"".join(rows[start : start + BULK]))
    connection.close()
    ask(server, "POST", "/bench-events/_refresh")
    held = ask(server, "POST", "/bench-events/_count")["count"]
    assert held == len(events), held
    sources = {
        "files": f'type = "files"\npaths = ["{folder}/stream.jsonl"]',
        "elastic": f'type = "elastic"\nflavour = "opensearch"\nhosts = ["{server.url}"]\n'
        'index = ["bench-events"]\nlookback = 0',
    }
    spent: dict[str, list[float]] = {name: [] for name in sources}
    for turn in range(rounds):
        for name in list(sources)[:: 1 if turn % 2 else -1]:
            spent[name].append(cpu_of(folder / f"{name}-{turn}", sources[name], len(events)))
    return {name: statistics.median(times) for name, times in spent.items()}


def cpu_of(folder: Path, source: str, events: int) -> float:
    """CPU seconds of one run of the daemon, from its first look at the source until all is delivered."""
    folder.mkdir()
    threads = len(os.sched_getaffinity(0))
    config, report = folder / "triaged.toml", folder / "report.json"
    config.write_text(CONFIG.format(dir=folder, source=source, threads=threads), encoding="utf-8")
    command = [sys.executable, "-m", "tests.bench.child", str(config), str(events), str(report)]
    subprocess.run(command, cwd=ROOT, env=environment.clean(), check=True)
    samples = msgspec.json.decode(report.read_bytes(), type=Report).samples
    begun = max(cpu for _, stored, _, cpu in samples if stored == 0)
    return samples[-1][3] - begun


def show(stream: str, events: int, cost: Cost, parts: Mapping[str, float], seconds: Mapping[str, float]) -> None:
    """Two tables for people and the JSON line for machines."""
    pipelines = Table(title=f"events of {stream}, indexed through each pipeline")
    for name in ("pipeline", "server µs/event", "kept", "kept by clock", "events/s"):
        pipelines.add_column(name)
    for name in cost.cpu:
        left = (
            f"{cost.cpu[name]:.0f}",
            f"{cost.kept[name]:.3f}",
            f"{cost.kept_by_clock[name]:.3f}",
            f"{cost.rate[name]:.0f}",
        )
        pipelines.add_row(name, *left)
    facts = {
        "stream": stream,
        "events": events,
        "server_cpu_us_per_event": _rounded(cost.cpu, 1),
        "kept": _rounded(cost.kept, 3),
        "kept_by_clock": _rounded(cost.kept_by_clock, 3),
        "one_thread_us_per_document": _rounded(parts, 1),
        "pipeline_us_per_document": round(cost.pipeline, 1),
        "enriched_share": round(cost.enriched, 3),
        "files_cpu_us_per_event": round(1e6 * seconds["files"] / events, 1),
        "elastic_cpu_us_per_event": round(1e6 * seconds["elastic"] / events, 1),
        "cpu_ratio": round(seconds["elastic"] / seconds["files"], 3),
    }
    others = Table(show_header=False)
    for name in list(facts)[6:]:
        others.add_row(name, str(facts[name]))
    console = Console(width=100)
    console.print(pipelines)
    console.print(others)
    sys.stdout.write(json.dumps(facts) + "\n")


def _rounded(numbers: Mapping[str, float], digits: int) -> dict[str, float]:
    return {name: round(number, digits) for name, number in numbers.items()}


if __name__ == "__main__":
    sys.exit(main())
