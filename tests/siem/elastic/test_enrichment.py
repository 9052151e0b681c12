"""Enrichment on a real OpenSearch: the daemon publishes, and recurring events are stamped at ingest without it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector import wiring
from connector.daemon import drain
from connector.events import CANONICAL_VERSIONS
from connector.siem.elastic import attach, painless
from connector.siem.elastic.assets import pipeline
from connector.siem.elastic.lookup import Lookup, LookupSettings, known
from connector.siem.elastic.server import ClusterServer
from connector.siem.elastic.table import row_of
from connector.types import LookupEntry, ModelRef, TechniqueScore
from tests.daemon.site import process_start
from tests.models.tiny import tiny_store
from tests.servers.opensearch import OpenSearch
from tests.siem.elastic.asked import ask, held
from tests.siem.elastic.beds import TIMES
from tests.siem.elastic.ingest import installed, python, simulated

MODEL = ModelRef(name="tiny", version="1", attack_version="18.1")
VERSION = CANONICAL_VERSIONS["sysmon-1"]
LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(days=9)


@pytest.fixture(scope="module")
def connection(opensearch: OpenSearch) -> Iterator[ClusterServer]:
    with installed(opensearch) as server:
        yield server


def document(image: str, **more: Any) -> dict[str, Any]:
    return {"ecs": {"version": "8.0.0"}, **process_start(image), **more}


def fingerprint(image: str) -> str:
    event = python(document(image))
    assert event is not None
    return event.fingerprint


def entry(image: str, **changed: Any) -> LookupEntry:
    made = LookupEntry(
        record_id="r",
        fingerprint=fingerprint(image),
        canonical_version=VERSION,
        model=MODEL,
        p_malicious=0.9,
        techniques=(TechniqueScore(id="T1059", probability=0.8),),
        expires_at=LATER,
        kind="sysmon-1",
        verdict="malicious",
        passed=("T1059",),
    )
    return msgspec.structs.replace(made, **changed)


def lookup(server: ClusterServer, **settings: Any) -> Lookup:
    chosen = LookupSettings(mode="table", every=timedelta(milliseconds=10), **settings)
    return Lookup("t", server, flavour="opensearch", prefix="triaged", settings=chosen, clock=lambda: datetime.now(UTC))


def stamped_by_table(server: OpenSearch, row: Mapping[str, Any], event: Mapping[str, Any], **params: Any) -> Any:
    """What becomes of an event where the table holds one entry."""
    made = json.loads(json.dumps(pipeline("opensearch", "x", "triaged-lookup-table").body))
    table = {row["canonical_version"]: {row["fingerprint"]: row_of(row)}}
    made["processors"][0]["script"]["params"].update({"model": row["model"], "entries": table, **params})
    return _through(server, made, event)


def stamped_by_entry(server: OpenSearch, row: Mapping[str, Any], event: Mapping[str, Any], **params: Any) -> Any:
    """What the enrich variant's script makes of an event, with the entry set where the enrich processor would set it."""
    script = {
        "lang": "painless",
        "source": painless.source(painless.LOOKUP_ENTRY),
        "params": {"enabled": True, "model": json.loads(msgspec.json.encode(MODEL)), **params},
    }
    put_there = {
        "lang": "painless",
        "source": "if (ctx.triaged != null) { ctx.triaged.entry = params.row; }",
        "params": {"row": row},
    }
    steps = [{"pipeline": {"name": "triaged-fingerprint"}}, {"script": put_there}, {"script": script}]
    return _through(server, {"processors": steps}, event)


def _through(server: OpenSearch, body: Mapping[str, Any], event: Mapping[str, Any]) -> Any:
    answer = ask(server, "PUT", "/_ingest/pipeline/triaged-trial", body)
    assert answer == {"acknowledged": True}, answer
    try:
        (after,) = simulated(server, [event], "triaged-trial")
    finally:
        ask(server, "DELETE", "/_ingest/pipeline/triaged-trial")
    return after


BOTH = pytest.mark.parametrize("stamped", [stamped_by_table, stamped_by_entry])


