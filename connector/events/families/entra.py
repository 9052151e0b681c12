"""Microsoft Entra sign-ins (interactive or not, of users, service principals, managed identities) and directory audit.

As Elastic's ``azure.signinlogs`` and ``azure.auditlogs`` name them. Records come of Azure Monitor (``category`` and
``properties``) or of Microsoft Graph (the properties alone).
Source: https://learn.microsoft.com/en-us/graph/api/resources/signin,
https://learn.microsoft.com/en-us/graph/api/resources/directoryaudit
"""

from __future__ import annotations

from typing import Final

from connector.events.canonical import text_of
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, pruned, timed
from connector.events.paths import address, inner, put
from connector.types import Document, Json

_SIGN_INS: Final = frozenset(
    {
        *("signinlogs", "noninteractiveusersigninlogs", "serviceprincipalsigninlogs", "managedidentitysigninlogs"),
        *("adfssigninlogs", "b2crequestlogs"),
    }
)
_S: Final = "azure.signinlogs"
_SP: Final = f"{_S}.properties"
_A: Final = "azure.auditlogs"
_AP: Final = f"{_A}.properties"

_SIGN_IN: Final = lifts(
    {
        "@timestamp": ("properties.createdDateTime", "time", "createdDateTime"),
        "event.id": "id",
        "event.action": "operationName",
        "user.id": "userId",
        "user.name": ("userPrincipalName", "servicePrincipalName"),
        "user.full_name": "userDisplayName",
        "user_agent.original": "userAgent",
        f"{_S}.category": "category",
        f"{_S}.operation_name": "operationName",
        f"{_S}.result_type": "resultType",
        f"{_S}.result_description": "resultDescription",
        f"{_SP}.app_display_name": "appDisplayName",
        f"{_SP}.app_id": "appId",
        f"{_SP}.resource_display_name": "resourceDisplayName",
        f"{_SP}.client_app_used": "clientAppUsed",
        f"{_SP}.is_interactive": "isInteractive",
        f"{_SP}.authentication_requirement": "authenticationRequirement",
        f"{_SP}.authentication_protocol": "authenticationProtocol",
        f"{_SP}.incoming_token_type": "incomingTokenType",
        f"{_SP}.token_issuer_type": "tokenIssuerType",
        f"{_SP}.client_credential_type": "clientCredentialType",
        f"{_SP}.cross_tenant_access_type": "crossTenantAccessType",
        f"{_SP}.conditional_access_status": "conditionalAccessStatus",
        f"{_SP}.service_principal_id": "servicePrincipalId",
        f"{_SP}.service_principal_name": "servicePrincipalName",
        f"{_SP}.user_type": "userType",
        f"{_SP}.risk_level_aggregated": "riskLevelAggregated",
        f"{_SP}.risk_level_during_signin": "riskLevelDuringSignIn",
        f"{_SP}.risk_state": "riskState",
        f"{_SP}.risk_detail": "riskDetail",
        f"{_SP}.risk_event_types": ("riskEventTypes_v2", "riskEventTypes"),
        f"{_SP}.flagged_for_review": "flaggedForReview",
        f"{_SP}.device_detail.operating_system": "deviceDetail.operatingSystem",
        f"{_SP}.device_detail.browser": "deviceDetail.browser",
        f"{_SP}.device_detail.is_compliant": "deviceDetail.isCompliant",
        f"{_SP}.device_detail.is_managed": "deviceDetail.isManaged",
        f"{_SP}.device_detail.trust_type": "deviceDetail.trustType",
        f"{_SP}.status.error_code": "status.errorCode",
        f"{_SP}.status.failure_reason": "status.failureReason",
        f"{_SP}.mfa_detail.auth_method": "mfaDetail.authMethod",
    }
)
_AUDIT: Final = lifts(
    {
        "@timestamp": ("activityDateTime", "time"),
        "event.id": "id",
        "event.action": ("activityDisplayName", "operationName"),
        "event.reason": "resultReason",
        "user.name": ("initiatedBy.user.userPrincipalName", "initiatedBy.user.displayName"),
        "user.id": "initiatedBy.user.id",
        "user_agent.original": "userAgent",
        f"{_A}.category": "category",
        f"{_A}.operation_name": ("operationName", "activityDisplayName"),
        f"{_AP}.activity_display_name": "activityDisplayName",
        f"{_AP}.logged_by_service": "loggedByService",
        f"{_AP}.operation_type": "operationType",
        f"{_AP}.result": "result",
        f"{_AP}.result_reason": "resultReason",
        f"{_AP}.initiated_by.app.displayName": "initiatedBy.app.displayName",
        f"{_AP}.initiated_by.app.servicePrincipalId": "initiatedBy.app.servicePrincipalId",
        f"{_AP}.initiated_by.user.userPrincipalName": "initiatedBy.user.userPrincipalName",
    }
)
_TARGET: Final = lifts(
    {"id": "id", "display_name": "displayName", "type": "type", "user_principal_name": "userPrincipalName"}
)
_MODIFIED: Final = lifts({"display_name": "displayName", "new_value": "newValue", "old_value": "oldValue"})
_MOST_TARGETS: Final = 4
_MOST_MODIFIED: Final = 8


