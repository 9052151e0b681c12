"""Audit logs of services: one form through every door, nobody named in it, and every product known by what it declares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connector.events import canonical, render
from connector.events.canonical import TABLE
from connector.events.families import family_of, okta, saas
from connector.events.normalise import to_ecs
from connector.events.paths import address, first, moment, path
from connector.learn.corpora import panther
from connector.learn.corpora.source import Corpora
from connector.types import Document
from tests.events import corpora, vectors

RAW = vectors.golden()
FAMILIES = frozenset({"okta", "google_workspace", "github", "github_webhook", "crowdstrike", "osquery", "saas"})

SPLUNK = {
    "okta": "OktaIM2:log",
    "google_workspace-admin": "gws:reports:admin",
    "github": "github:enterprise:audit",
    "osquery": "osquery:results",
    "crowdstrike": "crowdstrike:events:sensor",
}
PANTHER = {
    "okta": "Okta.SystemLog",
    "google_workspace-admin": "GSuite.ActivityEvent",
    "github": "GitHub.Audit",
    "osquery": "Osquery.Differential",
    "crowdstrike": "Crowdstrike.FDREvent",
}


def _form(record: Any) -> tuple[tuple[str, str], ...]:
    kind, ecs = to_ecs(record)
    return canonical(ecs, kind)


def _panther(name: str) -> Document:
    """The record as Panther keeps it: top-level names often in lower case, Google's parameters an object."""
    record = {"p_log_type": PANTHER[name], **RAW[name]}
    if name == "okta":
        return {key if key.startswith("p_") else key.lower(): value for key, value in record.items()}
    if name == "google_workspace-admin":
        event = record.pop("events")[0]
        parameters = {item["name"]: item["value"] for item in event["parameters"]}
        return record | {"type": event["type"], "name": event["name"], "parameters": parameters}
    return record


@pytest.mark.parametrize("name", SPLUNK)
def test_a_record_has_one_form_through_splunk_panther_and_a_collector(name: str) -> None:
    wanted = _form(RAW[name])
    raw = json.dumps(RAW[name])
    assert _form({"preview": False, "result": {"_raw": raw, "sourcetype": SPLUNK[name], "host": "h"}}) == wanted
    assert _form({"sourcetype": SPLUNK[name], "event": RAW[name], "time": 1709629964}) == wanted
    assert _form({"sourcetype": SPLUNK[name], "event": raw}) == wanted
    assert _form(_panther(name)) == wanted
    assert _form(raw.encode()) == wanted


@pytest.mark.parametrize("name", ["okta", "google_workspace-admin", "github", "osquery"])
def test_a_document_of_elastic_agent_has_the_form_of_the_vendors_record(name: str) -> None:
    agent = RAW[f"{name}-agent"]
    assert _form(agent) == _form(RAW[name])
    assert _form({"_index": "logs", "_source": agent}) == _form(RAW[name])
    kind, ecs = to_ecs(agent)
    assert canonical(agent, kind) == canonical(ecs, kind), "normalising changed an ECS document's form"


def test_an_activity_of_one_event_reads_as_one_of_a_list() -> None:
    record = RAW["google_workspace-login"]
    assert _form({**record, "events": record["events"][0]}) == _form(record)


def test_the_fields_of_a_splunk_row_speak_where_it_has_no_raw() -> None:
    row = {
        "sourcetype": "OktaIM2:log",
        "eventType": "user.session.start",
        "actor.alternateId": "alice@corp.example",
        "outcome.result": "DENY",
        "client.ipAddress": "203.0.113.40",
    }
    kind, ecs = to_ecs({"result": row})
    assert (kind, ecs["event"]["outcome"], ecs["source"]["ip"]) == ("okta", "failure", "203.0.113.40")
    assert ecs["user"]["name"] == "alice"


@pytest.mark.parametrize(
    ("risk", "level", "reasons"),
    [
        (
            "{reasons=Anomalous Location, Anomalous Device, level=HIGH}",
            "HIGH",
            ["Anomalous Location", "Anomalous Device"],
        ),
        ("{level=LOW}", "LOW", None),
        ({"level": "MEDIUM", "reasons": "New Device"}, "MEDIUM", ["New Device"]),
        ("level", None, None),
        ("=,=,=", None, None),
        (["x"], None, None),
    ],
)
def test_oktas_risk_is_read_as_text_and_as_an_object(risk: Any, level: str | None, reasons: list[str] | None) -> None:
    record = {**RAW["okta"], "debugContext": {"debugData": {"risk": risk}}}
    debug = okta.read(record)["okta"]["debug_context"]["debug_data"]  # type: ignore[index]
    assert (debug.get("risk_level"), debug.get("risk_reasons")) == (level, reasons)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:443", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        (["203.0.113.7", "198.51.100.1"], "203.0.113.7"),
        ("localhost", None),
        ("", None),
        (7, None),
        ([], None),
        (None, None),
    ],
)
def test_an_address_is_found_with_and_without_its_port(value: Any, wanted: str | None) -> None:
    assert address(value) == wanted


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"a": {"b": "x"}}, "x"),
        ({"a": {"B": None, "b": "x"}}, "x"),
        ({"a": [{"b": ["x", "", None, {"c": 1}]}]}, "x"),
        ({"a": [{"b": ["x", "y"]}]}, ["x", "y"]),
        ({"a": '{"b": "x"}'}, "x"),
        ({"a": '{"b": '}, None),
        ({"a": "{" * 70000}, None),
        ({"a.B": "x"}, "x"),
        ({"a": []}, None),
        ({"a": {"b": {"c": 1}}}, None),
        ({"a": {"b": 1.5}}, None),
        ({"a": 7}, None),
        ({}, None),
    ],
)
def test_a_path_goes_through_objects_lists_and_json_in_text(record: Document, wanted: Any) -> None:
    assert path("a.B")(record) == wanted
    assert first(["no", "a.B"])(record) == wanted


