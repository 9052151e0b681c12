"""Windows logs that share one kind, the layout of collectors that keep XML's lists, and macOS: what the tables promise."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from connector.events import canonical, kind_of
from connector.events.canonical import TABLE
from connector.events.families import FAMILIES, METAS, family_of, windows_logs
from connector.events.family import Log
from connector.events.normalise import to_ecs
from tests.events import doors, vectors

_EXPECTED = {
    "api": "access admin allowed change creation deletion denied end info start user",
    "authentication": "start end info",
    "configuration": "access change creation deletion info",
    "database": "access change info error",
    "driver": "change end info start",
    "email": "info",
    "file": "access change creation deletion info",
    "host": "access change end info start",
    "iam": "admin change creation deletion group info user",
    "intrusion_detection": "allowed denied info",
    "library": "start",
    "malware": "info",
    "network": "access allowed connection denied end info protocol start",
    "package": "access change deletion info installation start",
    "process": "access change end info start",
    "registry": "access change creation deletion",
    "session": "start end info",
    "threat": "indicator",
    "vulnerability": "info",
    "web": "access error info",
}
"""ECS 8.17's values of ``event.category`` with the values of ``event.type`` that it expects with each."""

_TYPES = {kind for row in _EXPECTED.values() for kind in row.split()} | {"error", "device"}
_ROWS = [
    (family.name, log, code) for family in windows_logs.FAMILIES for log in family.logs for code in sorted(log.events)
]
_VALUES = ("445", "10.1.2.3", "CORP\\alice", "C:\\Windows\\a.exe", "0x1f", "LOCAL", "-", 7, True)


def _beat(log: Log, code: str, data: dict[str, Any]) -> dict[str, Any]:
    channel = min(log.channels, default="application")
    return {
        "ecs": {"version": "8.0.0"},
        "event": {"code": code, "provider": min(log.providers)},
        "winlog": {"channel": channel, "provider_name": min(log.providers), "event_id": code, "event_data": data},
    }


def test_every_row_uses_categories_and_types_of_ecs() -> None:
    wrong = {(meta.category, meta.type) for meta in METAS if meta.category not in _EXPECTED or meta.type not in _TYPES}
    assert wrong == set()


def test_rows_of_windows_logs_use_the_types_that_ecs_expects_with_a_category() -> None:
    pairs = {(log.events[code].category, log.events[code].type) for _, log, code in _ROWS}
    assert {pair for pair in pairs if pair[1] not in _EXPECTED[pair[0]].split()} == set()


def test_no_two_rows_speak_for_one_event() -> None:
    origins = Counter(
        (origin, code)
        for family in FAMILIES
        for log in family.logs
        for origin in (*(("provider", name) for name in log.providers), *(("channel", name) for name in log.channels))
        for code in log.events
    )
    assert [each for each, count in origins.items() if count > 1] == []


def test_every_row_speaks_for_an_event_that_has_no_kind_of_its_own() -> None:
    shadowed = [(name, code) for name, log, code in _ROWS if kind_of(_beat(log, code, {})) != "windows"]
    assert shadowed == []


def test_names_of_logs_are_in_lower_case() -> None:
    names = {name for family in windows_logs.FAMILIES for log in family.logs for name in log.providers | log.channels}
    assert {name for name in names if name != name.lower()} == set()


@pytest.mark.parametrize("family", [family.name for family in windows_logs.FAMILIES])
def test_a_row_adds_fields_and_leaves_the_canonical_form(family: str) -> None:
    for name, log, code in _ROWS:
        if name != family:
            continue
        for value in _VALUES:
            document = _beat(log, code, {rule.name: value for rule in log.events[code].rules})
            kind, ecs = to_ecs(document)
            assert canonical(ecs, kind) == canonical(document, kind_of(document)), (code, value)
            assert ecs["event"]["action"] == log.events[code].action
            assert family_of(kind, ecs) == family


def test_an_instance_of_sql_server_is_sql_server() -> None:
    row = {"EventID": 33205, "SourceName": "MSSQL$PAYROLL", "Channel": "Application", "Message": "audit"}
    kind, ecs = to_ecs(row)
    assert (kind, ecs["event"]["action"], family_of(kind, ecs)) == ("mssql-33205", "database-audit", "mssql")


@pytest.mark.parametrize(
    ("row", "family"),
    [
        ({"EventID": 4689, "Channel": "Security", "Hostname": "WS07"}, "security-audit"),
        ({"EventID": 1101, "Channel": "Security", "Hostname": "WS07"}, "security-audit"),
        ({"EventID": 111, "SourceName": "Microsoft-Windows-EventForwarder"}, "service-channels"),
        ({"EventID": 999999, "Channel": "Security", "SourceName": "Microsoft-Windows-Security-Auditing"}, None),
        ({"EventID": 4689, "Channel": "Security", "SourceName": "Somebody else"}, None),
    ],
)
def test_a_record_is_known_by_its_provider_and_only_without_one_by_its_channel(
    row: dict[str, Any], family: str | None
) -> None:
    kind, ecs = to_ecs(row)
    assert family_of(kind, ecs) == family


