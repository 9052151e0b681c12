"""AWS CloudTrail, as Elastic's ``aws.cloudtrail`` integration names it.

Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
"""

from __future__ import annotations

import re
from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.lift import is_address, java_text, lift, lifts, pruned, timed
from connector.events.paths import inner
from connector.types import Document, Json

_DECLARED: Final = frozenset({"aws.cloudtrail", "aws.cloudtrail.events", "aws_cloudtrail"})
_ISSUER: Final = "userIdentity.sessionContext.sessionIssuer"
_IDENTITY: Final = "aws.cloudtrail.user_identity"

_TABLE: Final = lifts(
    {
        "@timestamp": "eventTime",
        "event.id": "eventID",
        "event.provider": "eventSource",
        "event.action": "eventName",
        "cloud.region": "awsRegion",
        "cloud.account.id": ("userIdentity.accountId", "recipientAccountId"),
        "source.address": "sourceIPAddress",
        "user_agent.original": "userAgent",
        "user.name": ("userIdentity.userName", f"{_ISSUER}.userName"),
        "user.id": "userIdentity.principalId",
        f"{_IDENTITY}.type": "userIdentity.type",
        f"{_IDENTITY}.arn": "userIdentity.arn",
        f"{_IDENTITY}.access_key_id": "userIdentity.accessKeyId",
        f"{_IDENTITY}.invoked_by": "userIdentity.invokedBy",
        f"{_IDENTITY}.session_context.mfa_authenticated": "userIdentity.sessionContext.attributes.mfaAuthenticated",
        f"{_IDENTITY}.session_context.creation_date": "userIdentity.sessionContext.attributes.creationDate",
        f"{_IDENTITY}.session_context.session_issuer.type": f"{_ISSUER}.type",
        f"{_IDENTITY}.session_context.session_issuer.arn": f"{_ISSUER}.arn",
        "aws.cloudtrail.event_version": "eventVersion",
        "aws.cloudtrail.event_type": "eventType",
        "aws.cloudtrail.event_category": "eventCategory",
        "aws.cloudtrail.error_code": "errorCode",
        "aws.cloudtrail.error_message": "errorMessage",
        "aws.cloudtrail.read_only": "readOnly",
        "aws.cloudtrail.management_event": "managementEvent",
        "aws.cloudtrail.request_id": "requestID",
        "aws.cloudtrail.recipient_account_id": "recipientAccountId",
        "aws.cloudtrail.vpc_endpoint_id": "vpcEndpointId",
    }
)
_OBJECTS: Final = (
    ("requestParameters", "request_parameters"),
    ("responseElements", "response_elements"),
    ("additionalEventData", "additional_eventdata"),
    ("serviceEventDetails", "service_event_details"),
)
_HEADINGS: Final = {
    "Event Type": "eventType",
    "Event Name": "eventName",
    "Event ID": "eventID",
    "Event DateTime": "eventTime",
    "Request ID": "requestID",
    "User ID": "userIdentity",
    "Request Parameters": "requestParameters",
    "Source IP": "sourceIPAddress",
    "Request User Agent": "userAgent",
}
_PAIR: Final = re.compile("'([^']*)': '([^']*)'")
_LONGEST_CELL: Final = 16384
_LONGEST_OBJECT: Final = 32766
_CATEGORIES: Final = {
    "iam.amazonaws.com": "iam",
    "sso.amazonaws.com": "iam",
    "organizations.amazonaws.com": "iam",
    "signin.amazonaws.com": "authentication",
    "sts.amazonaws.com": "authentication",
    "s3.amazonaws.com": "file",
}
_VERB = re.compile(
    "(get|list|describe|head|lookup|batchget|search|create|run|put|add|delete|remove|terminate)", re.IGNORECASE
)
_TYPES: Final = {
    **dict.fromkeys(("create", "run", "put", "add"), "creation"),
    **dict.fromkeys(("delete", "remove", "terminate"), "deletion"),
    **dict.fromkeys(("get", "list", "describe", "head", "lookup", "batchget", "search"), "access"),
}


def read(record: Document) -> Node | None:
    """A CloudTrail record in ECS; a ``Records`` list of one is its record, a row of a table with headings too."""
    records = record.get("Records")
    if type(records) is list and len(records) == 1 and type(records[0]) is dict:
        record = records[0]
    elif "Event Name" in record and "Request Parameters" in record:
        record = _of_row(record)
    named = ("eventSource" in record and "eventName" in record) or ("eventsource" in record and "eventname" in record)
    if not named and (declared(record) not in _DECLARED or "TrailARN" in record):
        return None
    document: Node = {
        "cloud": {"provider": "aws"},
        "event": {"kind": "event", "dataset": "aws.cloudtrail"},
        "aws": {"cloudtrail": {}},
    }
    lift(document, record, _TABLE)
    trail = document["aws"]["cloudtrail"]
    _keep_objects(trail, record)
    source = document.get("source", {})
    if is_address(source.get("address")):
        source["ip"] = source["address"]
    _describe(document["event"], trail)
    return timed(document)


def _of_row(row: Document) -> Document:
    """The record that a row of a table tells (a bucket watcher's export); its objects are written as Python writes them."""
    record: Node = {name: row.get(heading) for heading, name in _HEADINGS.items()}
    for name in ("userIdentity", "requestParameters"):
        told = record[name]
        record[name] = dict(_PAIR.findall(told[:_LONGEST_CELL])) if type(told) is str else {}
    record["eventSource"] = "s3.amazonaws.com" if "bucketName" in record["requestParameters"] else None
    return record


def _keep_objects(trail: Node, record: Document) -> None:
    """The free-form objects as text and as they are, without what is empty."""
    for name, leaf in _OBJECTS:
        value: Json = pruned(inner(record, name))
        if value is not None:
            trail[leaf] = java_text(value)
            if len(trail[leaf]) < _LONGEST_OBJECT:
                trail.setdefault("flattened", {})[leaf] = value


def _describe(event: Node, trail: Node) -> None:
    response = trail.get("flattened", {}).get("response_elements")
    refused = type(response) is dict and response.get("ConsoleLogin") == "Failure"
    failed = refused or "error_code" in trail or "error_message" in trail
    event["outcome"] = "failure" if failed else "success"
    action, provider = event.get("action"), event.get("provider")
    event["category"] = [_CATEGORIES.get(provider, "configuration") if type(provider) is str else "configuration"]
    verb = _VERB.match(action) if type(action) is str else None
    event["type"] = [_TYPES[verb[1].lower()] if verb else "access" if trail.get("read_only") is True else "change"]


FAMILY: Final = Family("cloudtrail", datasets=frozenset({"aws.cloudtrail"}), read=read)
