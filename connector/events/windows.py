"""Windows log records of any door to one shape, Winlogbeat's: ``winlog.*`` and the ECS fields that every record has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connector.events.splunk import is_classic, own_names
from connector.types import Document, Json

Node = dict[str, Any]

_AUDIT_FAILURE: Final = 0x10000000000000
_AUDIT_SUCCESS: Final = 0x20000000000000
_OUTCOMES: Final = {
    "AUDIT_SUCCESS": "success",
    "AUDIT_FAILURE": "failure",
    "Audit Success": "success",
    "Audit Failure": "failure",
}

_NXLOG_TYPES: Final = frozenset({"INFO", "WARNING", "ERROR", "VERBOSE", "DEBUG", "CRITICAL", *_OUTCOMES})
"""Values of NXLog's own ``EventType``; Sysmon's registry and pipe events have data of that name."""

FLAT_META: Final = frozenset(
    {
        *("@timestamp", "@version", "ActivityID", "Category", "Channel", "Computer"),
        *("ComputerName", "ERROR_EVT_UNRESOLVED", "EventCode", "EventID", "EventLevel", "EventReceivedTime"),
        *("EventRecordID", "EventTime", "EventTypeOrignal", "ExecutionProcessID", "Hostname", "Keywords"),
        *("Level", "LevelValue", "LogName", "Message", "Opcode", "OpcodeValue"),
        *("ProviderGuid", "ProcessID", "RecordNumber", "RelatedActivityID", "Severity", "SeverityValue"),
        *("SourceModuleName", "SourceModuleType", "SourceName", "Task", "TaskCategory", "ThreadID"),
        *("TimeCreated", "Version", "eventtype", "event_id", "host", "index"),
        *("level", "linecount", "message", "port", "punct", "source"),
        *("sourcetype", "splunk_server", "tag", "tags", "timeendpos", "timestartpos"),
        *("timestamp", "type", "EventData_Xml", "System_Props_Xml", "RenderingInfo_Xml", "UserData_Xml"),
        *("Guid", "SystemTime", "Qualifiers", "dvc_nt_host", "event_data", "winlog"),
    }
)
"""Names in a flat record that tell of the record, not of the event."""

_NXLOG_USER: Final = ("Domain", "AccountName", "UserID")


def number(value: Json) -> int | None:
    """An integer given as JSON number, decimal or 0x-hexadecimal text; None for anything else."""
    if type(value) is int:
        return value
    if type(value) is not str or len(value) > 24:
        return None
    try:
        return int(value, 16) if value[:2] in {"0x", "0X"} else int(value)
    except ValueError:
        return None


def outcome_of(keywords: Json) -> str | None:
    """``success`` or ``failure`` from a record's keywords (a bit mask, or the rendered names)."""
    if type(keywords) is str and keywords in _OUTCOMES:
        return _OUTCOMES[keywords]
    bits = number(keywords)
    if bits is None:
        return None
    return "failure" if bits & _AUDIT_FAILURE else "success" if bits & _AUDIT_SUCCESS else None


def _text(value: Json) -> str | None:
    return value if type(value) is str and value else None


def record(
    *, channel: Json, provider: Json, code: str, computer: Json, time: Json, data: Node, message: Json = None
) -> Node:
    """A Winlogbeat-like document."""
    winlog: Node = {"event_id": code, "event_data": data}
    event: Node = {"code": code, "kind": "event"}
    document: Node = {"event": event, "winlog": winlog}
    if channel:
        winlog["channel"] = channel
    if provider:
        winlog["provider_name"] = event["provider"] = provider
    if computer:
        winlog["computer_name"] = computer
        document["host"] = {"name": computer}
    if time:
        document["@timestamp"] = time
    if message:
        document["message"] = message
    return document


def is_flat(row: Mapping[str, Json]) -> bool:
    """Whether a record looks like a flat Windows event."""
    return ("EventID" in row or "EventCode" in row) and (
        "Channel" in row
        or "LogName" in row
        or "SourceName" in row
        or "ProviderGuid" in row
        or _splunk_channel(row) != ""
    )


def _splunk_channel(row: Mapping[str, Json]) -> str:
    source = row.get("source")
    if type(source) is str and source.startswith(("XmlWinEventLog:", "WinEventLog:")):
        return source.partition(":")[2]
    return ""


def _code(value: Json) -> str:
    if type(value) is dict:
        value = value.get("#text") or value.get("text")
    return value.strip() if type(value) is str else str(value) if type(value) is int and value < 1 << 32 else ""


