"""Records in Splunk: what each kind becomes, what risk-based alerting reads, and what is known as ours when it comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError, TransientError
from connector.events import normalise
from connector.pipeline.own import is_own, marked
from connector.siem.splunk.records import EVENTS, event_of, risk_object_of, sourcetype_of
from connector.siem.splunk.writer import SplunkWriterConfig
from connector.testing import examples
from connector.testing.clock import START
from connector.types import AlertUpdate, Entity, LookupEntry, RawEvent, Record, RiskEvent, RunStatus, SourceRef, Verdict
from tests.siem.splunk.writing import (
    DELIVERED,
    arrived,
    once,
    outcomes,
    table,
    verdicts,
    with_server,
    writing,
)
from tests.splunkd import HEC_TOKEN, Event, Splunkd, User

RECORDS = examples.records()
KEY = b"an example key"


@pytest.fixture
def splunkd() -> Iterator[Splunkd]:
    with Splunkd() as server:
        yield server


def events_of(splunkd: Splunkd, kind: type[Record]) -> list[Event]:
    return [event for event in splunkd.events if event.sourcetype == sourcetype_of(kind)]


def test_each_kind_is_an_event_with_a_sourcetype_of_its_own_and_its_id(splunkd: Splunkd) -> None:
    records = [record for kind, record in RECORDS.items() if kind in EVENTS]
    with writing(splunkd) as writer:
        assert writer.accepts == EVENTS
        assert writer.write(records) == [DELIVERED] * len(records)
    assert arrived(splunkd) == once(records)
    for record in records:
        (event,) = events_of(splunkd, type(record))
        assert event.source == "triaged"
        assert event.index == ("risk" if isinstance(record, RiskEvent) else "triaged")
        assert json.loads(event.raw)["triaged"]["record_id"] == record.record_id
    assert {e.sourcetype for e in splunkd.events} >= {"triaged:verdict", "triaged:run_status", "triaged:risk_event"}


def test_a_verdict_has_the_document_of_every_target_and_its_techniques_where_alerting_reads_them(
    splunkd: Splunkd,
) -> None:
    with writing(splunkd) as writer:
        writer.write(verdicts(1))
    (event,) = events_of(splunkd, Verdict)
    held = json.loads(event.raw)
    assert held["threat"]["technique"]["id"] == ["T1059"]
    assert held["triaged"]["verdict"] == "malicious"
    assert held["annotations"]["mitre_attack"] == ["T1059", "T1059.001"]
    assert event.fields["annotations.mitre_attack"] == ["T1059", "T1059.001"]
    assert event.time == START.timestamp()


def test_a_benign_verdict_annotates_nothing(splunkd: Splunkd) -> None:
    with writing(splunkd) as writer:
        writer.write(verdicts(1, verdict="benign", confidence=0.01))
    (event,) = events_of(splunkd, Verdict)
    assert "annotations.mitre_attack" not in event.fields
    assert "annotations" not in json.loads(event.raw)


def test_a_risk_event_has_the_fields_that_risk_based_alerting_reads(splunkd: Splunkd) -> None:
    with writing(splunkd, risk_index="risk") as writer:
        assert writer.write([RECORDS[RiskEvent]]) == [DELIVERED]
    (event,) = splunkd.events
    read = ("risk_object", "risk_object_type", "risk_score", "risk_message", "annotations.mitre_attack", "search_name")
    assert [event.fields[name] for name in read] == ["host-1", "system", "40.0", "a contribution", ["T1059"], "triaged"]
    assert event.index == "risk"


@pytest.mark.parametrize(
    ("entity", "expected"),
    [
        (Entity(host="h", user="u", address="10.0.0.1", agent_id="a"), ("h", "system")),
        (Entity(user="u", address="10.0.0.1"), ("u", "user")),
        (Entity(address="10.0.0.1", agent_id="a"), ("10.0.0.1", "system")),
        (Entity(agent_id="a"), ("a", "other")),
    ],
)
def test_risk_is_counted_by_one_name_in_the_order_of_the_policies(entity: Entity, expected: tuple[str, str]) -> None:
    assert risk_object_of(entity) == expected


def test_a_contribution_to_nobodys_risk_is_rejected_alone(splunkd: Splunkd) -> None:
    nobody = msgspec.structs.replace(RECORDS[RiskEvent], entity=Entity())
    with writing(splunkd) as writer:
        assert outcomes(writer.write([nobody, *verdicts(1)])) == ["rejected", "delivered"]


def test_what_json_cannot_hold_is_rejected_alone(splunkd: Splunkd) -> None:
    odd = msgspec.structs.replace(verdicts(1)[0], explanation=("\ud800",))
    with writing(splunkd) as writer:
        assert outcomes(writer.write([odd, *verdicts(1, first=1)])) == ["rejected", "delivered"]


def test_an_events_own_time_does_not_choose_the_bucket() -> None:
    wild = verdicts(1, timestamp="9999-12-31T23:59:59Z")[0]
    envelope = msgspec.json.decode(event_of(wild, index="triaged", risk_index="risk").body)
    assert envelope["time"] == START.timestamp()
    assert envelope["event"]["@timestamp"] == "9999-12-31T23:59:59Z"


def test_a_record_without_a_time_has_that_of_its_indexing() -> None:
    old = verdicts(1, at=None)[0]
    assert "time" not in msgspec.json.decode(event_of(old, index="triaged", risk_index="risk").body)


@pytest.mark.parametrize("kind", sorted(EVENTS, key=lambda kind: kind.__name__), ids=lambda kind: kind.__name__)
def test_every_record_is_known_as_ours_when_a_source_reads_it_back(splunkd: Splunkd, kind: type[Record]) -> None:
    with writing(splunkd) as writer:
        assert writer.write([RECORDS[kind]]) == [DELIVERED]
    (held,) = splunkd.events
    ref = SourceRef(siem="lab", index=held.index, id=held.cd)
    event = normalise(RawEvent(deployment="lab", native_id=held.cd, ref=ref, data=dict(held.fields)))
    assert is_own(event, marked(event), KEY)
    said_more = {**held.fields, "_raw": held.raw.replace('{"event"', '{"process":{"command_line":"evil"},"event"', 1)}
    event = normalise(RawEvent(deployment="lab", native_id=held.cd, ref=ref, data=said_more))
    assert not is_own(event, marked(event), KEY), "a copied mark hides nothing"


def test_the_search_of_the_docs_finds_each_record_once_however_often_it_came(splunkd: Splunkd) -> None:
    import splunklib.client
    import splunklib.results

    splunkd.faults.hec_no_answer = 1
    records = verdicts(5)
    with writing(splunkd) as writer:
        with pytest.raises(TransientError):
            writer.write(records)
        assert writer.write(records) == [DELIVERED] * 5
    assert len(splunkd.events) == 10
    service = splunklib.client.connect(
        host=splunkd.host, port=splunkd.port, scheme="http", username=splunkd.username, password=splunkd.password
    )
    search = 'search index=triaged sourcetype="triaged:verdict" | dedup triaged.record_id'
    stream = service.jobs.oneshot(search, output_mode="json", earliest_time=1, latest_time=4102444800, count=0)
    rows = [row for row in splunklib.results.JSONResultsReader(stream) if isinstance(row, dict)]
    assert {json.loads(row["_raw"])["triaged"]["record_id"] for row in rows} == {r.record_id for r in records}
    assert len(rows) == 5


# what goes to the search head


def test_a_target_takes_what_its_settings_allow_and_rejects_the_rest(splunkd: Splunkd) -> None:
    with writing(splunkd) as writer:
        assert LookupEntry not in writer.accepts
        assert outcomes(writer.write([RECORDS[LookupEntry]])) == ["rejected"]
    with writing(splunkd, **with_server(splunkd)) as writer:
        assert writer.accepts == EVENTS | {LookupEntry}
    with writing(splunkd, **with_server(splunkd, notables="example", kv_store=False)) as writer:
        assert writer.accepts == EVENTS | {AlertUpdate}


def test_all_kinds_of_record_are_delivered_in_one_call(splunkd: Splunkd) -> None:
    records = list(RECORDS.values())
    with writing(splunkd, **with_server(splunkd, notables="example")) as writer:
        assert writer.accepts == set(RECORDS)
        assert writer.write(records) == [DELIVERED] * len(records)
        assert writer.write([]) == []
    assert list(splunkd.kv.define("triaged_runs", "triaged")) == [RECORDS[RunStatus].action_key]


def test_a_search_head_that_is_down_holds_up_no_verdict_and_sends_no_run_twice(splunkd: Splunkd, monkeypatch) -> None:
    monkeypatch.setattr(
        "connector.siem.splunk.client.retrying", lambda: lambda call, *args, **named: call(*args, **named)
    )
    run, records = RECORDS[RunStatus], verdicts(2)
    with Splunkd() as gone:
        more = with_server(gone)
    with writing(splunkd, **more) as writer:
        assert outcomes(writer.write([run, *records])) == ["retry", "delivered", "delivered"]
        with pytest.raises(TransientError):
            writer.write([run])
    assert arrived(splunkd) == once(records)


def test_changes_of_alerts_wait_for_a_search_head_that_is_down_and_it_counts_against_none(
    splunkd: Splunkd, monkeypatch
) -> None:
    monkeypatch.setattr(
        "connector.siem.splunk.client.retrying", lambda: lambda call, *args, **named: call(*args, **named)
    )
    with Splunkd() as gone:
        more = with_server(gone, notables=RECORDS[AlertUpdate].alert.siem, kv_store=False)
    with writing(splunkd, **more) as writer:
        with pytest.raises(TransientError):
            writer.write([RECORDS[AlertUpdate]] * 2)
        assert outcomes(writer.write([RECORDS[AlertUpdate], *verdicts(1)])) == ["retry", "delivered"]


def test_a_search_head_that_refuses_us_is_told_where_nothing_else_was_to_be_done(splunkd: Splunkd) -> None:
    more = with_server(splunkd)
    more["server"]["token"] = "nobody's"
    with writing(splunkd, **more) as writer:
        assert outcomes(writer.write([RECORDS[LookupEntry], *verdicts(1)])) == ["retry", "delivered"]
        with pytest.raises(ConfigError):
            writer.write([RECORDS[LookupEntry]])


# `triaged config check`


def test_a_call_without_records_proves_the_token_the_app_and_the_role_and_writes_nothing(splunkd: Splunkd) -> None:
    for more in ({}, {"hec_token": splunkd.hec_token}, {"ack": "required"}, with_server(splunkd, notables="lab")):
        with writing(splunkd, **more) as writer:
            assert writer.write([]) == []
    assert splunkd.events == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"hec_token": "33333333-3333-4333-8333-333333333333"}, "Invalid token"),
        ({"hec_token": HEC_TOKEN, "ack": "required"}, "no indexer acknowledgement"),
        ({"server": {"token": "t"}}, "triaged_runs"),
        ({"server": {"token": "t", "kv_store": False, "notables": "lab"}}, "edit_notable_events"),
        ({"server": {"token": "nobody's"}}, "credentials"),
    ],
)
def test_what_does_not_work_is_told_before_the_daemon_starts(more: dict[str, Any], said: str) -> None:
    users = {"triaged": User("p", ("t",), frozenset({"search"}))}
    with Splunkd(users=users) as splunkd:
        if "server" in more:
            more = {"server": {"hosts": [splunkd.url], **more["server"]}}
        with writing(splunkd, **more) as writer, pytest.raises(ConfigError, match=said):
            writer.write([])


# settings


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"index": "Triaged"}, "pattern"),
        ({"index": "a b"}, "pattern"),
        ({"risk_index": "risk' OR 1"}, "pattern"),
        ({"hec": []}, "at least 1"),
        ({"ack_wait": "PT10M"}, "ack_lost"),
        ({"server": {"hosts": ["https://sh:8089"]}}, "one way of authentication"),
        ({"server": {"hosts": ["http://sh:8089"], "token": "t"}}, "in the open"),
        ({"sever": {}}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_work_are_refused(splunkd: Splunkd, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SplunkWriterConfig.model_validate(table(splunkd, **more))


def test_a_token_from_a_file_may_end_with_a_newline_and_hold_none(splunkd: Splunkd) -> None:
    with writing(splunkd, hec_token=f"{splunkd.hec_ack_token}\n") as writer:
        assert outcomes(writer.write(verdicts(1))) == ["delivered"]
    with pytest.raises(ValueError, match="cannot stand in a header"):
        SplunkWriterConfig.model_validate(table(splunkd, hec_token="a\nb"))


def test_the_token_is_in_no_text_of_the_settings(splunkd: Splunkd) -> None:
    config = SplunkWriterConfig.model_validate(table(splunkd))
    assert splunkd.hec_ack_token not in repr(config)
    assert splunkd.hec_ack_token not in config.model_dump_json()
