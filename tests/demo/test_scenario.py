"""The bundled scenario is what the generator writes, and holds what the demo promises."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from connector.attack import catalogue
from connector.demo import TRUTH, scenario_paths
from connector.demo.generate import scenario
from connector.demo.paths import FILE_SERVER, SCENARIO, WORKSTATION
from connector.demo.truth import truth

Rows = list[dict[str, Any]]

NAMESPACE = "{http://schemas.microsoft.com/win/2004/08/events/event}"


def lines(path: Path) -> Rows:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.fixture(scope="module")
def documents() -> Rows:
    return lines(WORKSTATION)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return lines(FILE_SERVER)


def test_committed_files_are_what_the_generator_writes() -> None:
    for name, text in scenario().items():
        packed = SCENARIO / f"{name}.gz"
        committed = gzip.decompress(packed.read_bytes()) if packed.is_file() else (SCENARIO / name).read_bytes()
        assert committed == text.encode(), f"run: python -m connector.demo.generate ({name} differs)"


def test_files_are_small_and_hold_at_least_500_events(documents: Rows, rows: Rows) -> None:
    assert sum(path.stat().st_size for path in (*scenario_paths(), TRUTH)) < 300_000
    assert 500 <= len(documents) + len(rows) <= 1_000


def test_the_intrusion_shows_at_least_nine_techniques_on_two_hosts() -> None:
    planted = truth().planted
    assert len({technique for event in planted for technique in event.techniques}) >= 9
    for host in ("LMR-WS-0147", "LMR-FS-02"):
        assert len({technique for event in planted if event.host == host for technique in event.techniques}) >= 6


def test_the_intrusion_is_a_small_part_of_ordinary_background(documents: Rows, rows: Rows) -> None:
    planted = truth().planted
    assert len(planted) / (len(documents) + len(rows)) < 0.2


def test_planted_techniques_are_live_in_the_catalogue() -> None:
    attack = catalogue()
    found = truth()
    assert found.attack_version == attack.version
    assert {t for event in found.planted for t in event.techniques if attack.technique(t) is None} == set()


def test_truth_names_the_line_on_which_the_event_stands(documents: Rows, rows: Rows) -> None:
    for event in truth().planted:
        if event.file == WORKSTATION.name:
            document = documents[event.line - 1]
            assert document["winlog"]["record_id"] == event.record
            assert document["winlog"]["channel"] == event.channel
            assert document["event"]["code"] == str(event.code)
        else:
            system = ET.fromstring(rows[event.line - 1]["_raw"]).find(f"{NAMESPACE}System")
            assert system.findtext(f"{NAMESPACE}EventRecordID") == str(event.record)
            assert system.findtext(f"{NAMESPACE}EventID") == str(event.code)


def test_every_event_has_an_identity_of_its_own(documents: Rows, rows: Rows) -> None:
    records = Counter((d["winlog"]["channel"], d["winlog"]["record_id"]) for d in documents)
    assert set(records.values()) == {1}
    assert len({(row["_bkt"], row["_cd"]) for row in rows}) == len(rows)


def test_events_stand_in_order_of_time(documents: Rows, rows: Rows) -> None:
    assert [d["@timestamp"] for d in documents] == sorted(d["@timestamp"] for d in documents)
    assert [row["_indextime"] for row in rows] == sorted(row["_indextime"] for row in rows)


def test_splunk_rows_carry_whole_windows_event_xml(rows: Rows) -> None:
    for row in rows:
        event = ET.fromstring(row["_raw"])
        assert event.tag == f"{NAMESPACE}Event"
        assert event.find(f"{NAMESPACE}EventData") is not None or event.find(f"{NAMESPACE}UserData") is not None
        assert row["sourcetype"] == "XmlWinEventLog"
        assert row["EventCode"] == event.findtext(f"{NAMESPACE}System/{NAMESPACE}EventID")


def test_winlogbeat_documents_carry_named_string_data(documents: Rows) -> None:
    for document in documents:
        winlog = document["winlog"]
        data = winlog.get("event_data") or winlog.get("user_data")
        assert data
        assert all(isinstance(value, str) for value in data.values())
        assert document["event"]["provider"] == winlog["provider_name"]


def test_the_scenario_names_nobody_real(documents: Rows, rows: Rows) -> None:
    text = json.dumps(documents) + json.dumps(rows)
    for word in ("mordor", "offsec", "theshire", "pandalab", "contoso", "atomic", "http://", "pedro"):
        allowed = text.lower().replace("http://schemas.microsoft.com", "").replace("http://manifests.microsoft.com", "")
        assert word not in allowed


def test_background_repeats_as_real_logs_do(documents: Rows) -> None:
    commands = Counter(d["winlog"]["event_data"]["ParentImage"] for d in documents if d["event"]["code"] == "1")
    assert commands.most_common(1)[0][1] >= 10
