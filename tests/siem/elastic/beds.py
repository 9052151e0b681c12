"""Testbeds for the contract suites: the real servers, an index of one's own on each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self

from tests.servers.elasticsearch import Elasticsearch
from tests.servers.opensearch import OpenSearch
from tests.servers.process import Server
from tests.servers.shared import shared
from tests.siem.elastic.asked import ask, held
from tests.siem.elastic.test_alert_history import MAPPINGS

TIMES: Mapping[str, Any] = {
    "mappings": {
        "dynamic": False,
        "properties": {"@timestamp": {"type": "date"}, "event": {"properties": {"ingested": {"type": "date"}}}},
    }
}
"""An index of events that any document fits into."""


def index(server: Server, name: str, documents: Sequence[Mapping[str, Any]], *, first: int = 0) -> None:
    """Creates documents with ids that count up from ``first``, in bulks, and makes them searchable."""
    for start in range(0, len(documents), 10_000):
        rows: list[Any] = []
        for number, document in enumerate(documents[start : start + 10_000], first + start):
            rows += [{"create": {"_index": name, "_id": f"{number:06d}"}}, document]
        answer = ask(server, "POST", "/_bulk?filter_path=errors,items.*.error", rows)
        assert not answer["errors"], answer["items"][:3]
    ask(server, "POST", f"/{name}/_refresh")


class ElasticTestbed:
    """Elasticsearch, with names that no other testbed has."""

    kind: ClassVar[type[Elasticsearch | OpenSearch]] = Elasticsearch

    def __init__(self, directory: Path) -> None:
        self._name = f"bed-{uuid.uuid4().hex[:12]}"
        self._put = 0

    def __enter__(self) -> Self:
        self.server = shared(self.kind)
        ask(self.server, "PUT", f"/{self._name}-events", TIMES)
        ask(self.server, "PUT", f"/{self._name}-alerts", {"mappings": MAPPINGS})
        return self

    def __exit__(self, *exc: object) -> None:
        for name in ask(self.server, "GET", f"/{self._name}-*/_settings?expand_wildcards=all"):
            ask(self.server, "DELETE", f"/{name}")

    def _connection(self) -> dict[str, Any]:
        return {"type": "elastic", "flavour": self.server.flavour, "hosts": [self.server.url]}

    def source_config(self) -> Mapping[str, Any]:
        """A source of the index."""
        return {**self._connection(), "deployment": "testbed", "index": [f"{self._name}-events"], "settle": 0}

    def writer_config(self) -> Mapping[str, Any]:
        """A writer to indices of this bed."""
        return {**self._connection(), "index_prefix": f"{self._name}-triaged"}

    def history_config(self) -> Mapping[str, Any]:
        """A history of this bed's alerts."""
        return {**self._connection(), "deployment": "testbed", "index": f"{self._name}-alerts", "settle": 0}

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Indexes events, all ingested in one millisecond: the one in which this is called."""
        now = self.clock().isoformat(timespec="milliseconds")
        stamped = [{**document, "event": {**document.get("event", {}), "ingested": now}} for document in documents]
        index(self.server, f"{self._name}-events", stamped, first=self._put)
        self._put += len(documents)

    def written(self) -> Sequence[Mapping[str, Any]]:
        """Every document of the writer's indices."""
        return [hit["_source"] for hit in held(self.server, f"{self._name}-triaged-*")]

    def close_alert(self, alert_id: str, event_ids: Sequence[str], disposition: str) -> None:
        """As Kibana leaves an alert that was raised on a record of ours and then closed."""
        alert = {
            "kibana.alert.uuid": alert_id,
            "kibana.alert.rule.type": "query",
            "kibana.alert.workflow_status": "closed",
            "kibana.alert.workflow_status_updated_at": self.clock().isoformat(timespec="milliseconds"),
            "kibana.alert.workflow_reason": disposition,
            "kibana.alert.ancestors": [{"id": "1", "type": "event", "index": "triaged-verdicts-2026.01", "depth": 0}],
            "kibana.alert.original_event.id": event_ids[0],
        }
        ask(self.server, "PUT", f"/{self._name}-alerts/_doc/{alert_id}?refresh=true", alert)
        self.settle()

    def clock(self) -> datetime:
        """The machine's time, which the server has too."""
        return datetime.now(UTC)

    def settle(self) -> None:
        """The next millisecond but one: a head is the millisecond that the server is in."""
        time.sleep(0.005)


class OpenSearchTestbed(ElasticTestbed):
    """OpenSearch."""

    kind = OpenSearch
