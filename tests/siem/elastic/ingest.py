"""The ingest pipelines on a real OpenSearch: installed, simulated, and held against Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from connector.errors import PermanentError
from connector.events.masks import scrub
from connector.events.normalise import normalise
from connector.siem.elastic import installer
from connector.siem.elastic.assets import LookupMode, assets
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.server import ClusterServer
from connector.types import Event, RawEvent, SourceRef
from tests.servers.process import Server
from tests.siem.elastic.asked import ask

CALL = 400
"""Documents a simulation."""

_REF = SourceRef(siem="s", index="i", id="1")


@contextmanager
def connected(server: Server) -> Iterator[ClusterServer]:
    """A connection to the server, as the installer has one."""
    cluster = Cluster(Connection(flavour=server.flavour, hosts=(server.url,)))
    try:
        yield ClusterServer(cluster, "testing the assets")
    finally:
        cluster.close()


@contextmanager
def installed(server: Server, lookup: LookupMode = "table") -> Iterator[ClusterServer]:
    """The assets on the server, and nothing of them afterwards."""
    with connected(server) as connection:
        wanted = assets(server.flavour, lookup)
        installer.install(connection, installer.plan(connection, wanted))
        try:
            yield connection
        finally:
            installer.uninstall(connection, installer.plan(connection, wanted), data=True)


def simulated(server: Server, documents: Sequence[Any], pipeline: str = "triaged-enrich") -> list[Any]:
    """What the pipeline makes of each document; an error of one fails the test."""
    found = []
    for start in range(0, len(documents), CALL):
        rows = [
            {"_index": "events", "_id": str(n), "_source": d} for n, d in enumerate(documents[start : start + CALL])
        ]
        answer = ask(server, "POST", f"/_ingest/pipeline/{pipeline}/_simulate", {"docs": rows})
        assert "docs" in answer, answer
        for document, row in zip(documents[start:], answer["docs"], strict=False):
            assert "doc" in row, (row, document)
            found.append(row["doc"]["_source"])
    return found


def python(document: Any) -> Event | None:
    """The event as the daemon reads it; None where it refuses the document."""
    try:
        return normalise(RawEvent(deployment="d", native_id="1", ref=_REF, data=document))
    except PermanentError:
        return None


def sendable(value: Any) -> Any:
    """A document that a server can take: names are whole text, and integers have a size that a simulation can tell."""
    if isinstance(value, dict):
        return {scrub(key): sendable(item) for key, item in value.items() if key}
    if isinstance(value, list):
        return [sendable(item) for item in value]
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return value % 1000
    return value


def compared(server: Server, documents: Sequence[Any]) -> Counter[str]:
    """How many documents of each kind were fingerprinted; any that differs from Python's fails.

    A document that is not fingerprinted must be as it came, or pending without a fingerprint.
    """
    told: Counter[str] = Counter()
    for before, after in zip(documents, simulated(server, documents), strict=True):
        stamp = after.get("triaged")
        if stamp is None or stamp == before.get("triaged"):
            assert after == before
            continue
        assert stamp["status"] == "pending", stamp
        if "fingerprint" in stamp:
            event = python(before)
            assert event is not None, before
            assert (stamp["kind"], stamp["fingerprint"]) == (event.kind, event.fingerprint), (before, event.canonical)
            told[event.kind] += 1
    return told


def winlogbeat(ecs: dict[str, Any]) -> dict[str, Any]:
    """A Windows event as Winlogbeat sends it before any pipeline has added ECS fields."""
    event = {key: value for key, value in ecs["event"].items() if key in {"code", "provider", "kind", "outcome"}}
    kept = {key: value for key, value in ecs.items() if key in {"@timestamp", "winlog", "host", "message"}}
    return {**kept, "event": event, "ecs": {"version": "8.0.0"}}