def test_a_path_may_take_what_stands_between_two_marks() -> None:
    record = {"a": {"id": "role-owner__org-1"}}
    assert path("a.id|role-|__")(record) == "owner"
    assert path("a.id|group-|__")(record) is None


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1709629964, "2024-03-05T09:12:44.000Z"),
        (1709629964120, "2024-03-05T09:12:44.120Z"),
        ("1709629964120", "2024-03-05T09:12:44.120Z"),
        ("2024-03-05 09:12:44", "2024-03-05 09:12:44"),
        (10**30, None),
        ([1], None),
        (None, None),
    ],
)
def test_a_time_is_read_from_seconds_milliseconds_and_text(value: Any, wanted: str | None) -> None:
    assert moment(value) == wanted


def test_a_products_code_is_told_in_words() -> None:
    record = {"p_log_type": "OneLogin.Events", "event_type_id": 6, "user_id": 7}
    _, ecs = to_ecs(record)
    assert (ecs["event"]["action"], ecs["event"]["code"]) == ("login failed", 6)
    assert to_ecs({**record, "event_type_id": 7777})[1]["event"]["action"] == 7777


def test_every_product_has_a_kind_and_every_kind_of_product_a_product() -> None:
    kinds = {TABLE.kind_of({"event": {"dataset": dataset}}) for dataset in saas.PRODUCTS}
    assert kinds == {"saas", "saas-alert", "saas-traffic"}
    alerts = {name for name, row in saas.PRODUCTS.items() if dict(row.constants).get("event.kind") == "alert"}
    assert alerts == {name for name in saas.PRODUCTS if TABLE.kind_of({"event": {"dataset": name}}) == "saas-alert"}


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("SUCCESS", "success"),
        (True, "success"),
        (200, "success"),
        (403, "failure"),
        ("Denied", "failure"),
        ("odd", None),
    ],
)
def test_a_services_own_word_for_its_result_is_an_outcome(word: Any, wanted: str | None) -> None:
    assert saas.outcome(word) == wanted


def test_texts_of_a_service_name_nobody() -> None:
    record = {
        "p_log_type": "Zoom.Operation",
        "action": "Update",
        "category_type": "User",
        "operator": "Alice Example",
        "operation_detail": "Alice Example moved bob@corp.example (see mailto:carol@corp.example) from On to Off",
    }
    text = render(_form(record))
    assert "on to off" in text
    for name in ("alice", "bob", "carol", "@"):
        assert name not in text


def _panther_events() -> Iterator[tuple[str, Document]]:
    corpora.need(corpora.FOLDER / "panther-labs__panther-analysis.tar.xz")
    for sample in panther.samples(Corpora(corpora.FOLDER)):
        assert isinstance(sample.data, dict)
        yield f"{sample.group}:{sample.record}", sample.data


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif isinstance(value, str):
        yield value


def _is_address(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(part.isdigit() and len(part) < 4 for part in parts)


@pytest.mark.full
def test_no_form_of_a_recorded_service_event_names_a_user_or_an_address() -> None:
    seen = 0
    for place, record in _panther_events():
        kind, ecs = to_ecs(record)
        if family_of(kind, ecs) not in FAMILIES:
            continue
        seen += 1
        told = " ".join(value for _, value in canonical(ecs, kind)).lower()
        for text in {text.lower() for text in _strings(record)}:
            if _is_address(text) or ("@" in text and " " not in text and "/" not in text):
                assert text not in told, f"{place}: {text}"
    assert seen >= 1500


@pytest.mark.full
def test_four_of_five_recorded_rule_tests_go_through_a_normaliser_of_their_own() -> None:
    events = [to_ecs(record) for _, record in _panther_events()]
    specific = [family_of(kind, ecs) for kind, ecs in events]
    assert len(events) >= 3400
    assert sum(family is not None for family in specific) >= 0.8 * len(events)


@pytest.mark.full
def test_a_products_record_that_declares_nothing_is_known_by_its_keys() -> None:
    known = 0
    for place, record in _panther_events():
        product = saas.product_of(record)
        if product is None or not product.keys or not product.keys <= record.keys():
            continue
        found = saas.product_of(
            {key: value for key, value in record.items() if key not in {"p_log_type", "sourcetype"}}
        )
        assert found is product, place
        known += 1
    assert known >= 400
