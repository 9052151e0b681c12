"""``make demo-elastic``: the bundled intrusion through a real OpenSearch: polled, written back, enriched at ingest.

    start a server → install the assets → index the events → run the daemon → stop it → index the events again

What comes the second time is enriched by the server alone. Every figure of the last line is asked of the server, but for
the playbooks that the dry-run SOAR recorded.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector.cli.demo import DEPLOYMENT
from connector.demo import report, scenario_paths
from connector.events.normalise import to_ecs
from connector.siem.files import open_paths
from connector.soar.dryrun import recorded
from tests import environment
from tests.servers.cache import Unavailable
from tests.servers.opensearch import OpenSearch
from tests.servers.process import Server
from tests.siem.elastic.asked import ask

FIRST, SECOND = "winlogbeat-demo-first", "winlogbeat-demo-second"
DAEMON_S = 900
SHOWN = 15

CONFIG = """
data_dir = {dir}
[log]
level = "warning"
[sources.opensearch]
type = "elastic"
flavour = "opensearch"
hosts = [{url}]
deployment = "{deployment}"
index = ["{index}"]
start = "beginning"
settle = 0
[targets.opensearch]
type = "elastic"
flavour = "opensearch"
hosts = [{url}]
batch = 100
[targets.opensearch.lookup]
mode = "table"
every = "PT0.1S"
changed = 0
[soars.dryrun]
type = "dryrun"
path = {runs}
"""

MAPPINGS = {
    "settings": {"number_of_replicas": 0},
    "mappings": {
        "dynamic": False,
        "properties": {
            "@timestamp": {"type": "date"},
            "event": {"properties": {"ingested": {"type": "date"}}},
            "threat": {"properties": {"technique": {"properties": {"id": {"type": "keyword"}}}}},
            "triaged": {
                "properties": {name: {"type": "keyword"} for name in ("status", "scope", "verdict", "fingerprint")}
                | {"confidence": {"type": "float"}}
            },
        },
    },
}


def main() -> int:
    """Runs it. 1 where the server cannot be had on this machine."""
    try:
        server = OpenSearch()
    except Unavailable as reason:
        sys.stderr.write(f"the demo needs an OpenSearch server: {reason}\n")
        return 1
    with server, tempfile.TemporaryDirectory(prefix="triaged-demo-elastic-") as name:
        told(f"OpenSearch answers at {server.url}")
        folder = Path(name)
        config = folder / "triaged.toml"
        places = {"dir": str(folder), "url": server.url, "runs": str(folder / "runs.sqlite")}
        quoted = {key: json.dumps(place) for key, place in places.items()}
        config.write_text(CONFIG.format(**quoted, deployment=DEPLOYMENT, index=FIRST), encoding="utf-8")
        for index in (FIRST, SECOND):
            ask(server, "PUT", f"/{index}", MAPPINGS)
        triaged("elastic", "install", "--index", FIRST, "--index", SECOND, "--config", str(config))
        events = list(scenario())
        put(server, FIRST, events)
        told(f"{len(events)} events indexed; the daemon classifies them")
        triaged("run", "--drain", "--config", str(config))
        put(server, SECOND, events)
        told("the daemon is stopped; the same events, indexed again, come out of the server's own pipeline as:")
        Console(width=None if sys.stdout.isatty() else 130).print(shown(enriched(server)))
        sys.stdout.write(json.dumps(summary(server, len(recorded(folder / "runs.sqlite")))) + "\n")
    return 0


def scenario() -> Iterator[Mapping[str, Any]]:
    """The demo's events in ECS: what Winlogbeat ships, as it is; a Splunk row as Winlogbeat would have shipped it."""
    for raw in open_paths(scenario_paths(), deployment=DEPLOYMENT):
        yield to_ecs(raw.data)[1]


def put(server: Server, index: str, events: Sequence[Mapping[str, Any]]) -> None:
    """Indexes events with the time of their ingest, as an agent's own pipeline would set it."""
    now = datetime.now(UTC).isoformat()
    rows: list[Any] = []
    for event in events:
        rows += [{"create": {"_index": index}}, {**event, "event": {**event.get("event", {}), "ingested": now}}]
    answer = ask(server, "POST", "/_bulk?refresh=true&filter_path=errors,items.*.error", rows)
    if answer["errors"]:
        raise SystemExit(f"the server refused events: {json.dumps(answer)[:500]}")


def triaged(*command: str) -> None:
    """Runs a command of the product in a process of its own."""
    whole = [sys.executable, "-m", "connector.cli", *command]
    done = subprocess.run(whole, env=environment.clean(), timeout=DAEMON_S, check=False)
    if done.returncode:
        raise SystemExit(f"`triaged {' '.join(command)}` ended with status {done.returncode}")


def enriched(server: Server) -> list[dict[str, Any]]:
    """One enriched document a fingerprint, the most alarming first."""
    query = {
        "size": SHOWN,
        "query": {"term": {"triaged.status": "enriched"}},
        "sort": [{"triaged.confidence": {"order": "desc", "missing": "_last"}}, {"@timestamp": "asc"}],
        "collapse": {"field": "triaged.fingerprint"},
    }
    return [hit["_source"] for hit in ask(server, "POST", f"/{SECOND}/_search", query)["hits"]["hits"]]


def shown(documents: Sequence[Mapping[str, Any]]) -> Table:
    """Enriched documents for people. Their text is an intruder's: it is printed as text, without control characters."""
    table = Table(expand=True, caption=f"the {len(documents)} most alarming; triaged.scope is fingerprint for all")
    for column in ("verdict", "sure", "threat.technique.id", "host", "event"):
        table.add_column(column, no_wrap=True, overflow="ellipsis", ratio=1 if column == "event" else None)
    for document in documents:
        stamp = document["triaged"]
        techniques = document.get("threat", {}).get("technique", {}).get("id", ())
        sure = stamp.get("confidence")
        row = (
            str(stamp["verdict"]),
            "-" if sure is None else f"{sure:.2f}",
            ", ".join(techniques),
            report.printable(str(document.get("host", {}).get("name", "-"))).partition(".")[0],
            report.summary(document),
        )
        table.add_row(*map(Text, row))
    return table


def summary(server: Server, runs: int) -> dict[str, int]:
    """The last line. ``dead`` are events of the first pass that have no verdict on the server."""
    ask(server, "POST", "/triaged-*/_refresh")
    aggregations = {
        "events": {"cardinality": {"field": "event.id", "precision_threshold": 40_000}},
        "techniques": {"cardinality": {"field": "threat.technique.id"}},
    }
    found = ask(server, "POST", "/triaged-verdicts/_search", {"size": 0, "aggs": aggregations})["aggregations"]
    events, verdicts = count(server, FIRST), int(found["events"]["value"])
    return {
        "events": events,
        "verdicts": verdicts,
        "dead": events - verdicts,
        "techniques": int(found["techniques"]["value"]),
        "written": count(server, "triaged-verdicts"),
        "enriched": count(server, SECOND, {"query": {"term": {"triaged.status": "enriched"}}}),
        "runs": runs,
    }


def count(server: Server, index: str, query: Any = None) -> int:
    """How many documents the server has."""
    return int(ask(server, "POST", f"/{index}/_count", query)["count"])


def told(text: str) -> None:
    """Says how far it is, beside the results."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
