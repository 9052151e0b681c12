"""What the ingest pipeline costs a server: processor time a document, part by part, and what is left of the indexing rate.

A real OpenSearch indexes the same bulks without a pipeline, with one that only sets ``event.ingested``, and with ours as a
whole and in parts, in turns that are short and change their order. The index has its mapping before it gets events, as one
of a data stream has. The look-up table is what the shipped model says of the most frequent fingerprints of all events, as
large as the default allows.

Processor time is that of the server's process without the threads that compile Java, in the middle turn of each: a turn
is cheap where the server puts off the merging of what it holds, and dear where it makes up for it. The rate by the clock is
printed beside it.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from connector.events import CANONICAL_VERSIONS
from connector.models import Store
from connector.policy import verdict_name
from connector.resources import shipped
from connector.siem.elastic import assets, installer
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.lookup import LookupSettings, known
from connector.siem.elastic.server import ClusterServer
from connector.siem.elastic.table import chosen
from connector.types import Event, Json, LookupEntry
from tests.servers.process import Server
from tests.siem.elastic.asked import ask

BULK: Final = 500
SENDERS: Final = 2
LEARNT: Final = 100
"""Events a request while a server that has just started learns their mapping, which is slow."""

TURN: Final = 2000
"""Events a turn: the first ones of those whose fingerprints are counted."""

WARMING: Final = 3
"""Turns of each that warm the server up, and do not count."""

ACCEPTED: Final = "bench-accepted"
TRIAL: Final = "bench-trial"
SET: Final = {"processors": [{"set": {"field": "event.ingested", "value": "{{{_ingest.timestamp}}}"}}]}
EMPTY_SCRIPT: Final = {"processors": [{"script": {"lang": "painless", "source": "return;"}}]}

ENRICHED: Final = {"query": {"term": {"triaged.status": "enriched"}}}

PIPELINES: Final[Mapping[str, str | None]] = {
    "none": None,
    "set": "bench-set",
    "script": "bench-script",
    "unknown": "bench-unknown",
    "whole": "triaged-enrich",
}
"""Nothing; one ``set``, as every stream has that is read by the time of ingest; a script that does nothing, so what the
server does around any script; ours with an empty table, so fingerprint, look-up and the stamp of a pending event; ours."""

MAPPINGS: Final[Mapping[str, Any]] = {
    "settings": {"number_of_replicas": 0, "mapping.total_fields.limit": 10_000},
    "mappings": {
        "dynamic_templates": [
            {"data": {"path_match": "winlog.*_data.*", "mapping": {"type": "keyword", "ignore_above": 1024}}},
            {"strings": {"match_mapping_type": "string", "mapping": {"type": "keyword", "ignore_above": 1024}}},
        ],
        "date_detection": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "message": {"type": "text"},
            "event": {"properties": {"ingested": {"type": "date"}}},
        },
    },
}
"""As the agent's own template has it: strings are keywords, the message is text."""


class Cost(NamedTuple):
    """Of each pipeline, in the middle turn: microseconds of the server's processors a document; the share of ``none``'s rate
    that is left by them, and by the clock. Then how many microseconds a document ours took by the server's own clock, and the
    share of the documents that it enriched."""

    cpu: Mapping[str, float]
    kept: Mapping[str, float]
    kept_by_clock: Mapping[str, float]
    rate: Mapping[str, float]
    pipeline: float
    enriched: float


def accepted(server: Server, events: Sequence[Event]) -> list[Event]:
    """Those that fit into one index: some recordings have an object where others have a word."""
    ask(server, "PUT", f"/{ACCEPTED}", MAPPINGS)
    found: list[Event] = []
    for start in range(0, len(events), LEARNT):
        part = events[start : start + LEARNT]
        rows: list[Any] = []
        for event in part:
            rows += [{"create": {}}, event.ecs]
        items = ask(server, "POST", f"/{ACCEPTED}/_bulk", rows)["items"]
        found += [event for event, item in zip(part, items, strict=True) if item["create"]["status"] == 201]
    return found


def measured(server: Server, events: Sequence[Event], rounds: int) -> Cost:
    """Indexes a turn's events by each pipeline, round by round. The events must be :func:`accepted`."""
    install(server, events)
    mappings, bodies = mapped(server), bulks(events[:TURN])
    size = len(events[:TURN])
    names = list(PIPELINES)
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    enriched = 0
    before = pipeline_stats(server)
    for turn in range(-WARMING, rounds):
        if turn == 0:
            before = pipeline_stats(server)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            spent = indexing(server, mappings, PIPELINES[name], bodies)
            if turn >= 0:
                turns[name].append(spent)
            if name == "whole":
                enriched = ask(server, "POST", f"/{TRIAL}/_count", ENRICHED)["count"]
    after = pipeline_stats(server)
    middle = {name: statistics.median(cpu for cpu, _ in rows) for name, rows in turns.items()}
    clock = {name: statistics.median(wall for _, wall in rows) for name, rows in turns.items()}
    return Cost(
        cpu={name: 1e6 * cpu / size for name, cpu in middle.items()},
        kept={name: middle["none"] / cpu for name, cpu in middle.items()},
        kept_by_clock={name: clock["none"] / wall for name, wall in clock.items()},
        rate={name: size / wall for name, wall in clock.items()},
        pipeline=1000 * (after["time_in_millis"] - before["time_in_millis"]) / (after["count"] - before["count"]),
        enriched=enriched / size,
    )


def bulks(events: Sequence[Event]) -> list[bytes]:
    """The events as bodies of bulk requests."""
    rows = [b'{"create":{}}\n' + msgspec.json.encode(event.ecs) + b"\n" for event in events]
    return [b"".join(rows[start : start + BULK]) for start in range(0, len(rows), BULK)]


