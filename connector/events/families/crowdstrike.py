"""CrowdStrike Falcon's sensor events (Falcon Data Replicator) in ECS, as Elastic's integration has them (``crowdstrike.fdr``).

A carrier may keep the sensor's fields under ``event`` (Panther); alerts of the streaming API come the same way.

Sources: https://www.elastic.co/docs/reference/integrations/crowdstrike, the event data dictionary of Falcon Data Replicator
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.paths import address, copier, first, inner, moment, put, said, scalars
from connector.types import Document, Json

_DATASET: Final = "crowdstrike.fdr"
_DECLARED: Final = frozenset(
    {
        *("crowdstrike.fdrevent", "crowdstrike.dnsrequest", "crowdstrike.processrollup2", "crowdstrike.networkconnect"),
        *("crowdstrike.detectionsummary", "crowdstrike.unknown", "crowdstrike.events.sensor", _DATASET),
    }
)
_HINTS: Final = frozenset({"AgentIdString", "aid", "cid", "eid", "event", "event_simpleName", "unknown_payload"})
_SIGNS: Final = frozenset({"event_simpleName", "aid"})

_FIELDS: Final = {
    "event.id": ("id",),
    "host.id": ("aid", "AgentIdString"),
    "host.name": ("ComputerName", "Hostname", "HostnameField"),
    "user.name": ("UserName",),
    "user.id": ("UserSid", "UID"),
    "process.command_line": ("CommandLine", "CommandHistory", "ScriptContent"),
    "process.executable": ("ImageFileName",),
    "process.entity_id": ("TargetProcessId", "ContextProcessId"),
    "process.parent.entity_id": ("ParentProcessId", "SourceProcessId"),
    "process.parent.executable": ("ParentImageFileName", "ParentImageFilename"),
    "process.parent.name": ("ParentBaseFileName",),
    "process.parent.command_line": ("ParentCommandLine",),
    "process.hash.md5": ("MD5HashData", "MD5String"),
    "process.hash.sha256": ("SHA256HashData", "SHA256String"),
    "file.path": ("TargetFileName",),
    "registry.path": ("RegObjectName",),
    "registry.value": ("RegValueName",),
    "registry.data.strings": ("RegStringValue",),
    "dns.question.name": ("DomainName",),
    "destination.port": ("RemotePort", "RPort"),
    "source.port": ("LocalPort", "LPort"),
    "network.iana_number": ("Protocol",),
    "rule.name": ("DetectName",),
    "rule.description": ("DetectDescription", "Description"),
    "event.reason": ("PatternDispositionDescription",),
    "crowdstrike.SeverityName": ("SeverityName",),
    "crowdstrike.event_platform": ("event_platform",),
    "crowdstrike.LogonType": ("LogonType",),
    "service.name": ("ServiceDisplayName",),
    "crowdstrike.TaskName": ("TaskName",),
    "crowdstrike.TaskExecCommand": ("TaskExecCommand",),
    "crowdstrike.IntegrityLevel": ("IntegrityLevel",),
}
_copy: Final = copier(_FIELDS)
_time: Final = first(("timestamp", "UTCTimestamp"))
_ADDRESSES: Final = {
    "source.ip": first(["LocalAddressIP4", "LocalAddressIP6", "LocalIP", "LocalAddress"]),
    "destination.ip": first(["RemoteAddressIP4", "RemoteAddressIP6", "RemoteAddress"]),
    "observer.ip": first(["aip"]),
}
_NAME: Final = first(["event_simpleName", "ExternalApiType", "EventType"])
_FILE: Final = first(["FileName"])
_FOLDER: Final = first(["FilePath"])
_OUTER: Final = first(["fdr_event_type", "event_simpleName", "name"])
_LEVELS: Final[Mapping[str, str]] = {
    "0": "untrusted",
    "4096": "low",
    "8192": "medium",
    "8448": "medium plus",
    "12288": "high",
    "16384": "system",
    "20480": "protected",
}
_DIRECTIONS: Final[Mapping[str, str]] = {"0": "egress", "1": "ingress"}
_CATEGORIES: Final = (
    ("ProcessRollup", ("process",), ("start",)),
    ("SyntheticProcess", ("process",), ("start",)),
    ("EndOfProcess", ("process",), ("end",)),
    ("CommandHistory", ("process",), ("info",)),
    ("NetworkConnect", ("network",), ("connection", "start")),
    ("NetworkReceive", ("network",), ("connection", "start")),
    ("NetworkListen", ("network",), ("info",)),
    ("Dns", ("network",), ("protocol",)),
    ("Reg", ("registry",), ("change",)),
    ("Asep", ("registry",), ("change",)),
    ("UserLogon", ("authentication",), ("start",)),
    ("UserLogoff", ("authentication",), ("end",)),
    ("UserAccount", ("iam",), ("user",)),
)


def read(record: Document) -> Node | None:
    """A sensor event as an ECS document."""
    if not _is_sensor_event(record):
        return None
    fields = inner(record, "unknown_payload", "event") or record
    action = _NAME(fields) or _OUTER(record)
    document: Node = {"event": {"kind": "event", "dataset": _DATASET}}
    put(document, "event.action", action)
    _describe(document, action)
    put(document, "@timestamp", moment(_time(fields)))
    _copy(fields, document)
    for where, get in _ADDRESSES.items():
        put(document, where, address(get(fields)))
    _add_detection(document, fields)
    put(document, "network.direction", _DIRECTIONS.get(str(fields.get("ConnectionDirection"))))
    level = _LEVELS.get(str(fields.get("IntegrityLevel")))
    put(document, "process.integrity_level", level)
    return document


def _is_sensor_event(record: Document) -> bool:
    if _HINTS.isdisjoint(record):
        return "p_log_type" in record and declared(record) in _DECLARED
    if record.keys() >= _SIGNS or declared(record) in _DECLARED:
        return True
    event = record.get("event")
    return type(event) is dict and event.keys() >= _SIGNS


def _describe(document: Node, action: Json) -> None:
    if type(action) is str:
        for start, category, kind in _CATEGORIES:
            if action.startswith(start):
                document["event"]["category"], document["event"]["type"] = list(category), list(kind)
                return
        if "Detection" in action:
            document["event"]["kind"] = "alert"


def _add_detection(document: Node, fields: Document) -> None:
    """An alert has the program's folder and name apart, and a name of its own; a sensor event's is that of its schema."""
    if "SeverityName" in fields:
        put(document, "rule.name", scalars(fields.get("Name")))
    folder, name = _FOLDER(fields), _FILE(fields)
    if type(name) is str and "process" in document and said(fields.get("CommandLine")):
        path = (
            f"{folder.rstrip(chr(92) + '/')}{'/' if '/' in folder else chr(92)}{name}" if type(folder) is str else name
        )
        put(document, "process.executable", path)
    executable = (document.get("process") or {}).get("executable")
    if type(executable) is str:
        put(document, "process.name", executable.replace("\\", "/").rpartition("/")[2])


FAMILY: Final = Family("crowdstrike", datasets=frozenset({_DATASET}), read=read)
