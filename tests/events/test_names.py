"""No name of a person, host or account reaches a model, but for the kinds that were trained on before their text was masked.

Marked names are put into every golden event wherever its vendor names somebody, and into records whose free text does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from connector.events import canonical, kind_of, render
from connector.events.normalise import to_ecs
from tests.events import vectors

PERSON, HOST = "alice.walker", "acme-hr-laptop-7"
MAIL = f"{PERSON}@acme.example"
MARKS = (PERSON, "walker", HOST)
WHO = (
    *("user", "username", "user_name", "useridentity", "alternateid", "alternate_id", "email", "mail", "userprincipalname"),
    *("principalemail", "login", "owner", "actor", "src_user", "dest_user", "account", "accountname", "targetusername"),
    *("displayname", "full_name", "subjectusername", "userid", "rolename", "rolearn", "bucketname", "groupname", "upn"),
)  # fmt: skip
WHERE = (
    "host",
    "hostname",
    "computer",
    "computername",
    "machine",
    "workstation",
    "dvc",
    "hostidentifier",
    "nodename",
    "client_name",
)
EARLIER_MASKS = {
    "generic": "",
    "powershell": "400 4103 4104 600 800",
    "security": "1102 4624 4625 4648 4656 4657 4663 4672 4673 4688 4697 4698 4702 4703 4720 4728 4732 4738 4768 4769 4771 4776 5140 5145 5156",
    "sysmon": "1 10 11 12 13 14 15 16 17 18 19 2 20 21 22 23 24 25 255 26 3 5 7 8 9",
    "system": "7045",
    "windows": "",
}
"""Kinds whose text was what a model was trained on before free text was masked: by log, the codes. No kind joins them."""

UNMASKED_KINDS = {
    f"{log}-{code}" if code else log for log, codes in EARLIER_MASKS.items() for code in codes.split() or [""]
}


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, (*path, index))
    elif isinstance(node, str):
        yield path, node


def _mark(path: tuple[Any, ...], value: str) -> str | None:
    names = [str(key).lower().rpartition(".")[2] for key in path if isinstance(key, str)]
    last = names[-1] if names and "modifiedproperties" not in names else ""
    if last in WHERE or (last == "name" and names[-2:-1] == ["host"]):
        return HOST
    if last in WHO or (last == "name" and names[-2:-1] and names[-2] in WHO):
        return MAIL if "@" in value else PERSON
    return None


def _with(node: Any, path: tuple[Any, ...], value: str) -> Any:
    if not path:
        return value
    copy = dict(node) if isinstance(node, dict) else list(node)
    copy[path[0]] = _with(node[path[0]], path[1:], value)
    return copy


def _text(record: Any) -> tuple[str, str]:
    _, document = to_ecs(record)
    kind = kind_of(document)
    return kind, render(canonical(document, kind))


MARKED = [
    pytest.param(_with(record, path, mark), id=f"{name}:{'.'.join(map(str, path))}")
    for name, record in vectors.golden().items()
    for path, value in _leaves(record)
    if (mark := _mark(path, value)) and kind_of(to_ecs(record)[1]) not in UNMASKED_KINDS
]

TOLD: dict[str, Any] = {
    "syslog": f"<30>Jan  2 03:04:05 {HOST} postfix/smtp[7]: to={MAIL}, relay=none, status=deferred",
    "linux-auth": f"<86>Jan  2 03:04:05 {HOST} sshd[7]: Failed password for invalid user {PERSON} from 10.0.0.5 port 22 ssh2",
    "splunk-notable": {"search_name": "Threat - T1078 - Rule", "event_id": "1@@notable@@2", "rule_title": f"T1110.001 of {MAIL}"},
    "elastic-alert": {
        "kibana.alert.rule.name": f"T1003 by {MAIL}",
        "kibana.alert.uuid": "1",
        "event": {"kind": "signal"},
        "process": {"executable": f"C:\\Users\\{PERSON}\\x.exe", "command_line": f"ssh {PERSON}@{HOST}"},
    },
    "zeek": {"ecs": {}, "event": {"dataset": "zeek.smb_files"}, "zeek": {"smb_files": {"path": f"\\\\{HOST}\\{PERSON}$", "name": f"users\\{PERSON}\\x"}}},
    "zeek-smtp": {"ecs": {}, "event": {"dataset": "zeek.smtp"}, "zeek": {"smtp": {"subject": f"Salary of {PERSON}"}}},
    "zeek-notice": {"ecs": {}, "event": {"dataset": "zeek.notice"}, "zeek": {"notice": {"msg": f"T1048 to {MAIL}", "note": "x"}}},
    "suricata": {"ecs": {}, "event": {"dataset": "suricata.eve"}, "suricata": {"eve": {"smb": {"share": f"\\\\{HOST}\\{PERSON}$", "filename": f"Users\\{PERSON}\\x.docx"}}}},
    "tls": {"ecs": {}, "event": {"dataset": "zeek.ssl"}, "tls": {"server": {"subject": f"CN={HOST},OU={PERSON}"}}},
    "osquery": {"ecs": {}, "event": {"dataset": "osquery.result"}, "osquery": {"result": {"columns": {"name": PERSON, "domain": HOST, "key": PERSON, "value": PERSON}}}},
    "kubernetes": {
        "ecs": {},
        "event": {"dataset": "kubernetes.audit_logs"},
        "kubernetes": {"audit": {"verb": "get", "objectRef": {"resource": "nodes", "name": HOST}, "requestURI": f"/api/v1/nodes?fieldSelector=metadata.name%3D{HOST}"}},
    },
    "aws": {
        "ecs": {},
        "event": {"dataset": "aws.cloudtrail", "action": "PutObject"},
        "aws": {
            "cloudtrail": {
                "request_parameters": f"{{ipPermissions={{items=[{{cidrIp=10.0.0.0/8, description=office of {PERSON}}}]}}}}",
                "flattened": {
                    "request_parameters": {
                        "roleName": PERSON, "key": f"{PERSON}/cv.pdf", "role": f"arn:aws:iam::1:role/{PERSON}",
                        "principal": f"arn:aws:iam::1:user/{PERSON}", "policyName": PERSON, "bucketName": HOST,
                        "policyDocument": f'{{"Effect":"Allow","Action":"s3:*","Principal":{{"AWS":"arn:aws:iam::1:user/{PERSON}"}}}}',
                    }
                },
            }
        },
    },
    "gcp": {"ecs": {}, "event": {"dataset": "gcp.audit"}, "gcp": {"audit": {"resource_name": f"projects/-/serviceAccounts/{MAIL}", "request": {"sink": {"destination": f"storage.googleapis.com/{HOST}"}}}}},
    "azure": {
        "ecs": {},
        "event": {"dataset": "azure.signinlogs"},
        "azure": {"signinlogs": {"properties": {"app_display_name": f"{PERSON}'s app", "resource_display_name": HOST}}},
    },
    "entra": {"ecs": {}, "event": {"dataset": "azure.auditlogs"}, "azure": {"auditlogs": {"properties": {"initiated_by": {"app": {"displayName": HOST}}}}}},
    "google": {"ecs": {}, "event": {"dataset": "google_workspace.admin"}, "google_workspace": {"admin": {"setting": {"name": PERSON}}}},
    "saas": {"ecs": {}, "event": {"dataset": "slack.audit", "reason": f"invited {MAIL}"}, "url": {"path": f"/v1/users/{PERSON}/x"}, "error": {"message": f"no {MAIL}"}},
    "waf": {"ecs": {}, "event": {"dataset": "aws.waf"}, "url": {"path": f"/u/{MAIL}", "query": f"mail={PERSON}%40acme.example&x=1"}},
}  # fmt: skip


@pytest.mark.parametrize("record", MARKED)
def test_a_name_in_a_field_of_names_is_not_in_the_models_text(record: Any) -> None:
    kind, text = _text(record)
    assert kind in UNMASKED_KINDS or not [mark for mark in MARKS if mark in text], text


@pytest.mark.parametrize("record", [pytest.param(record, id=name) for name, record in TOLD.items()])
def test_a_name_in_free_text_is_not_in_the_models_text(record: Any) -> None:
    kind, text = _text(record if isinstance(record, str) else json.loads(json.dumps(record)))
    assert kind not in UNMASKED_KINDS
    assert not [mark for mark in MARKS if mark in text], text
    assert not [word for word in ("t1078", "t1110", "t1003", "t1048") if word in text], text


def test_the_golden_events_name_people_and_hosts_in_many_kinds() -> None:
    assert len({str(parameter.id).partition(":")[0] for parameter in MARKED}) > 60
