"""``python -m tests.bench.elastic [--quick]``: what enrichment costs a server, and what a server costs the daemon.

Ratios of one run on one machine. A real OpenSearch indexes the same bulks with and without the ingest pipeline, in turns,
into indices that are mapped as Winlogbeat's are; the look-up table is full. Then the real daemon reads the same events
from the server and from a file, in turns, and its CPU time is compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from connector.errors import PermanentError
from connector.events import CANONICAL_VERSIONS, normalise
from connector.siem.elastic import assets, installer
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.lookup import known
from connector.siem.elastic.server import ClusterServer
from connector.siem.elastic.table import chosen
from connector.testing import examples
from connector.types import Event, LookupEntry, RawEvent, SourceRef
from tests import environment
from tests.bench import streams
from tests.bench.child import Report
from tests.conftest import CORPORA
from tests.servers.cache import Unavailable
from tests.servers.opensearch import OpenSearch
from tests.servers.process import Server
from tests.siem.elastic.asked import ask

ROOT = Path(__file__).parents[2]
BULK = 500
SENDERS = 2
_BEGUN = datetime(2026, 3, 1, tzinfo=UTC)
PLAIN, TIMED, PIPED = "bench-plain", "bench-timed", "bench-piped"
"""Without a pipeline; with one that sets ``event.ingested``, as every stream has that is read by it; with ours."""

INGESTED = {"processors": [{"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}}]}
FINAL = {TIMED: "bench-ingested", PIPED: "triaged-enrich"}

MAPPINGS = {
    "settings": {"number_of_replicas": 0, "mapping.total_fields.limit": 10_000},
    "mappings": {
        "dynamic_templates": [
            {"data": {"path_match": "winlog.*_data.*", "mapping": {"type": "keyword", "ignore_above": 1024}}},
            {
                "strings": {
                    "match_mapping_type": "string",
                    "mapping": {"type": "keyword", "ignore_above": 1024},
                }
            },
        ],
        "date_detection": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "message": {"type": "text"},
            "event": {"properties": {"ingested": {"type": "date"}}},
            "triaged": {"properties": {"techniques": {"type": "object", "enabled": False}}},
        },
    },
}
"""As the agent's own template has it: strings are keywords, the message is text."""

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


class Cost(NamedTuple):
    """Documents a second by pipeline, and our own's microseconds a document by the server's clock."""

    plain: float
    timed: float
    piped: float
    per_document: float
    enriched: float


