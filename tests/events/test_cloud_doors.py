"""Cloud platforms: the same event by each door is one canonical form, and what an attacker may put where a name is awaited."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connector.events import canonical, families
from connector.events.declared import declared
from connector.events.families import (
    aws_findings,
    aws_network,
    aws_resource,
    aws_web,
    azure,
    cloudtrail,
    entra,
    gcp_audit,
    kubernetes,
    m365,
)
from connector.events.masks import lower
from connector.events.normalise import to_ecs
from tests.events import vectors

RAW = vectors.golden()

TYPES = {
    "aws-cloudtrail": ("AWS.CloudTrail", "aws:cloudtrail"),
    "kubernetes-audit": ("Amazon.EKS.Audit", "kube:audit"),
    "kubernetes-audit-exec": ("Amazon.EKS.Audit", "kube:audit"),
    "azure-signin": ("Azure.Audit", "azure:monitor:aad"),
    "azure-audit": ("Azure.Audit", "azure:monitor:aad"),
    "azure-activity": ("Azure.MonitorActivity", "mscs:azure:audit"),
    "m365-audit": ("Microsoft365.Audit.Exchange", "o365:management:activity"),
    "gcp-audit": ("GCP.AuditLog", "google:gcp:pubsub:message"),
    "aws-dns": ("AWS.VPCDns", "aws:route53"),
    "aws-waf": ("AWS.WAFWebACL", "aws:waf"),
    "aws-securityhub": ("AWS.SecurityFindingFormat", "aws:securityhub:finding"),
}
"""What Panther and Splunk call the type of each golden event."""

AGENT = {
    "aws-cloudtrail-agent": "aws-cloudtrail",
    "kubernetes-audit-agent": "kubernetes-audit-exec",
    "azure-signin-agent": "azure-signin",
    "m365-audit-agent": "m365-audit",
    "gcp-audit-agent": "gcp-audit",
}
"""Elastic Agent's document, and the vendor's record of the same event."""


READERS = [
    family.read
    for family in (
        *(aws_findings.FAMILY, aws_network.FAMILY, aws_resource.FAMILY, aws_web.FAMILY, azure.FAMILY),
        *(cloudtrail.FAMILY, entra.FAMILY, gcp_audit.FAMILY, kubernetes.FAMILY, m365.FAMILY),
    )
    if family.read is not None
]


def _panther(raw: dict[str, Any], panther: str, _: str) -> Any:
    return {
        **raw,
        "p_log_type": panther,
        "p_event_time": "2024-03-05 10:11:12.000",
        "p_any_ip_addresses": ["203.0.113.9"],
    }


def _panther_folded(raw: dict[str, Any], panther: str, _: str) -> Any:
    return {**{lower(name): value for name, value in raw.items()}, "p_log_type": panther}


def _splunk_raw(raw: dict[str, Any], _: str, splunk: str) -> Any:
    fields = {
        "_raw": json.dumps(raw),
        "_time": "1709633472.0",
        "sourcetype": splunk,
        "host": "collector",
        "action": "success",
    }
    return {"preview": False, "offset": 0, "result": fields}


def _splunk_collector(raw: dict[str, Any], _: str, splunk: str) -> Any:
    return {"time": 1709633472, "host": "collector", "sourcetype": splunk, "event": raw}


def _bytes(raw: dict[str, Any], _: str, __: str) -> Any:
    return json.dumps(raw).encode()


DOORS: tuple[Callable[[dict[str, Any], str, str], Any], ...] = (
    _panther,
    _panther_folded,
    _splunk_raw,
    _splunk_collector,
    _bytes,
)
FOLDS = {"aws-cloudtrail", "azure-signin", "azure-audit", "azure-activity", "m365-audit", "gcp-audit"}
"""What Panther's older tables hold in lower case."""


def _form(raw: Any) -> Any:
    return canonical(*reversed(to_ecs(raw)))


@pytest.mark.parametrize(
    ("name", "door"), [(name, door) for name in TYPES for door in DOORS if door is not _panther_folded or name in FOLDS]
)
def test_a_record_has_one_canonical_form_through_every_carrier(name: str, door: Callable[..., Any]) -> None:
    assert _form(door(RAW[name], *TYPES[name])) == _form(RAW[name])


@pytest.mark.parametrize("name", AGENT)
def test_elastic_agent_and_the_vendor_give_one_canonical_form(name: str) -> None:
    assert _form(RAW[name]) == _form(RAW[AGENT[name]])


def test_a_directory_s_new_value_that_names_a_person_reaches_no_model() -> None:
    record = json.loads(json.dumps(RAW["azure-audit"]))
    target = record["properties"]["targetResources"][0]
    target["modifiedProperties"] = [
        {
            "displayName": "UserPrincipalName",
            "oldValue": '["bob@corp.example"]',
            "newValue": '["mallory@corp.example"]',
        },
        {"displayName": "AccountEnabled", "oldValue": "[false]", "newValue": "[true]"},
    ]
    form = _form(record)
    assert ("entra.property", "userprincipalname") in form
    assert ("entra.new_2", "true") in form
    assert not [value for _, value in form if "bob" in value or "mallory" in value or "corp.example" in value]


