"""The families of events that have a normaliser of their own. One file a family, one line here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connector.events.canonical import text_of
from connector.events.families import (
    app_locker,
    auditd,
    aws_findings,
    aws_network,
    aws_resource,
    aws_web,
    azure,
    bits,
    certificate_services,
    cim,
    cloudtrail,
    code_integrity,
    crowdstrike,
    defender,
    detection_alerts,
    dns_server,
    entra,
    gcp_audit,
    github,
    github_webhook,
    google_workspace,
    kubernetes,
    linux_auth,
    m365,
    macos,
    mssql,
    okta,
    osquery,
    powershell,
    print_service,
    remote_desktop,
    saas,
    security,
    smb,
    suricata,
    syslog,
    sysmon,
    task_scheduler,
    windows_firewall,
    windows_logs,
    wmi_activity,
    zeek,
)
from connector.events.family import Family, Node
from connector.events.fields import Meta
from connector.events.masks import lower
from connector.types import Document, Json

FAMILIES: Final[tuple[Family, ...]] = (
    sysmon.FAMILY,
    security.FAMILY,
    powershell.FAMILY,
    *windows_logs.FAMILIES,
    macos.FAMILY,
    app_locker.FAMILY,
    bits.FAMILY,
    certificate_services.FAMILY,
    code_integrity.FAMILY,
    defender.FAMILY,
    dns_server.FAMILY,
    mssql.FAMILY,
    print_service.FAMILY,
    remote_desktop.FAMILY,
    smb.FAMILY,
    task_scheduler.FAMILY,
    windows_firewall.FAMILY,
    wmi_activity.FAMILY,
    cloudtrail.FAMILY,
    aws_resource.FAMILY,
    aws_findings.FAMILY,
    aws_web.FAMILY,
    aws_network.FAMILY,
    m365.FAMILY,
    gcp_audit.FAMILY,
    kubernetes.FAMILY,
    entra.FAMILY,
    azure.FAMILY,
    okta.FAMILY,
    google_workspace.FAMILY,
    github.FAMILY,
    github_webhook.FAMILY,
    crowdstrike.FAMILY,
    osquery.FAMILY,
    saas.FAMILY,
    auditd.FAMILY,
    zeek.FAMILY,
    suricata.FAMILY,
    detection_alerts.FAMILY,
    linux_auth.FAMILY,
    syslog.FAMILY,
    cim.FAMILY,
    syslog.REST,
)
"""In the order in which they are asked whether a foreign record is theirs."""

KINDS: Final[Mapping[str, Meta]] = {kind: meta for family in FAMILIES for kind, meta in family.kinds.items()}
"""The ECS fields of each canonical kind in Windows' shape."""

METAS: Final[tuple[Meta, ...]] = (
    *KINDS.values(),
    *(meta for family in FAMILIES for log in family.logs for meta in log.events.values()),
    security.WINDOWS,
)
"""All field rules that are applied to documents in Windows' shape."""

_FAMILY_OF_KIND: Final = {kind: family.name for family in FAMILIES for kind in family.kinds}
_FAMILY_OF_DATASET: Final = {dataset: family.name for family in FAMILIES for dataset in family.datasets}
_LOG_EVENTS: Final[Mapping[tuple[str, str], tuple[str, Meta]]] = {
    (origin, code): (family.name, meta)
    for family in FAMILIES
    for log in family.logs
    for origin in (*(f"provider:{name}" for name in log.providers), *(f"channel:{name}" for name in log.channels))
    for code, meta in log.events.items()
}
_KEYED: Final = tuple((key, family.read) for family in FAMILIES for key in family.keys if family.read is not None)
_READERS: Final = tuple(family.read for family in FAMILIES if family.read is not None)
_TEXT_READERS: Final = tuple(family.read_text for family in FAMILIES if family.read_text is not None)


def read_keyed(record: Document) -> Node | None:
    """A document in ECS that a family's key tells to be its to read; None where none does."""
    for key, reader in _KEYED:
        if key in record:
            document = reader(record)
            if document is not None:
                return document
    return None


def read(record: Document) -> Node | None:
    """A record in a vendor's own schema as an ECS document; None where no family knows it."""
    for reader in _READERS:
        document = reader(record)
        if document is not None:
            return document
    return None


def read_text(text: str) -> Node | None:
    """A record that is text as an ECS document; None where no family knows it."""
    for reader in _TEXT_READERS:
        document = reader(text)
        if document is not None:
            return document
    return None


def log_event(document: Document) -> tuple[str, Meta] | None:
    """The family and the ECS fields of a Windows event that has no kind of its own.

    What follows ``$`` in a provider's name is an instance of it, as in SQL Server's ``MSSQL$<instance>``.
    """
    winlog, event = document.get("winlog"), document.get("event")
    if type(winlog) is not dict:
        return None
    provider, channel = winlog.get("provider_name"), winlog.get("channel")
    code = text_of(event.get("code") if type(event) is dict and event.get("code") else winlog.get("event_id"))
    if type(provider) is str:
        return _LOG_EVENTS.get((f"provider:{lower(provider).partition('$')[0]}", code))
    return _LOG_EVENTS.get((f"channel:{lower(channel)}", code)) if type(channel) is str else None


def family_of(kind: str, ecs: Document) -> str | None:
    """The family whose normaliser an event in ECS went through; None for a generic one."""
    if kind in _FAMILY_OF_KIND:
        return _FAMILY_OF_KIND[kind]
    if found := log_event(ecs):
        return found[0]
    return _FAMILY_OF_DATASET.get(lower(dataset)) if type(dataset := _dataset(ecs)) is str else None


def _dataset(ecs: Document) -> Json:
    for folder in ("event", "data_stream"):
        node = ecs.get(folder)
        if type(node) is dict and node.get("dataset"):
            return node["dataset"]
    return ecs.get("event.dataset") or ecs.get("data_stream.dataset")
