"""Writes one Windows event through each door, independently of the product: what a collector would have sent.

An event is read from a corpus record into ``Neutral`` and written again as an EVTX record's JSON, a Winlogbeat document, a
flat object (NXLog, Mordor), Windows event XML and a Splunk row. Known limits of the real doors are kept: a flat record has
no unnamed data, only the rendered message; Winlogbeat drops empty values, writes all values as text, and names without spaces.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"

_NXLOG_OWN = {
    *("@timestamp", "@version", "ActivityID", "Category", "Channel", "EventID", "EventReceivedTime", "EventTime"),
    *("EventTypeOrignal", "ExecutionProcessID", "Hostname", "Keywords", "Level", "Message", "Opcode", "OpcodeValue"),
    *("ProviderGuid", "RecordNumber", "Severity", "SeverityValue", "SourceModuleName", "SourceModuleType"),
    *(
        "SourceName",
        "Task",
        "ThreadID",
        "TimeCreated",
        "Version",
        "ERROR_EVT_UNRESOLVED",
        "host",
        "port",
        "tags",
        "type",
    ),
    *("ProcessID", "RelatedActivityID", "timestamp", "EventLevel", "level"),
}
_NXLOG_TYPES = {"INFO", "WARNING", "ERROR", "VERBOSE", "DEBUG", "CRITICAL", "AUDIT_SUCCESS", "AUDIT_FAILURE"}

_WRITES_USER_DATA = ("Microsoft-Windows-WMI-Activity", "Microsoft-Windows-TerminalServices-")
"""Providers whose data stand in UserData, of which NXLog keeps the rendered message only."""

_CLASSIC_MESSAGES = {
    "400": "Engine state is changed from {1} to {0}. \r\n\r\nDetails: \r\n{2}",
    "600": 'Provider "{0}" is {1}. \r\n\r\nDetails: \r\n{2}',
    "800": "Pipeline execution details for command line: {0}. \r\n\r\nContext Information: \r\n{1}\r\n\r\nDetails: \r\n{2}",
}


@dataclass
class Neutral:
    """An event without a door."""

    channel: str
    provider: str
    code: int
    computer: str
    time: str
    keywords: int
    record: int = 1
    user: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    user_data: tuple[str, dict[str, Any]] | None = None

    def in_every_door(self) -> bool:
        """Whether each door can carry the event at all: XML has no control characters, flat records no unnamed data."""
        texts = [*self.data.values(), *self.unnamed, *(self.user_data[1].values() if self.user_data else ())]
        printable = all(ord(char) >= 32 or char in "\t\r\n" for text in texts if isinstance(text, str) for char in text)
        nested = any(isinstance(text, dict | list | float) for text in texts)
        classic = (
            self.channel == "Windows PowerShell" and str(self.code) in _CLASSIC_MESSAGES and len(self.unnamed) == 3
        )
        clash = bool(_NXLOG_OWN & self.data.keys()) or self.data.get("EventType") in _NXLOG_TYPES
        return printable and not nested and not clash and (classic or not self.unnamed)


def _text(value: Any) -> str:
    return "" if value is None else ("true" if value else "false") if isinstance(value, bool) else str(value)


def _classic(code: str, message: str) -> list[str] | None:
    text = message.replace("\r\n", "\n")
    head, found, details = text.partition("\n\nDetails: \n")
    if not found:
        return None
    if code == "800":
        line, found, context = head.partition("\n\nContext Information: \n")
        line = line.removeprefix("Pipeline execution details for command line: ").rstrip(" ").removesuffix(".")
        return [line, context, details] if found else None
    if code == "600":
        name, _, state = head.removeprefix('Provider "').partition('" is ')
        return [name, state.strip(" ."), details]
    old, _, new = head.removeprefix("Engine state is changed from ").partition(" to ")
    return [new.strip(" ."), old, details]


def from_flat(row: dict[str, Any]) -> Neutral | None:
    """An OTRF record."""
    code = row.get("EventID")
    if not isinstance(code, int) or not row.get("Channel") or not row.get("SourceName"):
        return None
    if row["SourceName"].startswith(_WRITES_USER_DATA):
        return None
    data = {key: value for key, value in row.items() if key not in _NXLOG_OWN}
    if data.get("EventType") in _NXLOG_TYPES:
        del data["EventType"]
    if data.pop("AccountType", None) is not None:
        for key in ("Domain", "AccountName", "UserID"):
            data.pop(key, None)
    unnamed: list[str] = []
    if row["Channel"] == "Windows PowerShell" and str(code) in _CLASSIC_MESSAGES:
        found = _classic(str(code), row.get("Message") or "")
        if found is None:
            return None
        unnamed = found
    keywords = row.get("Keywords", 0)
    keywords = int(keywords, 16) if isinstance(keywords, str) else keywords
    time = row.get("@timestamp") or row.get("EventTime") or "2020-01-01T00:00:00Z"
    computer = row.get("Hostname") or "HOST"
    bits = keywords & 0xFFFFFFFFFFFFFFFF
    return Neutral(row["Channel"], row["SourceName"], code, computer, time, bits, data=data, unnamed=unnamed)


def from_evtx(record: dict[str, Any]) -> Neutral | None:
    """A record of the ``evtx`` package."""
    event = record["Event"]
    system = event["System"]
    code = system["EventID"]
    code = code["#text"] if isinstance(code, dict) else code
    keywords = system.get("Keywords") or "0x0"
    raw = event.get("EventData") or {}
    data = {key: value for key, value in raw.items() if key not in {"#attributes", "Data", "Binary"}}
    texts = (raw.get("Data") or {}).get("#text", []) if isinstance(raw.get("Data"), dict) else []
    unnamed = [_text(text) for text in (texts if isinstance(texts, list) else [texts])]
    user_data = None
    if event.get("UserData"):
        name, fields = next(iter(event["UserData"].items()))
        if not isinstance(fields, dict):
            return None
        user_data = (name, {key: value for key, value in fields.items() if key != "#attributes"})
    if "Channel" not in system:
        return None
    return Neutral(
        channel=system["Channel"],
        provider=system["Provider"]["#attributes"]["Name"],
        code=int(code),
        computer=system["Computer"],
        time=system["TimeCreated"]["#attributes"]["SystemTime"],
        keywords=int(keywords, 16),
        record=system.get("EventRecordID") or 1,
        user=((system.get("Security") or {}).get("#attributes") or {}).get("UserID"),
        data=data,
        unnamed=unnamed,
        user_data=user_data,
    )


def evtx(event: Neutral) -> dict[str, Any]:
    """The JSON of the ``evtx`` package: typed values, attributes apart."""
    system = {
        "Provider": {"#attributes": {"Name": event.provider}},
        "EventID": {"#attributes": {"Qualifiers": 0}, "#text": event.code},
        "Keywords": f"0x{event.keywords:x}",
        "TimeCreated": {"#attributes": {"SystemTime": event.time}},
        "EventRecordID": event.record,
        "Channel": event.channel,
        "Computer": event.computer,
        "Security": {"#attributes": {"UserID": event.user}} if event.user else None,
    }
    body: dict[str, Any] = {"#attributes": {"xmlns": NAMESPACE}, "System": system}
    if event.user_data:
        name, fields = event.user_data
        body["UserData"] = {name: {"#attributes": {"xmlns": "x"}, **fields}}
    else:
        data: dict[str, Any] = dict(event.data)
        if event.unnamed:
            data["Data"] = {"#text": event.unnamed if len(event.unnamed) > 1 else event.unnamed[0]}
        body["EventData"] = data or None
    return {"Event": body}


def winlogbeat(event: Neutral) -> dict[str, Any]:
    """A Winlogbeat document without any module's processing."""
    data = {key.replace(" ", "_"): _text(value) for key, value in event.data.items() if _text(value)}
    data |= {f"param{index}": text for index, text in enumerate(event.unnamed, 1) if text}
    audit = event.keywords & 0x30000000000000
    winlog: dict[str, Any] = {
        "channel": event.channel,
        "provider_name": event.provider,
        "event_id": str(event.code),
        "computer_name": event.computer,
        "record_id": event.record,
        "api": "wineventlog",
        "keywords": [{0x10000000000000: "Audit Failure", 0x20000000000000: "Audit Success"}.get(audit, "Classic")],
    }
    if data:
        winlog["event_data"] = data
    if event.user_data:
        name, fields = event.user_data
        winlog["user_data"] = {"xml_name": name, **{key: _text(value) for key, value in fields.items()}}
    if event.user:
        winlog["user"] = {"identifier": event.user}
    return {
        "@timestamp": event.time,
        "agent": {"type": "winlogbeat", "version": "8.15.0", "id": "8b0e2b3a"},
        "ecs": {"version": "8.0.0"},
        "event": {"code": str(event.code), "kind": "event", "provider": event.provider, "created": event.time},
        "host": {"name": event.computer},
        "log": {"level": "information"},
        "winlog": winlog,
    }


