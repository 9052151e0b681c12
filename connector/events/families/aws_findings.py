"""Findings of GuardDuty (``aws.guardduty``) and of Security Hub (``aws.securityhub_findings``), in the event or alone.

Source: https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html,
https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-findings-format-syntax.html
"""

from __future__ import annotations

from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.lift import lift, lifts, timed
from connector.events.paths import inner, put
from connector.types import Document, Json

_GUARDDUTY: Final = frozenset({"aws.guardduty", "aws.guardduty.finding", "aws.cloudwatch.guardduty"})
_SECURITY_HUB: Final = frozenset({"aws.securityfindingformat", "aws.securityhub.finding", "aws.securityhub"})
_ACTIONS: Final = {
    "awsApiCallAction": "aws_api_call_action",
    "networkConnectionAction": "network_connection_action",
    "portProbeAction": "port_probe_action",
    "dnsRequestAction": "dns_request_action",
    "kubernetesApiCallAction": "kubernetes_api_call_action",
    "rdsLoginAttemptAction": "rds_login_attempt_action",
}
_D: Final = "aws.guardduty"
_H: Final = "aws.securityhub_findings"

_FINDING: Final = lifts(
    {
        "@timestamp": ("updatedAt", "createdAt"),
        "event.id": "id",
        "event.severity": "severity",
        "event.action": "service.action.actionType",
        "cloud.account.id": "accountId",
        "cloud.region": "region",
        "rule.name": "type",
        "message": "description",
        f"{_D}.title": "title",
        f"{_D}.type": "type",
        f"{_D}.severity.code": "severity",
        f"{_D}.resource.type": "resource.resourceType",
        f"{_D}.resource.access_key_details.user.type": "resource.accessKeyDetails.userType",
        f"{_D}.service.resource_role": "service.resourceRole",
        f"{_D}.service.count": "service.count",
        f"{_D}.service.action.type": "service.action.actionType",
        f"{_D}.service.archived": "service.archived",
        "user.name": "resource.accessKeyDetails.userName",
    }
)
_ACTION: Final = lifts(
    {
        "api": "api",
        "caller.type": "callerType",
        "service.name": "serviceName",
        "error_code": "errorCode",
        "blocked": "blocked",
        "connection.direction": "connectionDirection",
        "protocol": "protocol",
        "domain": "domain",
        "verb": "verb",
        "request_uri": "requestUri",
        "status_code": "statusCode",
        "local_port.port": "localPortDetails.port",
        "local_port.name": "localPortDetails.portName",
        "remote_port.port": "remotePortDetails.port",
        "remote_ip_details.ip_address_v4": "remoteIpDetails.ipAddressV4",
        "remote_ip_details.organization.asnorg": "remoteIpDetails.organization.asnOrg",
    }
)
_HUB: Final = lifts(
    {
        "@timestamp": ("UpdatedAt", "CreatedAt"),
        "event.id": "Id",
        "event.action": "Action.ActionType",
        "cloud.account.id": "AwsAccountId",
        "cloud.region": "Region",
        "message": "Description",
        f"{_H}.title": "Title",
        f"{_H}.description": "Description",
        f"{_H}.types": ("Types", "FindingProviderFields.Types"),
        f"{_H}.severity.label": ("Severity.Label", "FindingProviderFields.Severity.Label"),
        f"{_H}.company.name": "CompanyName",
        f"{_H}.product.name": "ProductName",
        f"{_H}.generator.id": "GeneratorId",
        f"{_H}.record_state": "RecordState",
        f"{_H}.workflow.status": ("Workflow.Status", "WorkflowState"),
        f"{_H}.compliance.status": "Compliance.Status",
        f"{_H}.action.type": "Action.ActionType",
        f"{_H}.action.aws_api_call.api": "Action.AwsApiCallAction.Api",
        f"{_H}.action.aws_api_call.service.name": "Action.AwsApiCallAction.ServiceName",
        f"{_H}.action.aws_api_call.caller.type": "Action.AwsApiCallAction.CallerType",
        f"{_H}.action.network_connection.direction": "Action.NetworkConnectionAction.ConnectionDirection",
        f"{_H}.action.dns_request.domain": "Action.DnsRequestAction.Domain",
        f"{_H}.resource_type": "Resources.Type",
        "process.name": "Process.Name",
        "process.executable": "Process.Path",
        "file.path": "Malware.Path",
    }
)
_HUB_SOURCE: Final = lifts(
    {
        "source.ip": (
            "Action.AwsApiCallAction.RemoteIpDetails.IpAddressV4",
            "Action.NetworkConnectionAction.RemoteIpDetails.IpAddressV4",
        )
    }
)


def read(record: Document) -> Node | None:
    """A finding in ECS; EventBridge's ``detail`` is a finding of GuardDuty, or holds those of Security Hub."""
    detail = inner(record, "detail")
    findings = detail.get("findings")
    if "schemaVersion" in detail:
        record = detail
    elif type(findings) is list and len(findings) == 1 and type(findings[0]) is dict:
        record = findings[0]
    if "service" in record and "schemaVersion" in record and "accountId" in record:
        return _guardduty(record)
    if "ProductArn" in record and "AwsAccountId" in record:
        return _hub(record)
    name = declared(record)
    return _guardduty(record) if name in _GUARDDUTY else _hub(record) if name in _SECURITY_HUB else None


def _document(dataset: str) -> Node:
    return {
        "cloud": {"provider": "aws"},
        "event": {"kind": "alert", "dataset": dataset, "category": ["threat"], "type": ["indicator"]},
    }


def _guardduty(record: Document) -> Node:
    document = _document("aws.guardduty")
    lift(document, record, _FINDING)
    action = inner(inner(record, "service"), "action")
    for name, folder in _ACTIONS.items():
        told = inner(action, name)
        if told:
            found: Node = {}
            lift(found, told, _ACTION)
            put(document, f"{_D}.service.action.{folder}", found)
            put(document, "source.ip", inner(found, "remote_ip_details").get("ip_address_v4"))
    names: Json = inner(inner(record, "service"), "additionalInfo").get("threatListName")
    put(document, f"{_D}.service.additional_info.threatListName", names)
    return timed(document)


def _hub(record: Document) -> Node:
    document = _document("aws.securityhub_findings")
    lift(document, record, _HUB)
    lift(document, record, _HUB_SOURCE)
    return timed(document)


FAMILY: Final = Family("aws-findings", datasets=frozenset({"aws.guardduty", "aws.securityhub_findings"}), read=read)