def install(server: Server, events: Sequence[Event]) -> None:
    """The assets with a full table, and the pipelines that they are compared with."""
    cluster = Cluster(Connection(flavour="opensearch", hosts=(server.url,)))
    connection = ClusterServer(cluster, "installing")
    installer.install(connection, installer.plan(connection, assets.assets("opensearch", "table")))
    made = assets.pipeline("opensearch", assets.LOOKUP_PIPELINE, "triaged-lookup-table")
    script = installer.lookup_script(made.body)
    assert script is not None
    bodies: dict[str, Json] = {"bench-set": SET, "bench-script": EMPTY_SCRIPT, "bench-unknown": made.body}
    for name, body in bodies.items():
        connection.request("PUT", f"/_ingest/pipeline/{name}", body)
    script["params"].update(full_table(events))
    connection.request("PUT", made.path, made.body)
    cluster.close()


def deployed(server: Server) -> Mapping[str, Any]:
    """The script of the look-up pipeline as it stands on the server, with its table."""
    body = ask(server, "GET", f"/_ingest/pipeline/{assets.LOOKUP_PIPELINE}")[assets.LOOKUP_PIPELINE]
    script = installer.lookup_script(body)
    assert script is not None
    return script


def full_table(events: Sequence[Event]) -> dict[str, Json]:
    """The params that the daemon would publish for these events."""
    limits = LookupSettings()
    now = datetime.now(UTC)
    counts = Counter(event.fingerprint for event in events).most_common(limits.entries)
    frequent = dict(counts)
    asked = {e.fingerprint: e for e in events if e.fingerprint in frequent and e.kind in CANONICAL_VERSIONS}
    bundle = Store(shipped("model_store")).open(threads=1)
    entries = {}
    for event, prediction in zip(asked.values(), bundle.text_alone(list(asked.values())), strict=True):
        entry = LookupEntry(
            record_id="bench",
            fingerprint=event.fingerprint,
            canonical_version=CANONICAL_VERSIONS[event.kind],
            model=bundle.model,
            p_malicious=prediction.p_malicious,
            techniques=prediction.techniques,
            passed=prediction.passed,
            kind=event.kind,
            verdict=verdict_name(prediction, bundle.thresholds),
            expires_at=now + timedelta(days=9),
        )
        if entry.verdict != "abstain":
            entries[event.fingerprint] = known(entry)
    bundle.close()
    model = {"name": bundle.model.name, "version": bundle.model.version, "attack_version": bundle.model.attack_version}
    return {"model": model, "entries": chosen(counts, entries, model, now, most=limits.entries, size=limits.bytes)}


def mapped(server: Server) -> Mapping[str, Any]:
    """The mapping that the events have made, with that of a stamp: no turn pays for learning it."""
    learnt = ask(server, "GET", f"/{ACCEPTED}/_mapping")[ACCEPTED]["mappings"]
    path = "/_component_template/triaged-stamp-mappings"
    (found,) = ask(server, "GET", path)["component_templates"]
    stamp = found["component_template"]["template"]["mappings"]["properties"]
    return {**learnt, "properties": {**learnt["properties"], **stamp}}


def indexing(
    server: Server, mappings: Mapping[str, Any], pipeline: str | None, bodies: Sequence[bytes]
) -> tuple[float, float]:
    """Seconds of the server's processors, and of the clock, until the bulks were searchable in an index made anew."""
    ask(server, "DELETE", f"/{TRIAL}?ignore_unavailable=true")
    settings = {**MAPPINGS["settings"], "refresh_interval": -1, **({"final_pipeline": pipeline} if pipeline else {})}
    made = ask(server, "PUT", f"/{TRIAL}", {"settings": settings, "mappings": mappings})
    assert made.get("acknowledged"), made
    connection = Cluster(Connection(flavour="opensearch", hosts=(server.url,), timeout=timedelta(minutes=5)))

    def send(body: bytes) -> None:
        answer = connection.request("indexing", "POST", f"/{TRIAL}/_bulk", body, filter_path="errors,items.*.error")
        assert not answer["errors"], answer["items"][:2]

    process = process_of(server)
    cpu, clock = cpu_seconds(process), time.perf_counter()
    with ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(send, bodies))
    ask(server, "POST", f"/{TRIAL}/_refresh")
    spent = cpu_seconds(process) - cpu, time.perf_counter() - clock
    connection.close()
    return spent


def process_of(server: Server) -> int:
    """The server's process, as it tells itself."""
    (node,) = ask(server, "GET", "/_nodes/process")["nodes"].values()
    return int(node["process"]["id"])


def cpu_seconds(process: int) -> float:
    """Processor time of a Java process so far, without that of the threads that compile."""
    ticks = 0
    for path in Path(f"/proc/{process}/task").glob("*/stat"):
        try:
            head, _, fields = path.read_text().rpartition(")")
        except OSError:
            continue  # the thread has ended since
        if not head.partition("(")[2].startswith(("C1 ", "C2 ")):
            ticks += sum(map(int, fields.split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def pipeline_stats(server: Server) -> Mapping[str, Any]:
    """What the server counted of the inner pipeline, which does all the work.

    In the outer one OpenSearch counts the time of a whole bulk for each of its documents.
    """
    (node,) = ask(server, "GET", "/_nodes/stats/ingest")["nodes"].values()
    stats: Mapping[str, Any] = node["ingest"]["pipelines"][assets.LOOKUP_PIPELINE]
    return stats