def flat(event: Neutral) -> dict[str, Any]:
    """NXLog's ``im_msvistalog`` through ``to_json``: the record's fields and the event's data side by side."""
    audit = event.keywords & 0x30000000000000
    row: dict[str, Any] = {
        "EventTime": "2020-06-09 22:50:54",
        "Hostname": event.computer,
        "Keywords": event.keywords - (1 << 64) if event.keywords >> 63 else event.keywords,
        "EventType": {0x10000000000000: "AUDIT_FAILURE", 0x20000000000000: "AUDIT_SUCCESS"}.get(audit, "INFO"),
        "SeverityValue": 2,
        "EventID": event.code,
        "SourceName": event.provider,
        "RecordNumber": event.record,
        "Channel": event.channel,
        "SourceModuleType": "im_msvistalog",
        "@timestamp": event.time,
    }
    if event.unnamed:
        row["Message"] = _CLASSIC_MESSAGES[str(event.code)].format(*event.unnamed)
    return row | {key: _text(value) for key, value in (event.user_data[1] if event.user_data else event.data).items()}


def xml(event: Neutral) -> str:
    """Windows event XML, as ``EvtRender`` writes it."""
    if event.user_data:
        name, fields = event.user_data
        inner = "".join(f"<{key}>{escape(_text(value))}</{key}>" for key, value in fields.items())
        body = f"<UserData><{name} xmlns='x'>{inner}</{name}></UserData>"
    else:
        named = "".join(f"<Data Name={quoteattr(k)}>{escape(_text(v))}</Data>" for k, v in event.data.items())
        body = f"<EventData>{named}{''.join(f'<Data>{escape(text)}</Data>' for text in event.unnamed)}</EventData>"
    user = f"<Security UserID='{event.user}'/>" if event.user else "<Security/>"
    return (
        f"<Event xmlns='{NAMESPACE}'><System><Provider Name={quoteattr(event.provider)}/>"
        f"<EventID Qualifiers='0'>{event.code}</EventID><Version>0</Version><Level>4</Level>"
        f"<Keywords>0x{event.keywords:x}</Keywords><TimeCreated SystemTime='{event.time}'/>"
        f"<EventRecordID>{event.record}</EventRecordID><Correlation/><Channel>{escape(event.channel)}</Channel>"
        f"<Computer>{escape(event.computer)}</Computer>{user}</System>{body}</Event>"
    )


def splunk(event: Neutral) -> dict[str, Any]:
    """A Splunk export row of ``XmlWinEventLog``; its extracted fields are wrong on purpose, for ``_raw`` must win."""
    return {
        "preview": False,
        "offset": 0,
        "result": {
            "_raw": xml(event),
            "_time": event.time,
            "_bkt": "wineventlog~1~A",
            "_cd": "1:2",
            "host": event.computer,
            "index": "wineventlog",
            "source": f"XmlWinEventLog:{event.channel}",
            "sourcetype": "XmlWinEventLog",
            "EventCode": "1",
            "Channel": "Application",
            "CommandLine": "extracted wrongly",
        },
    }


DOORS = {
    "evtx": lambda event: json.dumps(evtx(event)),
    "winlogbeat": lambda event: json.dumps(winlogbeat(event)),
    "flat": lambda event: json.dumps(flat(event)),
    "xml": xml,
    "splunk": lambda event: json.dumps(splunk(event)),
}