@pytest.mark.parametrize(
    ("uri", "endpoint"), [("/api/v1/namespaces/team-mallory/secrets", None), ("/version?timeout=32s", "/version")]
)
def test_a_site_s_namespace_reaches_no_model_in_a_request_s_address(uri: str, endpoint: str | None) -> None:
    form = _form({**RAW["kubernetes-audit"], "requestURI": uri})
    assert dict(form).get("k8s.endpoint") == endpoint
    assert not [value for _, value in form if "mallory" in value]


@pytest.mark.parametrize(
    "name", [name for name in RAW if name.split("-")[0] in {"aws", "azure", "gcp", "m365", "kubernetes"}]
)
def test_normalising_a_cloud_event_again_changes_nothing(name: str) -> None:
    kind, ecs = to_ecs(RAW[name])
    assert to_ecs(ecs) == (kind, ecs)
    assert families.family_of(kind, ecs) is not None


@pytest.mark.parametrize(
    ("name", "field", "wanted"),
    [
        ("aws-cloudtrail", "aws.cidr", "<any>"),
        ("aws-cloudtrail", "aws.from_port", "22"),
        ("aws-cloudtrail-key", "aws.acts_on_itself", "false"),
        ("aws-cloudtrail-table", "aws.anonymous", "anonymous"),
        ("aws-cloudtrail-login", "aws.login", "failure"),
        ("kubernetes-audit", "k8s.privileged", "true"),
        ("kubernetes-audit", "k8s.host_paths", "/"),
        ("kubernetes-audit-aks", "k8s.account_group", "masters"),
        ("kubernetes-audit-exec", "k8s.subresource", "exec"),
        (
            "kubernetes-audit-exec",
            "k8s.query",
            "sh&command=-c&command=id&container=metrics&stdin=true&tty=true",
        ),
        ("gcp-audit-policy", "gcp.policy_delta", "add roles/owner to user"),
        ("m365-audit", "m365.forward_domain", "evil.example"),
        ("azure-audit", "entra.new", "global administrator"),
        ("aws-vpcflow", "network.transport", "tcp"),
        ("aws-s3access", "s3.status", "200"),
        ("aws-waf", "waf.matched", "sqli_queryarguments"),
    ],
)
def test_the_telling_leaf_of_a_cloud_event_reaches_the_model(name: str, field: str, wanted: str) -> None:
    assert (field, wanted) in _form(RAW[name])


@pytest.mark.parametrize(
    "name", [name for name in RAW if name.split("-")[0] in {"aws", "azure", "gcp", "m365", "kubernetes"}]
)
def test_no_person_account_or_address_of_a_cloud_event_reaches_the_model(name: str) -> None:
    text = " ".join(value for _, value in _form(RAW[name])).lower()
    for secret in ("alice", "mallory", "backup-admin", "111122223333", "203.0.113.", "198.51.100."):
        assert secret not in text


@pytest.mark.parametrize(
    "value", [None, [], {}, "x", 1, 2.5, True, [[]], [{}], {"a": {"b": []}}, "x" * 70_000, 10**400]
)
@pytest.mark.parametrize(
    "name", [name for name in RAW if name.split("-")[0] in {"aws", "azure", "gcp", "m365", "kubernetes"}]
)
def test_any_value_in_any_place_of_a_cloud_record_is_read_without_error(name: str, value: Any) -> None:
    raw = RAW[name]
    if not isinstance(raw, dict):
        raw = {"message": raw}
    for document in _each_place(raw, value):
        for read in READERS:
            read(document)


def _each_place(node: Any, value: Any) -> list[Any]:
    """The document once per place, with ``value`` there."""
    if isinstance(node, dict):
        return [
            {**node, key: changed} for key, inner in node.items() for changed in [value, *_each_place(inner, value)]
        ]
    if isinstance(node, list) and node:
        return [[changed, *node[1:]] for changed in [value, *_each_place(node[0], value)]]
    return []


@pytest.mark.parametrize(
    ("record", "wanted"),
    [
        ({"p_log_type": "AWS.CloudTrail", "sourcetype": "x"}, "aws.cloudtrail"),
        ({"sourcetype": "aws:cloudtrail"}, "aws.cloudtrail"),
        ({"event": {"dataset": "aws.cloudtrail"}}, "aws.cloudtrail"),
        ({"data_stream": {"dataset": ["aws.cloudtrail"]}}, "aws.cloudtrail"),
        ({"event.dataset": "aws.cloudtrail"}, "aws.cloudtrail"),
        ({"p_log_type": {"a": 1}}, ""),
        ({"p_log_type": "x" * 1000}, ""),
        ({}, ""),
    ],
)
def test_three_carriers_declare_a_type_in_one_form(record: dict[str, Any], wanted: str) -> None:
    assert declared(record) == wanted