@BOTH
def test_a_known_fingerprint_is_stamped_with_the_text_prediction_and_nothing_of_a_policy(
    connection: ClusterServer, opensearch: OpenSearch, stamped: Any
) -> None:
    after = stamped(opensearch, known(entry("a.exe")), document("a.exe"))
    assert after["triaged"] == {
        "status": "enriched",
        "scope": "fingerprint",
        "kind": "sysmon-1",
        "fingerprint": fingerprint("a.exe"),
        "canonical_version": VERSION,
        "verdict": "malicious",
        "confidence": 0.9,
        "techniques": [{"id": "T1059", "probability": 0.8, "subtechnique": None}],
        "model": {"name": "tiny", "version": "1", "attack_version": "18.1"},
        "expires_at": LATER.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert after["threat"]["technique"]["id"] == ["T1059"]
    assert after["threat"]["tactic"]["name"] == ["Execution"]


@BOTH
@pytest.mark.parametrize(
    "changed",
    [{"canonical_version": "0" * 64}, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, {"fingerprint": "0" * 64}],
    ids=lambda changed: next(iter(changed)),
)
def test_an_entry_that_is_not_current_leaves_the_event_pending(
    connection: ClusterServer, opensearch: OpenSearch, stamped: Any, changed: dict[str, Any]
) -> None:
    if stamped is stamped_by_entry and "fingerprint" in changed:
        pytest.skip("the enrich processor matches by fingerprint itself")
    after = stamped(opensearch, known(entry("a.exe", **changed)), document("a.exe"))
    assert (after["triaged"]["status"], "threat" in after) == ("pending", False)
    assert not {"entry", "verdict", "model"} & set(after["triaged"])


def test_an_entry_of_another_model_leaves_the_event_pending(connection: ClusterServer, opensearch: OpenSearch) -> None:
    other = {"name": "tiny", "version": "2", "attack_version": "18.1"}
    after = stamped_by_entry(opensearch, known(entry("a.exe")), document("a.exe"), model=other)
    assert after["triaged"]["status"] == "pending"
    after = stamped_by_entry(opensearch, known(entry("a.exe")), document("a.exe"), model=None)
    assert after["triaged"]["status"] == "pending"


@BOTH
def test_threat_that_an_event_brings_stays_and_a_benign_entry_brings_neither_threat_nor_techniques(
    connection: ClusterServer, opensearch: OpenSearch, stamped: Any
) -> None:
    mine = {"indicator": {"ip": "192.0.2.1"}}
    after = stamped(opensearch, known(entry("a.exe")), document("a.exe", threat=mine))
    assert (after["threat"], after["triaged"]["status"]) == (mine, "enriched")
    after = stamped(opensearch, known(entry("a.exe", verdict="benign")), document("a.exe"))
    assert (after["triaged"]["verdict"], "threat" in after, "techniques" in after["triaged"]) == (
        "benign",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        *(({"until": until}, "pending") for until in ("not a date", "", 5, None, [], {})),
        ("text", "failed"),
    ],
)
def test_an_entry_without_a_time_says_nothing_and_one_that_makes_the_script_fail_never_fails_the_event(
    connection: ClusterServer, opensearch: OpenSearch, broken: Any, status: str
) -> None:
    row = known(entry("a.exe"))
    made = json.loads(json.dumps(pipeline("opensearch", "x", "triaged-lookup-table").body))
    held_there = {**row_of(row), **broken} if isinstance(broken, dict) else broken
    params = {"model": row["model"], "entries": {VERSION: {row["fingerprint"]: held_there}}}
    made["processors"][0]["script"]["params"].update(params)
    before = ask(opensearch, "GET", "/_ingest/pipeline/triaged-lookup")["triaged-lookup"]
    ask(opensearch, "PUT", "/_ingest/pipeline/triaged-lookup", made)
    try:
        (after,) = simulated(opensearch, [document("a.exe")])
    finally:
        ask(opensearch, "PUT", "/_ingest/pipeline/triaged-lookup", before)
    assert (after["triaged"]["status"], "error" in after["triaged"]) == (status, status == "failed")
    assert {k: v for k, v in after.items() if k != "triaged"} == document("a.exe")


def test_entries_of_one_fingerprint_leave_the_one_that_lasts_longest(
    connection: ClusterServer, opensearch: OpenSearch
) -> None:
    target = lookup(connection)
    new, old = entry("a.exe"), entry("a.exe", expires_at=LATER - timedelta(days=7), p_malicious=0.1)
    assert [d.outcome for d in target.write([new, entry("b.exe")])] == ["delivered"] * 2
    assert [d.outcome for d in target.write([old, new])] == ["delivered"] * 2
    found = {hit["_id"]: hit["_source"]["confidence"] for hit in held(opensearch, "triaged-lookup")}
    assert found[fingerprint("a.exe")] == 0.9
    assert len(found) == 2
    ask(opensearch, "POST", "/triaged-lookup/_delete_by_query?refresh=true", {"query": {"match_all": {}}})


