"""Certificate Services' audit events in ECS: requests, issues, templates and the authority's own settings.

Source: https://learn.microsoft.com/windows-server/identity/ad-cs/audit-events
"""

from __future__ import annotations

from typing import Final

from connector.events.family import Family, Log
from connector.events.fields import Meta, Rules, rule

_SUBJECT: Final[Rules] = (
    rule("SubjectUserName", "user.name"),
    rule("SubjectDomainName", "user.domain"),
    rule("SubjectUserSid", "user.id"),
)
_REQUEST: Final[Rules] = (rule("Requester", "user", "account"), rule("Subject", "x509.subject.distinguished_name"))

_KINDS: Final[dict[str, Meta]] = {
    "security-4876": Meta("certificate-services-backup-started", "iam", "info", _SUBJECT),
    "security-4882": Meta("certificate-services-permissions-changed", "iam", "change", _SUBJECT),
    "security-4885": Meta("certificate-services-audit-filter-changed", "configuration", "change", _SUBJECT),
    "security-4886": Meta("certificate-requested", "iam", "info", _REQUEST),
    "security-4887": Meta("certificate-issued", "iam", "creation", _REQUEST),
    "security-4888": Meta("certificate-request-denied", "iam", "info", _REQUEST),
    "security-4891": Meta("certificate-services-configuration-changed", "configuration", "change", _SUBJECT),
    "security-4892": Meta("certificate-services-property-changed", "configuration", "change", _SUBJECT),
    "security-4898": Meta("certificate-template-loaded", "configuration", "access", ()),
    "security-4899": Meta("certificate-template-changed", "configuration", "change", ()),
    "security-4900": Meta("certificate-template-security-changed", "configuration", "change", ()),
}
_EVENTS: Final[dict[str, Meta]] = {
    "4889": Meta("certificate-request-pending", "iam", "info", ()),
    "4890": Meta("certificate-manager-settings-changed", "configuration", "change", _SUBJECT),
    "4893": Meta("key-archived", "iam", "info", ()),
    "4894": Meta("key-imported-and-archived", "iam", "creation", ()),
    "4895": Meta("authority-certificate-published", "iam", "change", ()),
    "4896": Meta("certificate-database-rows-deleted", "iam", "deletion", _SUBJECT),
    "4897": Meta("role-separation-enabled", "configuration", "change", ()),
}

FAMILY: Final = Family(
    "certificate-services",
    kinds=_KINDS,
    logs=(Log(frozenset({"microsoft-windows-security-auditing"}), frozenset({"security"}), _EVENTS),),
)
