"""Rules and events for the rules' tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from connector.events import normalise
from connector.models.rules import load
from connector.types import Event, RawEvent, SourceRef

STARTS = {"category": "process_creation", "product": "windows"}


def rule(
    selection: Any, *, condition: str = "selection", logsource: Mapping[str, str] = STARTS, **more: Any
) -> tuple[str, bytes]:
    """A rule file; ``more`` are further detections, or fields of the rule where they are no detection."""
    fields = {key: more.pop(key) for key in ("title", "id", "status", "level", "tags", "author") if key in more}
    document = {
        "title": "A rule",
        "logsource": dict(logsource),
        "detection": {"selection": selection, **more, "condition": condition},
        **fields,
    }
    return f"{fields.get('id', fields.get('title', 'rule'))}.yml", yaml.safe_dump(document).encode()


def event(data: Any) -> Event:
    """Any raw event, through the one door."""
    ref = SourceRef(siem="files", index="a.jsonl", id="1")
    return normalise(RawEvent(deployment="lab", native_id="1", ref=ref, data=data))


def windows(channel: str, code: int, **data: Any) -> Event:
    """A Windows event as EVTX has it."""
    system = {"EventID": code, "Channel": channel, "Computer": "host", "Provider": {"#attributes": {"Name": channel}}}
    return event({"Event": {"System": system, "EventData": data}})


def sysmon(code: int = 1, **data: Any) -> Event:
    """A Sysmon event."""
    return windows("Microsoft-Windows-Sysmon/Operational", code, **data)


def matches(file: tuple[str, bytes], found: Event) -> bool:
    """Whether the one rule of a file matches; fails where it was left out."""
    rules = load([file])
    assert rules.left_out == ()
    return rules.match([found]) != [()]
