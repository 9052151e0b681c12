"""What is no Windows event: ECS documents pass as they are, other JSON objects and text lines are given ECS names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from connector.events.canonical import text_of
from connector.events.masks import lower
from connector.events.paths import Node, put
from connector.types import Document, Json

ECS_ROOTS: Final = frozenset(
    {
        *("agent", "cloud", "container", "data_stream", "destination", "dll", "dns", "ecs"),
        *("email", "event", "file", "group", "host", "http", "kubernetes", "log"),
        *("network", "observer", "orchestrator", "organization", "package", "process", "registry", "related"),
        *("rule", "server", "client", "service", "source", "threat", "tls", "url"),
        *("user", "user_agent", "vulnerability", "winlog"),
    }
)

_MESSAGES: Final = ("message", "Message", "msg", "_raw", "raw", "log", "text", "description")

_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "event.action": ("eventName", "operationName", "OperationName", "eventType", "event_type", "Operation", "action"),
    "event.provider": ("eventSource", "Workload", "provider", "vendor", "sourcetype", "logName"),
    "event.code": ("event_id", "eventid", "EventID", "EventCode"),
    "event.outcome": ("outcome", "ResultStatus", "resultType"),
    "event.reason": ("reason", "errorMessage", "failureReason"),
    "error.code": ("errorCode", "error_code"),
    "process.executable": ("exe", "process_path", "Image", "process_exec", "process_name", "comm"),
    "process.command_line": ("cmdline", "command_line", "CommandLine", "process", "command", "proctitle"),
    "process.parent.executable": ("parent_process_path", "ParentImage", "parent_process_name"),
    "process.parent.command_line": ("parent_cmdline", "ParentCommandLine", "parent_process"),
    "file.path": ("file_path", "TargetFilename", "filename", "path"),
    "url.full": ("url", "uri", "requestURL"),
    "http.request.method": ("http_method", "method", "requestMethod"),
    "http.response.status_code": ("status_code", "statusCode"),
    "user_agent.original": ("userAgent", "user_agent", "http_user_agent", "UserAgent"),
    "source.ip": ("sourceIPAddress", "src_ip", "src", "clientIP", "client_ip", "ClientIP", "callerIpAddress"),
    "destination.ip": ("dest_ip", "dst_ip", "dest", "dst"),
    "destination.port": ("dest_port", "dst_port", "dport"),
    "dns.question.name": ("query", "qname"),
    "user.name": ("user", "userName", "username", "UserId", "actor", "account"),
    "host.name": ("host", "hostname", "Hostname", "Computer", "dvc"),
    "cloud.region": ("awsRegion", "region"),
    "@timestamp": ("@timestamp", "timestamp", "eventTime", "time", "_time", "CreationTime"),
}

_PAYLOADS: Final = ("uri_path", "uri_query", "form_data", "src_content")
"""What Splunk Stream says of a client's request; the payload member reads it, and no canonical form."""

_MAPPED: Final = frozenset(name for names in _NAMES.values() for name in names)
_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_MAX_LEAVES: Final = 64
_WHO_WHERE_WHEN: Final = (
    "time", "date", "timestamp", "id", "uid", "guid", "arn", "ip", "host", "hostname", "computer", "user", "username",
    "userid", "displayname", "account", "accesskey", "email", "address", "version", "tags", "port", "md5", "sha1", "sha256", "region",
)  # fmt: skip
"""Names that end so tell who, where or when; they are left out of a message that is made of an object."""


def is_ecs(document: Document) -> bool:
    """Whether a document is in ECS: an object stands under one of its root names, or a dotted name begins with one."""
    return any(
        type(value) is dict if key in ECS_ROOTS else key.partition(".")[0] in ECS_ROOTS and "." in key
        for key, value in document.items()
    )


def _leaf(value: Json) -> bool:
    return (type(value) is str and value not in {"", "-"}) or type(value) is int


def _leaves(path: str, value: Json, found: list[str]) -> None:
    """``path=value`` of every telling leaf, in key order."""
    if len(found) >= _MAX_LEAVES:
        return
    if type(value) is dict:
        for key in sorted(value):
            if not lower(key).endswith(_WHO_WHERE_WHEN):
                _leaves(f"{path}.{key}" if path else key, value[key], found)
    elif type(value) is list:
        for item in value[:8]:
            _leaves(path, item, found)
    elif _leaf(value) or type(value) is bool:
        found.append(f"{path}={text_of(value)}")


def from_foreign(row: Document) -> Node:
    """An object in nobody's schema: known names become ECS fields, the whole becomes ``event.original``.

    Where no message stands in it, its telling leaves are the message.
    """
    document: Node = {}
    for path, names in _NAMES.items():
        for name in names:
            value = row.get(name)
            if _leaf(value):
                put(document, path, value)
                break
    for name in _PAYLOADS:
        if type(row.get(name)) is str:
            put(document, f"splunk.{name}", row[name])
    message = next((row[name] for name in _MESSAGES if type(row.get(name)) is str and row[name]), None)
    if message is None:
        found: list[str] = []
        _leaves("", {key: row[key] for key in row if key not in _MAPPED}, found)
        message = " ".join(found)
    document["message"] = message
    document.setdefault("event", {}).update(kind="event", original=_ENCODER.encode(row).decode())
    return document


def from_text(line: str) -> Node:
    """A line of text."""
    return {"message": line, "event": {"kind": "event", "original": line}}