def test_a_look_up_that_cannot_be_published_fails_nothing(connection: ClusterServer, opensearch: OpenSearch) -> None:
    target = lookup(connection)
    before = ask(opensearch, "GET", "/_ingest/pipeline/triaged-lookup")["triaged-lookup"]
    ask(opensearch, "DELETE", "/_ingest/pipeline/triaged-lookup")
    assert target.publish() is False
    ask(opensearch, "PUT", "/_ingest/pipeline/triaged-lookup", before)


def test_the_daemon_publishes_and_events_of_known_kinds_then_arrive_enriched_without_it(
    connection: ClusterServer, opensearch: OpenSearch, tmp_path: Path
) -> None:
    ask(opensearch, "PUT", "/lab-events", {"mappings": TIMES["mappings"]})
    attach.attach_index(connection, "lab-events")
    arrive(opensearch, {f"{image}-{n}": image for image in ("a.exe", "b.exe", "c.exe") for n in range(5)})
    assert statuses(opensearch) == {"pending": 15}
    app = wiring.App(wiring.load_settings(_settings(tmp_path, opensearch)))
    try:
        assert drain(app) == []
        ask(opensearch, "POST", "/triaged-*/_refresh")
        arrive(opensearch, {"more": "d.exe"})
        time.sleep(0.1)
        assert drain(app) == []
    finally:
        app.close()
    verdicts = {
        hit["_source"]["triaged"]["fingerprint"]: hit["_source"]["triaged"]
        for hit in held(opensearch, "triaged-verdicts")
    }
    # the daemon is gone
    arrive(opensearch, {f"again-{image}": image for image in ("a.exe", "b.exe", "c.exe", "new.exe")})
    found = {hit["_id"]: hit["_source"]["triaged"] for hit in held(opensearch, "lab-events")}
    for image in ("a.exe", "b.exe", "c.exe"):
        stamp, verdict = found[f"again-{image}"], verdicts[fingerprint(image)]
        assert stamp["status"] == "enriched"
        assert stamp["scope"] == "fingerprint"
        assert stamp["verdict"] == verdict["verdict"]
        assert stamp.get("techniques") == (None if stamp["verdict"] == "benign" else verdict["techniques"])
        assert stamp["confidence"] == pytest.approx(verdict["confidence"])
        assert stamp["model"] == verdict["model"]
        assert "policy" not in stamp
    assert found["again-new.exe"]["status"] == "pending"
    for name in ("lab-events", "triaged-verdicts-*", "triaged-runs-*"):
        ask(opensearch, "DELETE", f"/{name}")


def arrive(server: OpenSearch, images: Mapping[str, str]) -> None:
    """Process starts of these images, by document id, ingested now."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    rows: list[Any] = []
    for number, image in images.items():
        event = document(image)
        rows += [
            {"create": {"_index": "lab-events", "_id": number}},
            {**event, "event": {**event["event"], "ingested": now}},
        ]
    answer = ask(server, "POST", "/_bulk?refresh=true", rows)
    assert not answer["errors"], answer


def statuses(server: OpenSearch) -> dict[str, int]:
    found: dict[str, int] = {}
    for hit in held(server, "lab-events"):
        status = hit["_source"]["triaged"]["status"]
        found[status] = found.get(status, 0) + 1
    return found


def _settings(folder: Path, server: OpenSearch) -> Path:
    path = folder / "triaged.toml"
    store = tiny_store(folder / "store")
    path.write_text(f"""
data_dir = "{folder / "data"}"
[model]
store = "{store}"
[soars.dryrun]
type = "dryrun"
[sources.lab]
type = "elastic"
flavour = "opensearch"
hosts = ["{server.url}"]
deployment = "lab"
index = ["lab-*"]
settle = 0
start = "beginning"
[targets.lab]
type = "elastic"
flavour = "opensearch"
hosts = ["{server.url}"]
[targets.lab.lookup]
mode = "table"
every = 0.01
""")
    return path
