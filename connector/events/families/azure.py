"""Azure Monitor: the activity log (``azure.activitylogs``) and resource logs such as storage's (``azure.platformlogs``).

Source: https://learn.microsoft.com/en-us/azure/azure-monitor/essentials/activity-log-schema,
https://learn.microsoft.com/en-us/azure/azure-monitor/essentials/resource-logs-schema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connector.events.canonical import text_of
from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, pruned, timed
from connector.events.paths import address, inner, path, put
from connector.types import Document

_DECLARED: Final = frozenset(
    {"azure.monitoractivity", "mscs.azure.audit", "azure.monitor.activity", "azure.activitylogs"}
)
_ACTIVITY: Final = frozenset(
    {
        *(
            "administrative",
            "security",
            "servicehealth",
            "alert",
            "recommendation",
            "policy",
            "autoscale",
            "resourcehealth",
        ),
        *("write", "delete", "action"),
    }
)
_FAILED: Final = ("fail", "error", "denied", "unauthorized", "forbidden", "4", "5")
_DONE: Final = ("succe", "success", "ok", "0", "2", "accept", "start")

_RECORD: Final[Mapping[str, str | tuple[str, ...]]] = {
    "operation_name": ("operationName", "operationName.value", "authorization.action"),
    "category": ("category", "category.value"),
    "result_type": ("resultType", "status.value", "status"),
    "result_signature": ("resultSignature", "subStatus.value"),
    "result_description": "resultDescription",
    "identity.type": "identity.type",
    "identity.authorization.action": ("identity.authorization.action", "authorization.action"),
    "identity.authorization.evidence.role": ("identity.authorization.evidence.role", "authorization.role"),
    "identity.authorization.evidence.principal_type": (
        "identity.authorization.evidence.principalType",
        "authorization.evidence.principalType",
    ),
    "identity.claims.appidacr": ("identity.claims.appidacr", "claims.appidacr"),
    "status_code": "statusCode",
    "status_text": "statusText",
}
_TABLES: Final = {
    dataset: lifts(
        {
            "@timestamp": ("time", "eventTimestamp"),
            "event.action": _RECORD["operation_name"],
            "log.level": "level",
            "url.original": "uri",
            "user_agent.original": "properties.userAgentHeader",
            "user.name": ("caller", "properties.caller"),
            "azure.resource.id": "resourceId",
            "azure.tenant_id": "tenantId",
            "azure.correlation_id": "correlationId",
            **{f"{dataset}.{leaf}": paths for leaf, paths in _RECORD.items()},
        }
    )
    for dataset in ("azure.activitylogs", "azure.platformlogs")
}
_CALLER: Final = path("callerIpAddress")
_CATEGORY: Final = path("category")
_RESULT: Final = (path("resultType"), path("statusCode"), path("properties.metricResponseType"))


def read(record: Document) -> Node | None:
    """A record of Azure Monitor in ECS. Sign-ins, directory audit and Kubernetes audit are other families'."""
    by_shape = ("operationName" in record or "operationname" in record) and (
        "resourceId" in record or "resourceid" in record
    )
    if not by_shape and declared(record) not in _DECLARED:
        return None
    category = text_of(_CATEGORY(record)).lower()
    dataset = "azure.platformlogs" if category and category not in _ACTIVITY else "azure.activitylogs"
    document: Node = {
        "cloud": {"provider": "azure"},
        "event": {"kind": "event", "dataset": dataset, "category": ["configuration"], "type": ["info"]},
    }
    lift(document, record, _TABLES[dataset])
    properties = pruned(inner(record, "properties"))
    put(document, f"{dataset}.properties", properties)
    source = address(_CALLER(record))
    if is_address(source):
        put(document, "source.ip", source)
    put(document, "event.outcome", _outcome(record))
    return timed(document)


def _outcome(record: Document) -> str | None:
    for get in _RESULT:
        told = text_of(get(record)).lower()
        if told.startswith(_DONE):
            return "success"
        if told.startswith(_FAILED) or "error" in told:
            return "failure"
    return None


FAMILY: Final = Family("azure", datasets=frozenset({"azure.activitylogs", "azure.platformlogs"}), read=read)