def read(record: Document) -> Node | None:
    """A sign-in or a directory audit record in ECS."""
    properties = inner(record, "properties")
    flat = {**record, **properties} if properties else record
    category = record.get("category")
    folded = category.lower() if type(category) is str else ""
    if folded in _SIGN_INS or ("userPrincipalName" in flat and "appDisplayName" in flat and "status" in flat):
        return _sign_in(record, flat)
    if (folded == "auditlogs" or "activityDisplayName" in flat) and (
        "targetResources" in flat or "initiatedBy" in flat
    ):
        return _audit(record, flat)
    return None


def _document(dataset: str, category: str, record: Document, flat: Document) -> Node:
    document: Node = {
        "cloud": {"provider": "azure"},
        "event": {"kind": "event", "dataset": dataset, "category": [category], "type": ["info"]},
    }
    told = record.get("callerIpAddress") or record.get("calleripaddress") or flat.get("ipAddress")
    source = address(told or inner(inner(flat, "initiatedBy"), "user").get("ipAddress"))
    if is_address(source):
        put(document, "source.ip", source)
    put(document, "azure.tenant_id", record.get("tenantId") or record.get("tenantid"))
    return timed(document)


def _sign_in(record: Document, flat: Document) -> Node:
    document = _document("azure.signinlogs", "authentication", record, flat)
    lift(document, {**flat, "category": record.get("category"), "id": flat.get("id")}, _SIGN_IN)
    put(document, f"{_S}.operation_name", "Sign-in activity")
    put(document, "event.action", "Sign-in activity")
    code = inner(flat, "status").get("errorCode", record.get("resultType", record.get("resulttype")))
    put(document, "event.outcome", "success" if text_of(code).lower() in {"0", "success"} else "failure")
    return timed(document)


def _audit(record: Document, flat: Document) -> Node:
    document = _document("azure.auditlogs", "iam", record, flat)
    lift(document, flat, _AUDIT)
    targets = flat.get("targetResources")
    for number, target in enumerate(targets[:_MOST_TARGETS] if type(targets) is list else ()):
        if type(target) is dict:
            put(document, f"{_AP}.target_resources.{number}", _target(target))
    result = flat.get("result")
    if type(result) is str and result:
        put(document, "event.outcome", "success" if result.lower() == "success" else "failure")
    return timed(document)


def _target(target: Document) -> Json:
    """A target with its modified properties by number, as Elastic's pipeline turns the lists into objects."""
    found: Node = {}
    lift(found, target, _TARGET)
    modified = target.get("modifiedProperties")
    for number, each in enumerate(modified[:_MOST_MODIFIED] if type(modified) is list else ()):
        if type(each) is dict:
            row: Node = {}
            lift(row, each, _MODIFIED)
            found.setdefault("modified_properties", {})[str(number)] = row
    return pruned(found)


FAMILY: Final = Family("entra", datasets=frozenset({"azure.signinlogs", "azure.auditlogs"}), read=read)
