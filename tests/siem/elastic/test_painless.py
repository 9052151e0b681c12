"""The fingerprint in Painless, on a real OpenSearch: it is Python's for every document that is fingerprinted at ingest.

What runs here is OpenSearch. Elasticsearch has the same language and processors, but no build that can be installed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from connector.events import CANONICAL_VERSIONS
from connector.events.families import FAMILIES
from connector.events.normalise import ECS_ALONE, to_ecs
from connector.resources import shipped
from connector.siem.elastic import painless
from connector.siem.elastic.assets import assets
from tests.events import corpora, reference, strategies, vectors
from tests.servers.opensearch import OpenSearch
from tests.siem.elastic.asked import ask, held
from tests.siem.elastic.ingest import compared, installed, python, sendable, simulated, winlogbeat

LONG = (pytest.mark.full, pytest.mark.timeout(2400))
"""Drawing a document takes a hundredth of a second: eight thousand take minutes, and more of them where others work too."""

VECTORS = json.loads(vectors.VECTORS.read_text("utf-8"))
ECS = {"ecs": {"version": "8.0.0"}}
START = {
    **ECS,
    "event": {"code": "1"},
    "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": 1},
    "process": {"executable": "C:\\Windows\\whoami.exe", "command_line": "whoami /all"},
}


@pytest.fixture(scope="module", autouse=True)
def server(opensearch: OpenSearch) -> Iterator[OpenSearch]:
    with installed(opensearch):
        yield opensearch


def test_every_golden_event_in_ecs_has_pythons_fingerprint(server: OpenSearch) -> None:
    documents = [{**ECS, **document} for document in vectors.ecs_documents().values()]
    told = compared(server, documents)
    assert set(CANONICAL_VERSIONS) - set(told) <= painless.NOT_AT_INGEST | {"generic", "cim-port"}
    assert told.total() > 0.95 * len(documents)


def test_every_shared_vector_in_ecs_has_its_fingerprint(server: OpenSearch) -> None:
    rows = [(vector, {**ECS, **vector["document"]}) for vector in VECTORS["documents"]]
    rows = [(vector, document) for vector, document in rows if sendable(document) == document]
    told = 0
    for (vector, _), after in zip(rows, simulated(server, [document for _, document in rows]), strict=True):
        stamp = after.get("triaged", {})
        if "fingerprint" in stamp:
            assert (stamp["kind"], stamp["fingerprint"]) == (vector["kind"], vector["fingerprint"]), vector
            told += 1
    assert told > 0.95 * len(rows)


def test_every_shared_masked_value_comes_out_in_a_fingerprint(server: OpenSearch) -> None:
    documents = [document for vector in VECTORS["masks"] for document in _masked(vector["mask"], vector["in"])]
    assert compared(server, documents).total() == len(documents) >= len(VECTORS["masks"])


def test_documents_as_they_came_from_their_doors_are_fingerprinted_alike_or_left_alone(server: OpenSearch) -> None:
    documents = [raw for raw in vectors.golden().values() if isinstance(raw, dict) and "_index" not in raw]
    assert compared(server, documents).total() >= 20


@pytest.mark.parametrize("size", [200, pytest.param(8000, marks=LONG)])
def test_random_documents_have_pythons_fingerprint(server: OpenSearch, size: int) -> None:
    documents = _drawn(strategies.DOCUMENTS, size)
    assert compared(server, documents).total() > size // 2


@pytest.mark.parametrize("size", [200, pytest.param(8000, marks=LONG)])
def test_random_texts_are_masked_as_python_masks_them(server: OpenSearch, size: int) -> None:
    rows = st.builds(_masked, st.sampled_from(sorted(reference.TABLE["masks"])), strategies.TEXTS)
    documents = [document for each in _drawn(rows, size) for document in each]
    assert compared(server, documents).total() > size // 2


@pytest.mark.parametrize("size", [100, pytest.param(3000, marks=LONG)])
def test_random_documents_with_strange_root_keys_never_get_a_fingerprint_that_python_does_not_give(
    server: OpenSearch, size: int
) -> None:
    keys = sorted({*painless.STRANGE, "Channel", "event_id", "result", "message", "winlog"})
    values: st.SearchStrategy[Any] = st.sampled_from(
        ["", "text", '{"a": 1}', {"a": {"b": "c"}}, {"event_data": {"Image": "a"}}, 1, None, []]
    )
    extra = st.dictionaries(st.sampled_from(keys), values, max_size=3)
    compared(server, _drawn(st.builds(lambda document, more: {**document, **more}, strategies.DOCUMENTS, extra), size))


@pytest.mark.parametrize(("files", "per_file"), [(20, 15), pytest.param(90, 60, marks=LONG)])
def test_corpus_events_have_pythons_fingerprint_in_winlogbeats_form(
    server: OpenSearch, files: int, per_file: int
) -> None:
    events = [to_ecs(line)[1] for line in corpora.otrf_lines(files, per_file)]
    documents = [{**ECS, **ecs} for ecs in events]
    assert compared(server, documents).total() > 0.99 * len(documents) > 250
    bare = [winlogbeat(ecs) for ecs in events if "winlog" in ecs]
    assert compared(server, bare).total() > 0.99 * len(bare)


@pytest.mark.parametrize(("files", "per_file"), [(10, 15), pytest.param(120, 60, marks=LONG)])
def test_corpus_records_have_pythons_fingerprint_in_ecs(server: OpenSearch, files: int, per_file: int) -> None:
    documents = [{**ECS, **to_ecs(record)[1]} for record in corpora.evtx_records(files, per_file)]
    assert compared(server, documents).total() > 0.9 * len(documents) > 50


@pytest.mark.parametrize("size", [60, pytest.param(3000, marks=LONG)])
def test_documents_that_are_really_indexed_have_pythons_fingerprint(server: OpenSearch, size: int) -> None:
    documents = [{**ECS, **document} for document in vectors.ecs_documents().values()] + _drawn(
        strategies.DOCUMENTS, size
    )
    documents.append({**START, "process": {"executable": "a.exe", "command_line": 10**60}})
    settings_ = {"settings": {"index.final_pipeline": "triaged-enrich"}, "mappings": {"enabled": False}}
    ask(server, "PUT", "/conformance", settings_)
    rows: list[Any] = []
    for number, document in enumerate(documents):
        rows += [{"index": {"_index": "conformance", "_id": str(number)}}, document]
    for start in range(0, len(rows), 2 * 500):
        ask(server, "POST", "/_bulk?refresh=true", rows[start : start + 2 * 500])
    hits = held(server, "conformance")
    told = 0
    for hit in hits:
        before = documents[int(hit["_id"])]
        stamp = hit["_source"].get("triaged")
        if isinstance(stamp, dict) and "fingerprint" in stamp and stamp != before.get("triaged"):
            event, stored = python(before), python(hit["_source"])
            assert event is not None
            assert stored is not None
            assert stamp["fingerprint"] == event.fingerprint == stored.fingerprint
            told += 1
    ask(server, "DELETE", "/conformance")
    # a document that is no event for the index itself (an empty name) is refused with and without a pipeline
    assert len(hits) > 0.95 * len(documents)
    assert told > 0.6 * len(hits)


def test_a_megabyte_field_is_cut_before_it_is_read(server: OpenSearch) -> None:
    long = "A very long command 12345 C:\\Users\\bob\\x \\\\FS01\\c$ " * 20_000
    spaces = " \t" * 500_000
    documents = [
        {**START, "process": {"executable": text, "command_line": text + tail}}
        for text in (long, "x" * 1_000_000, "1." * 500_000, spaces, "😀" * 300_000, "a" + spaces)
        for tail in ("", " end")
    ]
    assert compared(server, documents).total() == len(documents)


def test_an_event_with_more_than_may_be_read_is_pending_and_left_to_the_daemon(server: OpenSearch) -> None:
    padded = [" " * 16_000 + "x"] * 16
    document = {**START, "process": {"executable": padded, "command_line": padded}}
    (after,) = simulated(server, [document])
    assert after["triaged"]["status"] == "pending"
    assert "fingerprint" not in after["triaged"]
    assert "error" not in after["triaged"]


def test_what_an_event_says_of_triaged_is_replaced_and_our_own_indices_are_left_alone(server: OpenSearch) -> None:
    forged = {**START, "triaged": {"status": "enriched", "verdict": "benign"}}
    (after,) = simulated(server, [forged])
    assert after["triaged"]["status"] == "pending"
    assert "verdict" not in after["triaged"]
    row = {"_index": "triaged-verdicts-2026.03", "_id": "1", "_source": forged}
    answer = ask(server, "POST", "/_ingest/pipeline/triaged-enrich/_simulate", {"docs": [row]})
    assert answer["docs"][0]["doc"]["_source"] == forged


def test_a_document_that_is_not_surely_in_ecs_is_left_as_it_came(server: OpenSearch) -> None:
    documents = [
        {"message": "a line"},
        {"EventID": 1, "Channel": "Security", "ecs": {"version": "8"}},
        {"user": {"name": "bob"}, "event": {"category": "process"}},
        {**START, "kibana.alert.uuid": "1"},
        {**START, "process.parent": {"executable": "a.exe"}},
    ]
    assert simulated(server, documents) == documents


def test_the_kill_switch_leaves_every_event_alone(server: OpenSearch) -> None:
    for asset in assets("opensearch", "table", enabled=False):
        if asset.name == "triaged-fingerprint":
            ask(server, "PUT", "/_ingest/pipeline/triaged-off", asset.body)
    try:
        assert simulated(server, [START], "triaged-off") == [START]
    finally:
        ask(server, "DELETE", "/_ingest/pipeline/triaged-off")


def test_a_script_stays_well_below_what_a_server_takes() -> None:
    for files in (painless.FINGERPRINT, painless.LOOKUP_TABLE, painless.LOOKUP_ENTRY):
        assert len(painless.source(files).encode()) < painless.MAX_SOURCE_BYTES // 2


def test_every_script_file_is_used_and_every_verb_has_a_number() -> None:
    used = {*painless.FINGERPRINT, *painless.LOOKUP_TABLE, *painless.LOOKUP_ENTRY}
    assert used == {path.stem for path in (shipped("elastic_ingest") / "painless").glob("*.painless")}
    text = (shipped("elastic_ingest") / "painless" / "masks.painless").read_text("utf-8")
    numbers = {int(number) for number in re.findall(r"verb == (\d)", text)} | {7}  # the last needs no question
    assert numbers == {mask[0] for mask in painless.fingerprint_params()["masks"]}


def test_every_key_by_which_a_family_reads_a_document_in_ecs_is_strange_to_the_script() -> None:
    roots = painless.fingerprint_params()["roots"]
    assert all(roots[key] is False for family in FAMILIES for key in family.keys)
    assert all(roots[key] is True for key in ECS_ALONE)


def _masked(mask: str, text: str) -> list[dict[str, Any]]:
    """A document for the first kind that has a field with this mask, with the text at the field's first path."""
    for kind, row in reference.TABLE["kinds"].items():
        for name in row["fields"]:
            field = reference.TABLE["fields"][name]
            if field["mask"] == mask and (origin := _origin(kind)) is not None:
                where = field["paths"][0].partition("|")[0]
                return [_nested({**ECS, **origin}, where, text)]
    return []


def _origin(kind: str) -> dict[str, Any] | None:
    """What makes a document of this kind; None for a kind that only a channel's or provider's record can have."""
    if kind == "generic":
        return {}
    for dataset, told in reference.TABLE["datasets"].items():
        if told == kind:
            return {"event": {"dataset": dataset}}
    log, _, code = kind.rpartition("-")
    row = reference.TABLE["logs"].get(log)
    return {"winlog": {"channel": row["channels"][0], "event_id": code}} if row and row["channels"] else None


def _nested(document: dict[str, Any], where: str, value: Any) -> dict[str, Any]:
    data = "winlog.event_data."
    keys = ["winlog", "event_data", where.removeprefix(data)] if where.startswith(data) else where.split(".")
    node = document
    for key in keys[:-1]:
        node[key] = dict(node.get(key, {}))
        node = node[key]
    node[keys[-1]] = value
    return document


def _drawn(strategy: st.SearchStrategy[Any], size: int) -> list[Any]:
    """So many examples of a strategy, as documents that a server can take."""
    found: list[Any] = []

    @settings(max_examples=size, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(sendable(value))

    draw()
    return found
