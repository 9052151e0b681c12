"""Microsoft 365's unified audit log, as Elastic's ``o365.audit`` integration names it.

Source: https://learn.microsoft.com/en-us/office/office-365-management-api/office-365-management-activity-api-schema
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from connector.errors import PermanentError
from connector.events.canonical import text_of
from connector.events.declared import declared
from connector.events.decode import decode
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, pruned, timed
from connector.events.masks import lower
from connector.events.paths import address, first, put
from connector.types import Document, Json

_DATA: Final[Mapping[str, Any]] = tomllib.loads(
    Path(__file__).with_name("data").joinpath("m365.toml").read_text("utf-8")
)
_RECORD_TYPES: Final[Mapping[str, str]] = _DATA["record_types"]
_NAMES: Final = {lower(name): name for name in _DATA["names"]}
_ACTIONS: Final[Mapping[str, str]] = _DATA["actions"]
_DECLARED: Final = frozenset({"o365.management.activity", "o365.audit", "ms.o365.management"})
_SUCCEEDED: Final = frozenset({"succeeded", "success", "partiallysucceeded", "true"})
_FILES: Final = frozenset({"SharePointFileOperation", "SharePointSharingOperation"})
_MOST: Final = 64

_TABLE: Final = lifts(
    {
        "@timestamp": "CreationTime",
        "event.id": "Id",
        "event.provider": "Workload",
        "event.action": "Operation",
        "organization.id": "OrganizationId",
        "organization.name": "OrganizationName",
        "user.id": "UserId",
        "user_agent.original": ("UserAgent", "ExtendedProperties.UserAgent"),
        "process.name": "ClientProcessName",
    }
)
_FILE: Final = lifts(
    {
        "url.original": "ObjectId",
        "file.directory": "SourceRelativeUrl",
        "file.name": "SourceFileName",
        "file.extension": "SourceFileExtension",
    }
)
_SOURCE: Final = first(("ClientIPAddress", "ClientIP", "ActorIpAddress"))
_MOVED: Final = frozenset(
    {*("CreationTime", "Id", "Workload", "Operation", "OrganizationId", "OrganizationName", "UserAgent", "ClientIP")}
    | {"ClientIPAddress", "ActorIpAddress", "ClientProcessName"}
)


def read(record: Document) -> Node | None:
    """A unified audit record in ECS, in whichever case its names are; of an export, the record in its ``AuditData``."""
    record = _of_export(record)
    if not _is_audit(record):
        return None
    said: Node = {_NAMES.get(lower(name), name): value for name, value in record.items() if name[:2] != "p_"}
    for name in ("Parameters", "ExtendedProperties", "DeviceProperties"):
        said[name] = _by_name(said.get(name))
    said["ModifiedProperties"] = _modified(said.get("ModifiedProperties"))
    document: Node = {
        "event": {
            "kind": "event",
            "dataset": "o365.audit",
            "category": ["web"],
            "type": ["info"],
            "outcome": "success",
        },
        "o365": {"audit": pruned({name: value for name, value in said.items() if name not in _MOVED}) or {}},
    }
    lift(document, said, _TABLE)
    _describe(document, said)
    return timed(document)


def _of_export(record: Document) -> Document:
    """The portal's export and ``Search-UnifiedAuditLog`` give rows whose ``AuditData`` is the record as text."""
    data = record.get("AuditData")
    if type(data) is str and data.startswith("{"):
        try:
            return decode(data)
        except PermanentError:
            return record
    return data if type(data) is dict else record


def _is_audit(record: Document) -> bool:
    if "Operation" in record:
        return "RecordType" in record or "Workload" in record
    if "operation" in record and "recordtype" in record:
        return True
    name = declared(record)
    return name in _DECLARED or name.startswith("microsoft365.audit.")


def _describe(document: Node, said: Node) -> None:
    event = document["event"]
    code = _RECORD_TYPES.get(text_of(said.get("RecordType")))
    put(document, "event.code", code)
    if code in _FILES:
        lift(document, said, _FILE)
    if code == "AzureActiveDirectory" and type(action := event.get("action")) is str:
        event["action"] = _ACTIONS.get(action, action)
    if text_of(said.get("ResultStatus")).lower() in {"failed", "false", "failure"}:
        event["outcome"] = "failure"
    source = address(_SOURCE(said))
    if is_address(source):
        put(document, "source.ip", source)
    user = said.get("UserId")
    if type(user) is str and user:
        name, _, domain = user.partition("@")
        put(document, "user.name", name or None)
        put(document, "user.domain", domain or None)


def _by_name(value: Json) -> Json:
    """A list of ``{Name, Value}`` as an object."""
    if type(value) is not list:
        return value
    rows = [each for each in value[:_MOST] if type(each) is dict]
    pairs = ((each.get("Name", each.get("name")), each.get("Value", each.get("value"))) for each in rows)
    return {name: told for name, told in pairs if type(name) is str and told is not None}


def _modified(value: Json) -> Json:
    """A list of ``{Name, NewValue, OldValue}`` as an object."""
    if type(value) is not list:
        return value
    rows = [each for each in value[:_MOST] if type(each) is dict and type(each.get("Name")) is str]
    return {
        each["Name"].replace(" ", "_").replace(".", "_"): {key: each.get(key) for key in ("NewValue", "OldValue")}
        for each in rows
    }


FAMILY: Final = Family("m365", datasets=frozenset({"o365.audit"}), read=read)
