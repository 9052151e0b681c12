"""GitHub's audit log in ECS, as Elastic's integration writes it (dataset ``github.audit``), and its webhook events.

Sources: https://docs.github.com/en/organizations/keeping-your-organization-secure/managing-security-settings-for-your-organization/audit-log-events-for-your-organization,
https://docs.github.com/en/webhooks/webhook-events-and-payloads, https://www.elastic.co/docs/reference/integrations/github
"""

from __future__ import annotations

from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.paths import address, copier, first, moment, put
from connector.types import Document

_AUDIT: Final = "github.audit"
_DECLARED: Final = frozenset(
    {"github.audit", "github.enterprise.audit", "github.cloud.audit", "github.organization.audit"}
)
_FIELDS: Final = {
    "event.action": ("action",),
    "event.id": ("_document_id",),
    "user.name": ("actor",),
    "user.target.name": ("user",),
    "user_agent.original": ("user_agent",),
    "client.geo.country_iso_code": ("actor_location.country_code",),
    "github.org": ("org",),
    "github.repo": ("repo", "repository"),
    "github.team": ("team", "data.team"),
    "github.permission": ("permission",),
    "github.repository_public": ("repository_public", "public_repo"),
    "github.repository_selection": ("repository_selection",),
    "github.programmatic_access_type": ("programmatic_access_type",),
    "github.integration": ("integration",),
    "github.user_agent": ("user_agent",),
    "github.visibility": ("visibility",),
    "github.operation_type": ("operation_type",),
    "github.ruleset_enforcement": ("ruleset_enforcement",),
}
_copy: Final = copier(_FIELDS)
_time: Final = first(("@timestamp", "at_sign_timestamp", "created_at"))
_IP: Final = first(["actor_ip"])
_IAM: Final = frozenset({"team", "org"})


def read(record: Document) -> Node | None:
    """An entry of the audit log as an ECS document."""
    action = record.get("action")
    if type(action) is not str or not action or not _is_audit(record, action):
        return None
    document: Node = {"event": {"kind": "event", "dataset": _AUDIT}}
    put(document, "@timestamp", moment(_time(record)))
    _copy(record, document)
    ip = address(_IP(record))
    put(document, "github.actor_ip", ip)
    put(document, "source.ip", ip)
    category, _, rest = action.partition(".")
    put(document, "github.category", category if rest else None)
    document["event"]["category"] = ["configuration", "web", *(("iam",) if category in _IAM else ())]
    document["event"]["type"] = _types(category, rest)
    return document


def _is_audit(record: Document, action: str) -> bool:
    if declared(record) in _DECLARED:
        return True
    return "_document_id" in record and "actor" in record and "." in action


def _types(category: str, rest: str) -> list[str]:
    types = ["group", "user"] if category in _IAM else []
    if "create" in rest or "add" in rest:
        types.append("creation")
    if "delete" in rest or "remove" in rest:
        types.append("deletion")
    return types or ["change"]


FAMILY: Final = Family("github", datasets=frozenset({_AUDIT}), read=read)
