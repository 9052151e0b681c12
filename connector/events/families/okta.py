"""Okta's system log in ECS, as Elastic's integration writes it (dataset ``okta.system``).

Sources: https://developer.okta.com/docs/reference/api/system-log/,
https://www.elastic.co/docs/reference/integrations/okta
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connector.events.canonical import text_of
from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.masks import lower
from connector.events.paths import address, copier, first, inner, moment, put, scalars
from connector.types import Document, Json

_DATASET: Final = "okta.system"
_DECLARED: Final = frozenset({"okta.systemlog", "oktaim2.log", "okta.im", _DATASET})

_FIELDS: Final = {
    "event.action": ("eventType",),
    "event.id": ("uuid",),
    "user.full_name": ("actor.displayName",),
    "user_agent.original": ("client.userAgent.rawUserAgent",),
    "okta.event_type": ("eventType",),
    "okta.display_message": ("displayMessage",),
    "okta.severity": ("severity",),
    "okta.actor.id": ("actor.id",),
    "okta.actor.type": ("actor.type",),
    "okta.actor.alternate_id": ("actor.alternateId",),
    "okta.actor.display_name": ("actor.displayName",),
    "okta.client.device": ("client.device",),
    "okta.outcome.result": ("outcome.result",),
    "okta.outcome.reason": ("outcome.reason",),
    "okta.transaction.type": ("transaction.type",),
    "okta.authentication_context.authentication_provider": (
        "authenticationContext.authenticationProvider",
        "authenticationContext.interface",
    ),
    "okta.authentication_context.credential_provider": ("authenticationContext.credentialProvider",),
    "okta.authentication_context.credential_type": ("authenticationContext.credentialType",),
    "okta.security_context.is_proxy": ("securityContext.isProxy",),
    "okta.security_context.as.organization.name": ("securityContext.asOrg",),
    "okta.debug_context.debug_data.request_uri": ("debugContext.debugData.requestUri",),
    "okta.debug_context.debug_data.threat_suspected": ("debugContext.debugData.threatSuspected",),
    "okta.debug_context.debug_data.factor": ("debugContext.debugData.factor",),
    "client.geo.country_name": ("client.geographicalContext.country",),
}
_copy: Final = copier(_FIELDS)
_time: Final = first(("published", "p_event_time"))
_ACTOR: Final = first(["actor.alternateId"])
_RESULT: Final = first(["outcome.result"])
_IP: Final = first(["client.ipAddress", "request.ipChain.ip"])
_RISK_LEVEL: Final = first(["debugContext.debugData.logOnlySecurityData.risk.level"])
_RISK_REASONS: Final = first(["debugContext.debugData.logOnlySecurityData.risk.reasons"])
_LONGEST: Final = 4096
_OUTCOMES: Final = {"success": "success", "allow": "success", "failure": "failure", "deny": "failure"}
_CATEGORIES: Final = (
    ("user.session.", ("authentication", "session")),
    ("user.authentication.", ("authentication",)),
    ("policy.evaluate_sign_on", ("authentication",)),
    ("user.", ("iam",)),
    ("group.", ("iam",)),
    ("application.user_membership.", ("iam",)),
    ("application.lifecycle.", ("configuration",)),
    ("policy.", ("configuration",)),
    ("zone.", ("configuration",)),
    ("system.", ("configuration",)),
    ("security.", ("network",)),
)


def read(record: Document) -> Node | None:
    """A system log event as an ECS document."""
    kind = record.get("eventType", record.get("eventtype"))
    if type(kind) is not str or not _is_okta(record):
        return None
    document: Node = {"event": {"kind": "event", "dataset": _DATASET}}
    put(document, "@timestamp", moment(_time(record)))
    _copy(record, document)
    document["event"]["outcome"] = _OUTCOMES.get(lower(text_of(_RESULT(record))), "unknown")
    document["event"]["category"] = list(next((names for start, names in _CATEGORIES if kind.startswith(start)), ()))
    ip = address(_IP(record))
    for where in ("source.ip", "client.ip", "okta.client.ip"):
        put(document, where, ip)
    _add_people(document, record, kind)
    _add_risk(document, record)
    return document


def _is_okta(record: Document) -> bool:
    if declared(record) in _DECLARED:
        return True
    return ("outcome" in record or "outcome.result" in record) and (
        "displayMessage" in record or "legacyEventType" in record
    )


def _add_people(document: Node, record: Document, kind: str) -> None:
    """Who acted, and the first target that is a user or a group; the integration knows both by the event's name."""
    actor = _ACTOR(record)
    if type(actor) is str and actor:
        put(document, "user.name", actor.partition("@")[0])
        put(document, "user.email", actor if "@" in actor else None)
    targets = record.get("target")
    objects = [item for item in targets[:16] if type(item) is dict] if type(targets) is list else []
    put(document, "okta.target", [_target(item) for item in objects] or None)
    for word, folder in (("user", "user.target"), ("group", "user.target.group")):
        found = next((item for item in objects if word in lower(str(item.get("type")))), None)
        if found is not None and f"{word}." in kind:
            put(document, f"{folder}.{'full_name' if word == 'user' else 'name'}", scalars(found.get("displayName")))
            put(document, f"{folder}.id", scalars(found.get("id")))


def _target(item: Document) -> Node:
    return {
        "id": item.get("id"),
        "type": item.get("type"),
        "alternate_id": item.get("alternateId"),
        "display_name": item.get("displayName"),
    }


def _add_risk(document: Node, record: Document) -> None:
    """Okta's judgement: ``risk`` and ``behaviors`` are JSON in newer events and ``{name=value, …}`` in older ones."""
    debug = inner(inner(record, "debugContext"), "debugData")
    risk = _pairs(debug.get("risk"))
    level = _RISK_LEVEL(record) or risk.get("level")
    reasons = _RISK_REASONS(record) or risk.get("reasons")
    behaviors = [name for name, value in _pairs(debug.get("behaviors")).items() if value == "POSITIVE"]
    folder = "okta.debug_context.debug_data"
    put(document, f"{folder}.risk_level", level)
    put(document, f"{folder}.risk_reasons", _split(reasons))
    put(document, f"{folder}.risk_behaviors", behaviors or None)
    put(document, f"{folder}.flattened", dict(debug) or None)


def _pairs(value: Json) -> Mapping[str, str]:
    """``{name=value, …}``; a value may itself hold commas, so a part without a name goes on with the one before it."""
    if type(value) is dict:
        return {str(name): text_of(held) for name, held in value.items()}
    pairs: dict[str, str] = {}
    name = ""
    text = value[:_LONGEST].strip(" {}") if type(value) is str else ""
    for part in text.split(", "):
        before, equals, after = part.partition("=")
        if equals:
            name, pairs[before] = before, after
        elif name:
            pairs[name] += f", {part}"
    return pairs


def _split(reasons: Json) -> Json:
    if type(reasons) is not str:
        return reasons
    return [part.strip() for part in reasons.split(",")[:16] if part.strip()]


FAMILY: Final = Family("okta", datasets=frozenset({_DATASET}), read=read)
