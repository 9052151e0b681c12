"""Cloud audit events that hold a pattern's values, on top of an ordinary event of the same log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

import msgspec

from connector.types import Document

LOG_TYPES: Final[Mapping[tuple[str, str], str]] = {
    ("aws", "cloudtrail"): "AWS.CloudTrail",
    ("azure", "activitylogs"): "Azure.MonitorActivity",
    ("azure", "auditlogs"): "Azure.Audit",
    ("okta", "okta"): "Okta.SystemLog",
    ("github", "audit"): "GitHub.Audit",
    ("gcp", "gcp.audit"): "GCP.AuditLog",
    ("kubernetes", "audit"): "Amazon.EKS.Audit",
}
"""Sigma's product and service → the log's name in panther-analysis, whose harmless events are the ordinary ones."""

_NAMES: Final[Mapping[str, Mapping[str, str]]] = {
    "Azure.Audit": {"properties.message": "operationName", "ActivityDisplayName": "operationName"},
    "Azure.MonitorActivity": {"properties.message": "operationName"},
    "Okta.SystemLog": {"eventtype": "eventType"},
    "GCP.AuditLog": {
        "gcp.audit.method_name": "protoPayload.methodName",
        "gcp.audit.service_name": "protoPayload.serviceName",
    },
}
_CALL = re.compile(
    r"(?m)(?:^|[\s;&|(=`])aws\s+((?:--?[\w-]+[= ]\S+\s+){0,3})([a-z][a-z0-9-]+)\s+([a-z][a-z0-9-]+)([^\n;&|)`]*)"
)
_OPTION = re.compile(r"""--([a-z][a-z0-9-]*)[= ]+("[^"]*"|'[^']*'|[^\s"'-]\S*)""")
_ENTRA: Final = "Azure.Audit"
"""Entra's one log of several categories, which share no layout."""
_READS: Final = ("Get", "List", "Describe", "Head")
_SPELT: Final[Mapping[str, str]] = {"iam": "IAM", "db": "DB", "mfa": "MFA", "saml": "SAML", "ssh": "SSH", "acl": "Acl"}


def overlaid(log: str, values: Mapping[str, str], ordinary: Sequence[Document], draw: Random) -> Document | None:
    """An ordinary event of the log with the values in place of its own, dotted names nested; None where none is known."""
    if log == _ENTRA:
        wanted = values.get("category", "AuditLogs")
        ordinary = [event for event in ordinary if event.get("category") == wanted]
    if not ordinary:
        return None
    found = msgspec.json.decode(msgspec.json.encode(draw.choice(ordinary)))
    for name, value in values.items():
        place = found
        *folders, leaf = _NAMES.get(log, {}).get(name, name).split(".")
        for folder in folders:
            inner = place.get(folder)
            if not isinstance(inner, dict):
                inner = place[folder] = {}
            place = inner
        place[leaf] = value
    return dict(found)


def calls(text: str) -> Iterator[dict[str, Any]]:
    """What CloudTrail names each ``aws SERVICE VERB-NOUN --options`` of a script: source, event and request."""
    for _, service, verb, rest in _CALL.findall(text):
        if service == "s3" or "-" not in verb or verb == "wait":
            continue
        name = "".join(_SPELT.get(part, part.title()) for part in verb.split("-"))
        request = {_camel(option): value.strip("\"'") for option, value in _OPTION.findall(rest)}
        yield {
            "eventSource": f"{service.removesuffix('api')}.amazonaws.com",
            "eventName": name,
            "readOnly": name.startswith(_READS),
            "requestParameters": {key: value for key, value in request.items() if key not in {"region", "profile"}},
        }


def _camel(option: str) -> str:
    first, *rest = option.split("-")
    return first + "".join(part.title() for part in rest)


def cloudtrail(call: Mapping[str, Any], draw: Random) -> Document:
    """A CloudTrail record of one call: who called, from where and how it ended are drawn whatever the call."""
    user = draw.choice(("deploy", "anna.berg", "ci-runner", "backup", "ops", "terraform"))
    account = str(draw.randrange(10**11, 10**12))
    role = draw.random() < 0.4
    kind = "assumed-role/Operator" if role else "user"
    return {
        "eventVersion": "1.08",
        "eventType": "AwsApiCall",
        "eventTime": "2024-03-05T09:12:44Z",
        "awsRegion": draw.choice(("us-east-1", "eu-central-1", "us-west-2")),
        "sourceIPAddress": f"203.0.113.{draw.randrange(1, 250)}",
        "userAgent": draw.choice(("aws-cli/2.15.0 Python/3.11.6", "Boto3/1.34 Python/3.11", "console.amazonaws.com")),
        "userIdentity": {
            "type": "AssumedRole" if role else "IAMUser",
            "accountId": account,
            "arn": f"arn:aws:{'sts' if role else 'iam'}::{account}:{kind}/{user}",
            **({} if role else {"userName": user}),
        },
        "recipientAccountId": account,
        "p_log_type": "AWS.CloudTrail",
        **call,
    }