def _plain(event: doors.Neutral) -> dict[str, Any]:
    """The event as MaxPatrol SIEM's collector keeps it: attributes as plain keys, data as the list that XML has."""
    system = {
        "Provider": {"Name": event.provider},
        "EventID": {"Qualifiers": "0", "text": str(event.code)},
        "Keywords": f"0x{event.keywords:x}",
        "TimeCreated": {"SystemTime": event.time},
        "Channel": event.channel,
        "Computer": event.computer,
        "Security": {"UserID": event.user} if event.user else "",
    }
    body: dict[str, Any] = {"xmlns": doors.NAMESPACE, "System": system}
    if event.user_data:
        name, fields = event.user_data
        body["UserData"] = {name: {"xmlns": "x", "xmlns:auto-ns3": "y", **fields}}
    elif event.unnamed:
        body["EventData"] = {"Data": event.unnamed if len(event.unnamed) > 1 else event.unnamed[0]}
    else:
        listed = [{"Name": key, "text": value} if value else {"Name": key} for key, value in event.data.items()]
        body["EventData"] = {"Data": listed}
    envelope = {"mime": "application/x-pt-eventlog", "normalized": False, "recv_ipv4": "127.0.0.1", "type": "raw"}
    return envelope | {"body": json.dumps({"Event": body})}


def test_plain_keys_and_listed_data_give_the_form_of_the_evtx_record() -> None:
    compared = 0
    for name, raw in vectors.golden().items():
        if "Event" not in raw:
            continue
        event = doors.from_evtx(raw)
        if event is None or (event.unnamed and event.data):
            continue
        assert canonical(*reversed(to_ecs(_plain(event)))) == canonical(*reversed(to_ecs(raw))), name
        compared += 1
    assert compared >= 20


def test_a_request_that_has_a_body_is_no_envelope() -> None:
    row = {"method": "POST", "url": "https://app.example.org/a", "body": '{"Event": {"System": {"EventID": 1}}}'}
    kind, ecs = to_ecs(row)
    assert (kind, ecs["http"]["request"]["method"]) == ("generic", "POST")


_MAC = {name: raw for name, raw in vectors.golden().items() if name.startswith("macos")}


@pytest.mark.parametrize("name", _MAC)
def test_a_macos_event_has_one_form_through_every_door(name: str) -> None:
    raw = _MAC[name]
    kind, ecs = to_ecs(raw)
    wanted = canonical(ecs, kind)
    line = json.dumps(raw)
    carried: list[Any] = [
        line,
        line.encode(),
        {"_index": "mac", "_source": raw},
        {"sourcetype": "eslogger", "event": raw},
        {"result": {"_raw": line, "sourcetype": "eslogger"}},
        ecs,
    ]
    for each in carried:
        again, document = to_ecs(each)
        assert canonical(document, again) == wanted
        assert family_of(again, document) == "macos"


def test_kinds_of_macos_are_reached_by_golden_events() -> None:
    assert {to_ecs(raw)[0] for raw in _MAC.values()} == {kind for kind in TABLE.kinds if kind.startswith("macos")}


def test_an_exec_is_the_process_that_it_makes_and_keeps_what_called_it() -> None:
    process = to_ecs(_MAC["macos-exec"])[1]["process"]
    assert process["executable"] == "/usr/bin/osascript"
    assert process["previous"] == {"executable": "/bin/zsh"}
    assert process["parent"] == {"pid": 456}
    assert process["env_vars"] == ["DYLD_INSERT_LIBRARIES=/tmp/a.dylib"]


@pytest.mark.parametrize(
    ("event", "path"),
    [
        ({"create": {"destination": {"existing_file": {"path": "/tmp/a"}}}}, "/tmp/a"),
        ({"create": {"destination": {"new_path": {"dir": {"path": "/"}, "filename": "a"}}}}, "/a"),
        ({"link": {"source": {"path": "/a"}, "target_dir": {"path": "/tmp"}, "target_filename": "b"}}, "/tmp/b"),
        ({"open": {"file": {"path": "/etc/sudoers"}}}, "/etc/sudoers"),
        ({"unlink": {"target": {"path": "/tmp/a"}, "parent_dir": {"path": "/tmp"}}}, "/tmp/a"),
    ],
)
def test_a_macos_file_event_names_the_file(event: dict[str, Any], path: str) -> None:
    _, ecs = to_ecs({"event_type": 0, "mach_time": 1, "event": event, "process": {"executable": {"path": "/bin/a"}}})
    assert ecs["file"]["path"] == path
