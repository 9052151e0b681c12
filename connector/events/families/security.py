"""Windows Security and System event data in ECS, as Elastic's Security pipeline names them.

Source: https://www.elastic.co/docs/reference/beats/winlogbeat/winlogbeat-module-security
"""

from __future__ import annotations

from typing import Final

from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

_SUBJECT: Final[Rules] = (
    rule("SubjectUserName", "user.name"),
    rule("SubjectDomainName", "user.domain"),
    rule("SubjectUserSid", "user.id"),
)
_TARGET: Final[Rules] = (
    rule("TargetUserName", "user.name"),
    rule("TargetDomainName", "user.domain"),
    rule("TargetUserSid", "user.id"),
)
_PROCESS: Final[Rules] = (rule("ProcessName", "process.executable"), rule("ProcessId", "process.pid", "number"))
_FROM: Final[Rules] = (rule("IpAddress", "source.ip", "address"), rule("IpPort", "source.port", "number"))
_LOGON: Final[Rules] = (*_TARGET, *_PROCESS, *_FROM, rule("WorkstationName", "source.domain"))
_OBJECT: Final[Rules] = (*_SUBJECT, *_PROCESS)
_START: Final[Rules] = (
    *_SUBJECT,
    rule("NewProcessName", "process.executable"),
    rule("NewProcessId", "process.pid", "number"),
    rule("CommandLine", "process.command_line"),
    rule("ParentProcessName", "process.parent.executable"),
    rule("ProcessId", "process.parent.pid", "number"),
)
_SERVICE: Final[Rules] = (*_SUBJECT, rule("ServiceName", "service.name"))
_ACCOUNT: Final[Rules] = (
    *_SUBJECT,
    rule("TargetUserName", "user.target.name"),
    rule("TargetDomainName", "user.target.domain"),
    rule("TargetSid", "user.target.id"),
)
_GROUP: Final[Rules] = (
    *_SUBJECT,
    rule("TargetUserName", "group.name"),
    rule("TargetDomainName", "group.domain"),
    rule("TargetSid", "group.id"),
)
_FILTER: Final[Rules] = (
    rule("Application", "process.executable"),
    rule("ProcessID", "process.pid", "number"),
    rule("SourceAddress", "source.ip"),
    rule("SourcePort", "source.port", "number"),
    rule("DestAddress", "destination.ip"),
    rule("DestPort", "destination.port", "decimal"),
    rule("Protocol", "network.iana_number"),
)
_SHARE: Final[Rules] = (*_SUBJECT, *_FROM)

_KINDS: Final[dict[str, Meta]] = {
    "security-1102": Meta("audit-log-cleared", "iam", "admin", _SUBJECT, user_data=True),
    "security-4624": Meta("logged-in", "authentication", "start", _LOGON),
    "security-4625": Meta("logon-failed", "authentication", "start", _LOGON),
    "security-4648": Meta("logged-in-explicit", "authentication", "start", (*_SUBJECT, *_PROCESS, *_FROM)),
    "security-4656": Meta("object-handle-requested", "file", "access", _OBJECT),
    "security-4657": Meta("registry-value-modified", "registry", "change", _OBJECT),
    "security-4663": Meta("object-access-attempted", "file", "access", _OBJECT),
    "security-4672": Meta("logged-in-special", "iam", "admin", _SUBJECT),
    "security-4673": Meta("privileged-service-called", "iam", "admin", _OBJECT),
    "security-4688": Meta("created-process", "process", "start", _START),
    "security-4697": Meta("service-installed", "iam", "admin", _SERVICE),
    "security-4698": Meta("scheduled-task-created", "iam", "admin", _SUBJECT),
    "security-4702": Meta("scheduled-task-updated", "iam", "admin", _SUBJECT),
    "security-4703": Meta("token-right-adjusted", "iam", "change", _OBJECT),
    "security-4720": Meta("added-user-account", "iam", "creation", _ACCOUNT),
    "security-4728": Meta("added-member-to-group", "iam", "change", _GROUP),
    "security-4732": Meta("added-member-to-group", "iam", "change", _GROUP),
    "security-4738": Meta("modified-user-account", "iam", "change", _ACCOUNT),
    "security-4768": Meta("kerberos-authentication-ticket-requested", "authentication", "start", _LOGON),
    "security-4769": Meta("kerberos-service-ticket-requested", "authentication", "start", _LOGON),
    "security-4771": Meta("kerberos-preauth-failed", "authentication", "start", _LOGON),
    "security-4776": Meta("credential-validated", "authentication", "start", _LOGON),
    "security-5140": Meta("network-share-object-accessed", "network", "access", _SHARE),
    "security-5145": Meta("network-share-object-checked", "network", "access", _SHARE),
    "security-5156": Meta("windows-firewall-connection", "network", "connection", _FILTER),
    "system-7045": Meta("service-installed", "configuration", "creation", (rule("ServiceName", "service.name"),)),
}

FAMILY: Final = Family("security", kinds=_KINDS)

WINDOWS: Final = Meta("", "host", "info", (*_SUBJECT, *_PROCESS, *_FROM))
"""What any other Windows event gets."""
