"""The writer against the real servers: each record once, in the index that the record itself names."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from connector.resources import shipped
from connector.siem.elastic.records import UNDATED, index_of
from connector.siem.elastic.writer import ElasticWriter, ElasticWriterConfig
from connector.testing import examples
from connector.testing.clock import START
from connector.types import AlertUpdate, Delivery, LookupEntry, Record, ReviewRequest
from tests.docs.examples import block
from tests.servers.process import Server
from tests.siem.elastic.asked import ask, held

DELIVERED = Delivery(outcome="delivered")


@pytest.fixture
def prefix() -> str:
    """Indices of its own for each test: the servers are shared."""
    return f"t{uuid.uuid4().hex[:12]}"


@contextmanager
def writing(server: Server, prefix: str, **more: Any) -> Iterator[ElasticWriter]:
    table = {"hosts": [server.url], "flavour": server.flavour, "index_prefix": prefix, **more}
    with closing(ElasticWriter("elastic", ElasticWriterConfig.model_validate(table), lambda: START)) as writer:
        yield writer


def verdicts(count: int, **changed: Any) -> list[Record]:
    return [msgspec.structs.replace(examples.verdict(number), **changed) for number in range(count)]


def test_each_record_stands_once_in_the_index_of_its_month_however_often_it_comes(
    search_server: Server, prefix: str
) -> None:
    records = [r for kind, r in examples.records().items() if kind not in {AlertUpdate, LookupEntry}]
    with writing(search_server, prefix) as writer:
        assert {type(record) for record in records} == writer.accepts
        for _ in range(2):
            assert writer.write(records) == [DELIVERED] * len(records)
    found = {hit["_id"]: hit["_index"] for hit in held(search_server, f"{prefix}-*")}
    assert found == {record.record_id: index_of(prefix, record) for record in records}
    assert index_of(prefix, records[0]) == f"{prefix}-verdicts-{START:%Y.%m}"


def test_a_retry_after_the_month_changed_goes_to_the_index_of_the_first_try(elasticsearch: Server, prefix: str) -> None:
    last = datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC)
    (record,) = verdicts(1, at=last, timestamp="2019-01-01T00:00:00Z")
    april = datetime(2026, 4, 2, tzinfo=UTC)
    for now in (last, april):
        table = {"hosts": [elasticsearch.url], "index_prefix": prefix}
        with closing(ElasticWriter("e", ElasticWriterConfig.model_validate(table), lambda now=now: now)) as writer:
            assert writer.write([record]) == [DELIVERED]
    assert [hit["_index"] for hit in held(elasticsearch, f"{prefix}-*")] == [f"{prefix}-verdicts-2026.03"]


def test_a_retry_after_the_alias_moved_on_goes_to_the_index_of_the_first_try(
    elasticsearch: Server, prefix: str
) -> None:
    """Whatever a person rolls over, by alias or by template, the record names its index and no alias."""
    records = verdicts(3)
    with writing(elasticsearch, prefix) as writer:
        writer.write(records)
        first = index_of(prefix, records[0])
        alias = f"{prefix}-verdicts"
        write_to = {"add": {"index": first, "alias": alias, "is_write_index": True}}
        assert ask(elasticsearch, "POST", "/_aliases", {"actions": [write_to]})["acknowledged"]
        rolled = ask(elasticsearch, "POST", f"/{alias}/_rollover/{first}-000002")
        assert rolled["rolled_over"]
        assert writer.write(records) == [DELIVERED] * 3
    assert {hit["_index"] for hit in held(elasticsearch, alias)} == {first}
    assert len(held(elasticsearch, alias)) == 3


def test_an_events_own_time_makes_no_index() -> None:
    wild = verdicts(1, timestamp="9999-12-31T23:59:59Z")[0]
    assert index_of("triaged", wild) == f"triaged-verdicts-{START:%Y.%m}"
    assert index_of("triaged", msgspec.structs.replace(wild, at=None)) == f"triaged-verdicts-{UNDATED}"


def test_what_cannot_be_mapped_is_rejected_with_the_servers_reason_and_the_rest_is_written(
    elasticsearch: Server, prefix: str
) -> None:
    template = {
        "index_patterns": [f"{prefix}-*"],
        "template": {"mappings": {"properties": {"@timestamp": {"type": "date"}}}},
    }
    ask(elasticsearch, "PUT", f"/_index_template/{prefix}", template)
    records = verdicts(500)
    records[250] = msgspec.structs.replace(records[250], timestamp="the day before yesterday")
    with writing(elasticsearch, prefix, max_bytes=64 * 1024) as writer:
        outcomes = writer.write(records)
    assert [place for place, outcome in enumerate(outcomes) if outcome != DELIVERED] == [250]
    assert outcomes[250].outcome == "rejected"
    assert "document_parsing_exception" in outcomes[250].reason
    assert "the day before yesterday" in outcomes[250].reason
    assert len(held(elasticsearch, f"{prefix}-*")) == 499


def test_an_index_that_takes_no_writes_waits(elasticsearch: Server, prefix: str) -> None:
    records = verdicts(2)
    with writing(elasticsearch, prefix) as writer:
        writer.write(records[:1])
        ask(elasticsearch, "PUT", f"/{prefix}-*/_settings", {"index.blocks.write": True})
        outcomes = writer.write(records)
    assert {outcome.outcome for outcome in outcomes} == {"retry"}
    assert "cluster_block_exception" in outcomes[1].reason


def test_the_documented_query_finds_the_questions_that_are_still_open(search_server: Server, prefix: str) -> None:
    asked = [ReviewRequest(record_id=f"q{number}", cause=f"v{number}", reason="rare", at=START) for number in range(3)]
    ended = ReviewRequest(record_id="end", cause="v1", reason="answered", at=START, open=False)
    template = shipped("elastic_ingest") / "component_templates" / "triaged-record-mappings.json"
    mappings = msgspec.json.decode(template.read_bytes())["template"]["mappings"]
    ask(search_server, "PUT", f"/{index_of(prefix, ended)}", {"mappings": mappings})
    with writing(search_server, prefix) as writer:
        assert writer.write([*asked, ended]) == [DELIVERED] * 4
    held(search_server, f"{prefix}-*")
    query = msgspec.json.decode(block("review.md", "json"))
    answer = ask(search_server, "POST", f"/{prefix}-reviews-*/_search", query)
    found = {one["key"]: one["needs_label"]["value"] for one in answer["aggregations"]["questions"]["buckets"]}
    assert found == {"v0": 1, "v2": 1, "v1": 0}
    assert list(found)[-1] == "v1"
