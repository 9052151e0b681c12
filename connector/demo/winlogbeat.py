"""Entries as Winlogbeat writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from connector.demo.logs import HEADERS, LOGS, Header
from connector.demo.nouns import Entry

_LEVELS = {0: "information", 4: "information", 5: "verbose"}
_AGENT = {
    "ephemeral_id": "0d5d1f0e-6c58-4c1b-9a55-6f2e2f8c9f31",
    "id": "5be4b1c6-9d0f-4b7e-8a51-0f2f41c7d3a8",
    "type": "winlogbeat",
    "version": "8.17.3",
}


def winlogbeat(entry: Entry, computer: str, record: int) -> dict[str, Any]:
    """One document. ``record`` is the entry's number in its channel."""
    log, header = LOGS[entry.log], HEADERS[entry.log, entry.code]
    action = header.task_name or "None"
    event: dict[str, Any] = {
        "action": action,
        "code": str(entry.code),
        "created": _iso(entry.at + timedelta(milliseconds=1240)),
        "kind": "event",
        "provider": log.provider,
    }
    if log.channel == "Security":
        event["outcome"] = "success"
    name = computer.partition(".")[0]
    return {
        "@timestamp": _iso(entry.at),
        "agent": {**_AGENT, "name": name},
        "ecs": {"version": "8.0.0"},
        "event": event,
        "host": {"name": computer},
        "log": {"level": _LEVELS[header.level]},
        "message": _message(entry, header),
        "winlog": _winlog(entry, header, computer, record, action),
    }


def _winlog(entry: Entry, header: Header, computer: str, record: int, action: str) -> dict[str, Any]:
    log = LOGS[entry.log]
    winlog: dict[str, Any] = {
        "api": "wineventlog",
        "channel": log.channel,
        "computer_name": computer,
        "event_id": str(entry.code),
        "opcode": "Info",
        "process": {"pid": entry.pid, "thread": {"id": entry.thread}},
        "provider_guid": log.guid,
        "provider_name": log.provider,
        "record_id": record,
        "task": action,
        "version": header.version,
    }
    if log.channel == "Security":
        winlog["keywords"] = ["Audit Success"]
    if entry.activity:
        winlog["activity_id"] = entry.activity
    if entry.sid:
        winlog["user"] = {"identifier": entry.sid}
    data = {name: value.strip() for name, value in entry.data.items()}
    if entry.section == "EventData":
        winlog["event_data"] = data
    else:
        winlog["user_data"] = {**data, "xml_name": entry.section}
    return winlog


def _message(entry: Entry, header: Header) -> str:
    lines = f"{header.title}{':' if entry.log == 'sysmon' else ''}"
    return lines + "".join(f"\n{name}: {value}" for name, value in _shown(entry).items())


def _shown(entry: Entry) -> Mapping[str, str]:
    return entry.data if entry.log == "sysmon" else {}


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
