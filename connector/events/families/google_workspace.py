"""Google Workspace's activity reports in ECS, as Elastic's integration writes them (datasets ``google_workspace.*``).

An activity comes as the Reports API gives it (``events`` with a list of named parameters), one event of it alone, or with
the parameters as an object (Panther).

Sources: https://developers.google.com/workspace/admin/reports/v1/reference/activities,
https://www.elastic.co/docs/reference/integrations/google_workspace
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.masks import lower
from connector.events.paths import address, inner, put, said, scalars
from connector.types import Document, Json

_APPLICATIONS: Final[Mapping[str, str]] = {
    "groups_enterprise": "group_enterprise",
    "mobile": "device",
    "gemini_in_workspace_apps": "gemini",
    **{
        name: name
        for name in (
            *("access_transparency", "admin", "calendar", "chat", "chrome", "context_aware_access", "data_studio"),
            *("drive", "gcp", "gmail", "groups", "jamboard", "keep", "login", "meet", "rules", "saml", "token"),
            *("user_accounts", "vault", "gplus", "classroom"),
        )
    },
}
_OTHER: Final = "activity"
_DECLARED: Final = ("gsuite.activityevent", "gws.reports.", "gsuite.reports", "gapps.report.")
_KIND: Final = "admin#reports#activity"

_MOST: Final = 64
_VALUES: Final = ("value", "multiValue", "boolValue", "intValue", "multiIntValue")
_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "admin": {
        "application_edition": "application.edition",
        "application_name": "application.name",
        "setting_name": "setting.name",
        "role_name": "role.name",
        "role_id": "role.id",
        "privilege_name": "privilege.name",
        "org_unit_name": "org_unit.name",
        "user_email": "user.email",
        "group_email": "group.email",
        "domain_name": "domain.name",
    },
    "drive": {
        "doc_id": "file.id",
        "doc_type": "file.type",
        "owner": "file.owner.email",
        "owner_is_shared_drive": "file.owner.is_shared_drive",
        "new_settings_state": "new_value",
        "old_settings_state": "old_value",
        "target_user": "target",
    },
    "login": {
        "login_type": "type",
        "login_challenge_method": "challenge_method",
        "login_challenge_status": "challenge_status",
        "login_failure_type": "failure_type",
        "login_timestamp": "timestamp",
    },
    "token": {"client_id": "client.id", "client_type": "client.type", "scope": "scope.value"},
    "rules": {"rule_name": "name", "rule_type": "type", "rule_id": "id"},
}
_TARGETS: Final = ("user_email", "affected_email_address", "target_user", "target", "member_id", "email")
_OUTCOMES: Final[Mapping[str, str]] = {"login_failure": "failure", "login_success": "success"}
_CATEGORIES: Final[Mapping[str, tuple[str, ...]]] = {
    "admin": ("iam",),
    "drive": ("file",),
    "gmail": ("email",),
    "groups": ("iam",),
    "group_enterprise": ("iam",),
    "login": ("authentication",),
    "saml": ("authentication", "session"),
    "token": ("iam",),
    "user_accounts": ("iam",),
}


def read(record: Document) -> Node | None:
    """One activity as an ECS document."""
    identity = inner(record, "id")
    name = identity.get("applicationName", identity.get("applicationname"))
    if type(name) is not str or not _is_activity(record):
        return None
    application = _APPLICATIONS.get(lower(name), _OTHER)
    event = inner(record, "events") or record
    document: Node = {"event": {"kind": "event", "dataset": f"google_workspace.{application}", "provider": name}}
    if application in _CATEGORIES:
        document["event"]["category"] = list(_CATEGORIES[application])
    put(document, "@timestamp", scalars(identity.get("time")))
    action = event.get("name")
    put(document, "event.action", action if said(action) else None)
    put(document, "event.outcome", _OUTCOMES.get(action) if type(action) is str else None)
    put(document, "google_workspace.event.type", scalars(event.get("type")))
    put(document, "google_workspace.kind", scalars(record.get("kind")))
    put(document, "source.ip", address(record.get("ipAddress", record.get("ipaddress"))))
    _add_actor(document, inner(record, "actor"))
    _add_parameters(document, application, _parameters(event.get("parameters")))
    return document


def _is_activity(record: Document) -> bool:
    return (
        record.get("kind") == _KIND
        or declared(record).startswith(_DECLARED)
        or ("actor" in record and ("events" in record or "parameters" in record))
    )


def _add_actor(document: Node, actor: Document) -> None:
    put(document, "google_workspace.actor.type", scalars(actor.get("callerType", actor.get("callertype"))))
    put(document, "google_workspace.actor.key", scalars(actor.get("key")))
    email = actor.get("email")
    if type(email) is str and email:
        for folder in ("user", "source.user"):
            put(document, f"{folder}.email", email)
            _put_account(document, folder, email)
    put(document, "user.id", scalars(actor.get("profileId", actor.get("profileid"))))


def _put_account(document: Node, folder: str, email: str) -> None:
    name, at, domain = email.partition("@")
    put(document, f"{folder}.name", name if at else None)
    put(document, f"{folder}.domain", domain or None)


def _parameters(value: Json) -> dict[str, Json]:
    """Parameters by name in lower case; the API lists them, each with its value under a name of its type."""
    if type(value) is dict:
        return {lower(name): inner_value for name, inner_value in list(value.items())[:_MOST]}
    found: dict[str, Json] = {}
    for item in value[:_MOST] if type(value) is list else ():
        name = item.get("name") if type(item) is dict else None
        if type(name) is str:
            given = next((item[key] for key in _VALUES if item.get(key) is not None), None)
            message = item.get("messageValue")
            nested = message.get("parameter") if type(message) is dict else None
            found[lower(name)] = _parameters(nested) if given is None and nested is not None else given
    return found


def _add_parameters(document: Node, application: str, parameters: Mapping[str, Json]) -> None:
    """Parameters under the application's folder, those that ECS knows under its names."""
    renamed = _RENAMED.get(application, {})
    for name, value in parameters.items():
        kept = scalars(value) if type(value) is not dict else value
        put(document, f"google_workspace.{application}.{renamed.get(name, name)}", kept)
    for name in _TARGETS:
        email = scalars(parameters.get(name))
        if type(email) is str and "@" in email:
            _put_account(document, "user.target", email)
            break
    put(document, "file.name", scalars(parameters.get("doc_title")))
    put(document, "rule.name", scalars(parameters.get("rule_name")))
    put(document, "user_agent.original", scalars(parameters.get("user_agent")))
    if type(message := parameters.get("message_info")) is dict:
        put(document, "email.subject", scalars(message.get("subject")))
    status = parameters.get("login_challenge_status")
    if said(status) and "outcome" not in document["event"]:
        document["event"]["outcome"] = "success" if status == "Challenge Passed" else "failure"


FAMILY: Final = Family(
    "google_workspace",
    datasets=frozenset(f"google_workspace.{name}" for name in (*_APPLICATIONS.values(), _OTHER, "alert")),
    read=read,
)
