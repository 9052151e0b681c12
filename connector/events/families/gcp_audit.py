"""Google Cloud audit logs, as Elastic's ``gcp.audit`` integration names them.

Source: https://cloud.google.com/logging/docs/reference/audit/auditlog/rest/Shared.Types/AuditLog
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from connector.events.canonical import text_of
from connector.events.declared import declared
from connector.events.families.kubernetes import add_pod
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, pruned, timed
from connector.events.paths import first, inner, put
from connector.types import Document, Json

_DECLARED: Final = frozenset({"gcp.auditlog", "gcp.audit"})
_TYPE: Final = "type.googleapis.com/google.cloud.audit.AuditLog"
_MOST: Final = 16

_ENTRY: Final = lifts(
    {
        "@timestamp": ("timestamp", "receiveTimestamp"),
        "event.id": "insertId",
        "log.level": "severity",
        "log.logger": "logName",
        "cloud.project.id": "resource.labels.project_id",
    }
)
_PAYLOAD: Final = lifts(
    {
        "event.action": "methodName",
        "service.name": "serviceName",
        "client.user.email": "authenticationInfo.principalEmail",
        "client.user.id": "authenticationInfo.principalSubject",
        "user_agent.original": "requestMetadata.callerSuppliedUserAgent",
        "gcp.audit.resource_name": "resourceName",
        "gcp.audit.num_response_items": "numResponseItems",
        "gcp.audit.status.code": "status.code",
        "gcp.audit.status.message": "status.message",
    }
)
_CALLER: Final = first(("requestMetadata.callerIp", "requestMetadata.callerIP"))


def read(record: Document) -> Node | None:
    """A log entry with an audit payload in ECS; a Pub/Sub message's ``data`` is the entry."""
    record = inner(record, "data") if "protoPayload" in inner(record, "data") else record
    payload = inner(record, "protoPayload")
    if not payload and declared(record) not in _DECLARED:
        return None
    payload = payload or record
    document: Node = {
        "cloud": {"provider": "gcp"},
        "event": {"kind": "event", "dataset": "gcp.audit", "category": ["configuration"]},
        "gcp": {"audit": {"type": _TYPE}},
    }
    lift(document, record, _ENTRY)
    lift(document, payload, _PAYLOAD)
    _add_provider(document)
    caller = _CALLER(payload)
    if is_address(caller):
        put(document, "source.ip", caller)
    _add_objects(document["gcp"]["audit"], payload)
    _describe(document, payload)
    add_pod(document, inner(payload, "request"))
    return timed(document)


def _add_provider(document: Node) -> None:
    """``activity``, ``data_access``, ``system_event`` or ``policy``: what the log's name ends in."""
    logger = document.get("log", {}).get("logger")
    if type(logger) is str and (name := unquote(logger[:512]).rpartition("cloudaudit.googleapis.com/")[2]) != logger:
        put(document, "event.provider", name)


def _add_objects(audit: Node, payload: Document) -> None:
    for name in ("request", "response", "metadata"):
        value: Json = pruned(inner(payload, name))
        if type(value) is dict:
            audit[name] = value
    put(audit, "authorization_info", pruned(payload.get("authorizationInfo")))
    data = inner(payload, "serviceData")
    deltas = inner(data, "policyDelta").get("bindingDeltas") or inner(inner(data, "policyDelta"), "auditConfigDeltas")
    found = [_delta(each) for each in (deltas[:_MOST] if type(deltas) is list else ()) if type(each) is dict]
    put(audit, "policy_delta", found or None)


def _delta(delta: Document) -> str:
    """``ADD roles/owner to user``: what a binding gains or loses; members are told by their kind only."""
    member = text_of(delta.get("member"))
    kind = member if member in {"allUsers", "allAuthenticatedUsers"} else member.partition(":")[0]
    return f"{text_of(delta.get('action'))} {text_of(delta.get('role'))} to {kind}"


def _describe(document: Node, payload: Document) -> None:
    event = document["event"]
    code = inner(payload, "status").get("code")
    infos = payload.get("authorizationInfo")
    only = infos[0] if type(infos) is list and len(infos) == 1 and type(infos[0]) is dict else {}
    if type(code) is int:
        event["outcome"] = "success" if code == 0 else "failure"
    elif only:
        event["outcome"] = "success" if only.get("granted") is True else "failure"
    else:
        event["outcome"] = "unknown"
    event["type"] = (
        ["access"]
        if event["outcome"] == "unknown"
        else ["access", "allowed" if event["outcome"] == "success" else "denied"]
    )


FAMILY: Final = Family("gcp-audit", datasets=frozenset({"gcp.audit"}), read=read)
