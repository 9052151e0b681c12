"""Events for the model suites, through the one door."""

from __future__ import annotations

from connector.events import normalise
from connector.types import Event, Json, RawEvent, SourceRef


def process_start(
    command: str, *, native_id: str = "1", host: str = "", at: str = "2026-03-01T10:00:00Z", image: str = "tool"
) -> Event:
    """A Sysmon process start with this command line; without ``host`` it names none."""
    document: dict[str, Json] = {
        "@timestamp": at,
        "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"},
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "event_data": {"Image": f"C:\\Tools\\{image}.exe", "CommandLine": command},
        },
    }
    if host:
        document["host"] = {"name": host}
    ref = SourceRef(siem="files", index="a.jsonl", id=native_id)
    return normalise(RawEvent(deployment="lab", native_id=native_id, ref=ref, data=document))