def from_flat(row: Mapping[str, Json]) -> Node:
    """One flat object whose event data stand beside the record's own fields."""
    if is_classic(row):
        row = own_names(row)
    data: Node = {key: value for key, value in row.items() if key not in FLAT_META}
    if "_time" in data or "_raw" in data:
        data = {key: value for key, value in data.items() if key[:1] != "_"}
    if _text(row.get("EventType")) in _NXLOG_TYPES:
        del data["EventType"]
    if "AccountType" in data:
        del data["AccountType"]
        for key in _NXLOG_USER:
            data.pop(key, None)
    get = row.get
    document = record(
        channel=_text(get("Channel")) or _text(get("LogName")) or _splunk_channel(row),
        provider=_text(get("SourceName")) or _text(get("Provider")),
        code=_code(get("EventID")) or _code(get("EventCode")),
        computer=_text(get("Hostname")) or _text(get("Computer")) or _text(get("ComputerName")) or _text(get("host")),
        time=_text(get("@timestamp")) or _text(get("TimeCreated")) or _text(get("_time")) or _text(get("EventTime")),
        data=data,
        message=_text(get("Message")),
    )
    outcome = _OUTCOMES.get(_text(get("EventType")) or "") or outcome_of(get("Keywords"))
    if outcome:
        document["event"]["outcome"] = outcome
    if "UserID" in row and type(row["UserID"]) is str:
        document["winlog"]["user"] = {"identifier": row["UserID"]}
    return document


def _dict(value: Json) -> Node:
    return value if type(value) is dict else {}


def _attributes(parent: Node, name: str) -> Node:
    """An element's attributes: in either of the two layouts that the ``evtx`` package can write, or as plain keys."""
    node = _dict(parent.get(name))
    return _dict(node.get("#attributes")) or _dict(parent.get(f"{name}_attributes")) or node


def _leaf(value: Json) -> Json:
    """An element's value; one with attributes keeps its text under ``#text``."""
    return value.get("#text") if type(value) is dict else value


def _event_data(event: Node) -> Node:
    """Named data under their names; unnamed ones as ``param1``, ``param2`` … as Winlogbeat calls them.

    Some collectors keep ``Data`` as the list that it is, of ``{"Name": …, "text": …}``.
    """
    raw = _dict(event.get("EventData"))
    data: Node = {key: _leaf(value) for key, value in raw.items() if key[0:1] != "#" and key != "Data"}
    if "Data" in raw:
        texts = _leaf(raw["Data"])
        for index, text in enumerate(texts if type(texts) is list else [texts], 1):
            name = _text(text.get("Name")) if type(text) is dict else None
            data[name or f"param{index}"] = text.get("text") if type(text) is dict else text
    data.pop("Binary", None)
    return data


def _user_data(event: Node) -> Node:
    """The fields of the one element that UserData holds."""
    for value in _dict(event.get("UserData")).values():
        if type(value) is dict:
            return {key: _leaf(inner) for key, inner in value.items() if key[0:1] != "#" and key[:5] != "xmlns"}
    return {}


def from_evtx(event: Node) -> Node:
    """``Event`` as the ``evtx`` package writes it, or with attributes as plain keys."""
    system = _dict(event.get("System"))
    document = record(
        channel=_text(_leaf(system.get("Channel"))),
        provider=_text(_attributes(system, "Provider").get("Name")),
        code=_code(system.get("EventID")),
        computer=_text(_leaf(system.get("Computer"))),
        time=_text(_attributes(system, "TimeCreated").get("SystemTime")),
        data=_event_data(event),
        message=_text(_dict(event.get("RenderingInfo")).get("Message")),
    )
    winlog = document["winlog"]
    outcome = outcome_of(_leaf(system.get("Keywords")))
    if outcome:
        document["event"]["outcome"] = outcome
    identifier = _text(_attributes(system, "Security").get("UserID"))
    if identifier:
        winlog["user"] = {"identifier": identifier}
    user_data = _user_data(event)
    if user_data:
        winlog["user_data"] = user_data
    return document


def is_winlogbeat6(document: Document) -> bool:
    """Winlogbeat before 7 wrote ``log_name``, ``event_id`` and ``event_data`` at the root."""
    return "log_name" in document and "event_id" in document


def from_winlogbeat6(row: Mapping[str, Json]) -> Node:
    """The older layout."""
    document = record(
        channel=_text(row.get("log_name")),
        provider=_text(row.get("source_name")),
        code=_code(row.get("event_id")),
        computer=_text(row.get("computer_name")),
        time=_text(row.get("@timestamp")),
        data=dict(_dict(row.get("event_data"))),
        message=_text(row.get("message")),
    )
    if type(row.get("user_data")) is dict:
        document["winlog"]["user_data"] = row["user_data"]
    keywords = row.get("keywords")
    for word in keywords if type(keywords) is list else []:
        if type(word) is str and word in _OUTCOMES:
            document["event"]["outcome"] = _OUTCOMES[word]
    return document
