"""The whole pipeline with a real cluster on both sides: one bad record is one dead letter, and nothing is read back."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connector import telemetry
from tests.daemon.site import process_start, wait_until
from tests.servers.process import Server
from tests.siem.elastic.asked import ask, held, put
from tests.siem.elastic.site import ElasticSite, source, target


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex[:12]


def events(count: int) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat()
    return {f"e{n}": {**process_start(f"tool-{n}.exe"), "event": {**_EVENT, "ingested": now}} for n in range(count)}


_EVENT = {"code": "1", "provider": "Microsoft-Windows-Sysmon"}


def test_a_bulk_of_500_with_one_that_cannot_be_mapped_writes_499_and_one_dead_letter(
    elasticsearch: Server, tmp_path: Path, name: str
) -> None:
    mapped = {"mappings": {"properties": {"host": {"properties": {"name": {"type": "ip"}}}}}}
    ask(
        elasticsearch,
        "PUT",
        f"/_index_template/{name}",
        {"index_patterns": [f"{name}-t-verdicts-*"], "template": mapped},
    )
    documents = {key: {**event, "host": {"name": "10.0.0.1"}} for key, event in events(500).items()}
    documents["e77"]["host"] = {"name": "no address"}
    put(elasticsearch, f"{name}-events", documents)
    tables = {
        "sources.elastic": source(elasticsearch, f"{name}-events"),
        "targets.elastic": target(elasticsearch, f"{name}-t"),
    }
    with ElasticSite(tmp_path, tables) as site:
        site.until_quiet()
        (letter,) = site.app.ledger.dead_letters()
        assert site.app.ledger.pending("elastic") == 0
    written = held(elasticsearch, f"{name}-t-verdicts-*")
    assert len(written) == 499
    assert "e77" not in {hit["_source"]["triaged"]["source"]["id"] for hit in written}
    assert "document_parsing_exception" in letter.reason
    assert "no address" in letter.reason


def test_records_written_into_what_is_polled_are_known_as_ours_and_the_loop_ends(
    search_server: Server, tmp_path: Path, name: str
) -> None:
    """The source reads `logs-<name>-*`, with nothing excluded, and the writer writes right into it."""
    put(search_server, f"logs-{name}-events", events(40))
    tables = {
        "sources.elastic": source(search_server, f"logs-{name}-*", exclude=[], lookback=3),  # read again so soon
        "targets.elastic": target(search_server, f"logs-{name}"),
    }
    before = _own()
    with ElasticSite(tmp_path, tables) as site:
        delivered = site.until_quiet()

        def met() -> bool:
            nonlocal delivered
            delivered += site.turn()
            return _own() > before

        wait_until(met, "the source met records of ours")
        delivered += site.until_quiet()
        assert site.app.ledger.dead_letters() == []
    records = held(search_server, f"logs-{name}-*")
    verdicts = [hit for hit in records if "verdict" in hit["_source"].get("triaged", {})]
    assert {hit["_source"]["triaged"]["source"]["id"] for hit in verdicts} == {f"e{n}" for n in range(40)}
    assert len(verdicts) == 40
    assert delivered == len(records) - 40


def _own() -> float:
    labels = {"event": "ingest.own_record", "subject": "elastic"}
    return telemetry.SIGNALS.labels(**labels)._value.get()