def main() -> int:
    """Measures and prints. 1 where the server cannot be had on this machine."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.elastic", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--events", type=int, default=None, help="how many events")
    parser.add_argument("--rounds", type=int, default=None, help="turns of each kind")
    arguments = parser.parse_args()
    count = arguments.events or (600 if arguments.quick else 20_000)
    rounds = arguments.rounds or (1 if arguments.quick else 3)
    try:
        server = OpenSearch(heap="2g", java="")
    except Unavailable as reason:
        sys.stderr.write(f"the bench needs an OpenSearch server: {reason}\n")
        return 1
    with server, tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        folder = Path(name)
        stream = streams.gather(arguments.corpora, folder)
        events = accepted(server, events_of(stream, count))
        cost = pipeline_cost(server, events, rounds)
        sys.stderr.write(f"{cost}\n")
        seconds = daemon_cost(server, events, folder, rounds)
    show(stream.name, len(events), cost, seconds)
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


def accepted(server: Server, events: Sequence[Event]) -> list[Event]:
    """Those that fit into one index: some recordings have an object where others have a word."""
    ask(server, "PUT", f"/{PLAIN}", MAPPINGS)
    found: list[Event] = []
    for start in range(0, len(events), BULK):
        part = events[start : start + BULK]
        rows = [row for event in part for row in ({"create": {}}, event.ecs)]
        items = ask(server, "POST", f"/{PLAIN}/_bulk", rows)["items"]
        found += [event for event, item in zip(part, items, strict=True) if item["create"]["status"] == 201]
    return found


def pipeline_cost(server: Server, events: Sequence[Event], rounds: int) -> Cost:
    """Indexes the same bulks by each pipeline in turns; the first turn of each warms and does not count."""
    install(server, events)
    ask(server, "PUT", "/_ingest/pipeline/bench-ingested", INGESTED)
    bulks = [
        b"".join(b'{"create":{}}\n' + msgspec.json.encode(event.ecs) + b"\n" for event in events[start : start + BULK])
        for start in range(0, len(events), BULK)
    ]
    spent: dict[str, list[float]] = {PLAIN: [], TIMED: [], PIPED: []}
    before: Mapping[str, Any] = {}
    for turn in range(rounds + 1):
        for index in list(spent)[:: 1 if turn % 2 else -1]:
            if turn == 1 and not before:
                before = pipeline_stats(server)
            spent[index].append(indexing(server, index, bulks))
    after = pipeline_stats(server)
    query = {"query": {"term": {"triaged.status": "enriched"}}}
    known_share = ask(server, "POST", f"/{PIPED}/_count", query)["count"] / len(events)
    passed = after["count"] - before["count"]
    return Cost(
        plain=len(events) / statistics.median(spent[PLAIN][1:]),
        timed=len(events) / statistics.median(spent[TIMED][1:]),
        piped=len(events) / statistics.median(spent[PIPED][1:]),
        per_document=1000 * (after["time_in_millis"] - before["time_in_millis"]) / passed,
        enriched=known_share,
    )


def install(server: Server, events: Sequence[Event]) -> None:
    """The assets, with a table of the most frequent fingerprints as large as the default allows."""
    cluster = Cluster(Connection(flavour="opensearch", hosts=(server.url,)))
    connection = ClusterServer(cluster, "installing")
    installer.install(connection, installer.plan(connection, assets.assets("opensearch", "table")))
    now = datetime.now(UTC)
    counts = Counter(event.fingerprint for event in events).most_common(2000)
    entries = {event.fingerprint: known(entry(event, now)) for event in events if event.kind in CANONICAL_VERSIONS}
    model = dict(next(iter(entries.values()))["model"])
    table = chosen(counts, entries, model, now, most=2000, size=512 * 1024)
    made = assets.pipeline("opensearch", assets.LOOKUP_PIPELINE, "triaged-lookup-table")
    script = installer.lookup_script(made.body)
    assert script is not None
    script["params"].update({"model": model, "entries": table})
    connection.request("PUT", made.path, made.body)
    cluster.close()


def entry(event: Event, now: datetime) -> LookupEntry:
    """What a text model could have said of it, as long as such entries are."""
    sample = msgspec.structs.replace(
        examples.records()[LookupEntry], fingerprint=event.fingerprint, expires_at=now + timedelta(days=7)
    )
    return msgspec.structs.replace(
        sample,
        kind=event.kind,
        canonical_version=CANONICAL_VERSIONS[event.kind],
        verdict="malicious",
        passed=("T1059",),
    )


def indexing(server: Server, index: str, bulks: Sequence[bytes]) -> float:
    """Seconds that indexing took, into an index made anew."""
    ask(server, "DELETE", f"/{index}?ignore_unavailable=true")
    settings = {**MAPPINGS["settings"], **({"final_pipeline": FINAL[index]} if index in FINAL else {})}
    made = ask(server, "PUT", f"/{index}", {**MAPPINGS, "settings": settings})
    assert made.get("acknowledged"), made
    connection = Cluster(Connection(flavour="opensearch", hosts=(server.url,)))

    def send(body: bytes) -> None:
        answer = connection.request("indexing", "POST", f"/{index}/_bulk", body, filter_path="errors,items.*.error")
        assert not answer["errors"], answer["items"][:2]

    with ThreadPoolExecutor(SENDERS) as pool:
        spent = timed(lambda: list(pool.map(send, bulks)))
    connection.close()
    ask(server, "POST", f"/{index}/_refresh")
    return spent


def pipeline_stats(server: Server) -> Mapping[str, Any]:
    """What the server counted of the inner pipeline, which does all the work.

    In the outer one OpenSearch counts the time of a whole bulk for each of its documents.
    """
    nodes = ask(server, "GET", "/_nodes/stats/ingest")["nodes"]
    (node,) = nodes.values()
    stats: Mapping[str, Any] = node["ingest"]["pipelines"][assets.LOOKUP_PIPELINE]
    return stats


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


def timed(work: Callable[[], object]) -> float:
    """How many seconds it took."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(stream: str, events: int, cost: Cost, seconds: Mapping[str, float]) -> None:
    """The table for people and the JSON line for machines."""
    facts = {
        "stream": stream,
        "events": events,
        "plain": round(cost.plain, 1),
        "timed": round(cost.timed, 1),
        "piped": round(cost.piped, 1),
        "kept": round(cost.piped / cost.plain, 3),
        "kept_of_any_pipeline": round(cost.piped / cost.timed, 3),
        "pipeline_us_per_document": round(cost.per_document, 1),
        "enriched_share": round(cost.enriched, 3),
        "files_cpu_us_per_event": round(1e6 * seconds["files"] / events, 1),
        "elastic_cpu_us_per_event": round(1e6 * seconds["elastic"] / events, 1),
        "cpu_ratio": round(seconds["elastic"] / seconds["files"], 3),
    }
    table = Table(title=f"{events:,} events of {stream}", show_header=False)
    for name, value in facts.items():
        table.add_row(name, str(value))
    Console(width=100).print(table)
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    sys.exit(main())
