"""One event looks the same through every door (DESIGN.md "Events")."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from connector.events import canonical, decode, kind_of
from connector.events.normalise import to_ecs
from tests.events import corpora, doors


def _assert_one_form(event: doors.Neutral) -> str:
    forms = {}
    for name, write in doors.DOORS.items():
        kind, ecs = to_ecs(write(event))
        forms[name] = canonical(ecs, kind)
    assert len(set(forms.values())) == 1, json.dumps(forms, indent=1)
    document = decode(json.dumps(doors.winlogbeat(event)))
    assert canonical(document, kind_of(document)) == forms["winlogbeat"], "normalising changed an ECS document's form"
    return forms["xml"][0][1]


def test_a_thousand_recorded_events_have_one_canonical_form_through_every_door() -> None:
    kinds: Counter[str] = Counter()
    for line in corpora.otrf_lines(files=24, per_file=70):
        event = doors.from_flat(json.loads(line))
        if event is not None and event.in_every_door():
            kinds[_assert_one_form(event)] += 1
    assert kinds.total() >= 1000
    assert len(kinds) >= 20


def test_evtx_records_have_one_canonical_form_through_every_door() -> None:
    kinds: Counter[str] = Counter()
    for record in corpora.evtx_records(files=60, per_file=8):
        event = doors.from_evtx(record)
        if event is not None and event.in_every_door():
            kinds[_assert_one_form(event)] += 1
    assert kinds.total() >= 100
    assert len(kinds) >= 15


def test_a_flat_corpus_record_has_the_form_of_its_own_conversion() -> None:
    compared = 0
    for line in corpora.otrf_lines(files=10, per_file=40, seed=11):
        event = doors.from_flat(json.loads(line))
        if event is None or not event.in_every_door():
            continue
        kind, ecs = to_ecs(line)
        assert canonical(ecs, kind) == canonical(*reversed(to_ecs(doors.xml(event))))
        compared += 1
    assert compared >= 200


@pytest.mark.parametrize("wrong", ["", "   ", "<Event", "<Event><System/></Wrong>"])
def test_extracted_fields_speak_where_raw_is_no_whole_event(wrong: str) -> None:
    row = {"_raw": wrong, "source": "XmlWinEventLog:Security", "EventCode": "4688", "NewProcessName": "C:\\a.exe"}
    kind, ecs = to_ecs(row)
    assert (kind, ecs["process"]["executable"]) == ("security-4688", "C:\\a.exe")


def test_a_number_that_would_be_written_otherwise_stays_text() -> None:
    data = {"DestinationPort": "0443", "SourcePort": "51234", "Image": "C:\\a.exe"}
    document = {"winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": 3, "event_data": data}}
    kind, ecs = to_ecs(document)
    assert ecs["source"]["port"] == 51234
    assert dict(canonical(ecs, kind))["destination.port"] == "0443"


def test_a_classic_splunk_row_is_an_event_of_its_kind() -> None:
    row = {
        "LogName": "Security",
        "EventCode": "4688",
        "source": "WinEventLog:Security",
        "_raw": "03/05/2024 10:11:12 AM\nLogName=Security",
        "Account_Name": ["alice", "WS01$"],
        "New_Process_Name": "C:\\Windows\\System32\\cmd.exe",
        "Process_Command_Line": "cmd /c whoami",
    }
    kind, ecs = to_ecs({"result": row})
    form = dict(canonical(ecs, kind))
    assert (kind, form["process.command_line"]) == ("security-4688", "cmd /c whoami")
    assert (form["subject.class"], form["target.class"], form["target.is_subject"]) == ("<user>", "<machine>", "false")


@pytest.mark.parametrize(
    "more", [{"result": {"code": 1}, "offset": 4}, {"body": "{}"}, {"event": {"action": "a"}, "sourcetype": "x"}]
)
def test_a_document_in_ecs_is_never_taken_for_a_carrier(more: dict[str, Any]) -> None:
    document = {"data_stream": {"dataset": "system.syslog"}, "process": {"name": "kernel"}, "message": "m", **more}
    kind, ecs = to_ecs(document)
    assert kind == "syslog"
    assert canonical(ecs, kind) == canonical(document, kind)
