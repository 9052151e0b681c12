"""Flows as events, for the tests of the flow member."""

from __future__ import annotations

from typing import Any

from connector.events import normalise
from connector.types import Event, RawEvent, SourceRef


def netflow(**parts: Any) -> dict[str, Any]:
    """A record of Elastic's netflow integration; a part of ``source``, ``destination``, ``network`` or ``netflow`` replaces its own."""
    document: dict[str, Any] = {
        "@timestamp": "2026-01-02T03:04:05Z",
        "ecs": {"version": "8.11.0"},
        "event": {"kind": "event", "category": ["network"], "dataset": "netflow.log", "duration": 1_500_000_000},
        "source": {"ip": "192.0.2.10", "port": 50_000, "bytes": 1_040, "packets": 10},
        "destination": {"ip": "192.0.2.80", "port": 443, "bytes": 10_520, "packets": 10},
        "network": {"transport": "tcp", "iana_number": "6"},
        "netflow": {"type": "netflow_flow", "tcp_control_bits": 0x1B, "reverse_tcp_control_bits": 0x1B},
    }
    for name, changes in parts.items():
        document[name] = {**document[name], **changes}
    return document


def event(document: dict[str, Any]) -> Event:
    return normalise(
        RawEvent(
            deployment="test",
            native_id=repr(document),
            ref=SourceRef(siem="test", index="flows", id="1"),
            data=document,
        )
    )
