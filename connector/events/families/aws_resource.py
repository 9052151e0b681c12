"""Snapshots of AWS resources: what AWS Config and inventories of it (Panther's) say that a resource is set to.

Source: https://docs.aws.amazon.com/config/latest/APIReference/API_ConfigurationItem.html
"""

from __future__ import annotations

from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.lift import leaves, lift, lifts, timed
from connector.events.masks import lower
from connector.events.paths import inner, put
from connector.types import Document, Json

_SERVICES: Final = frozenset(
    {
        *("acm", "apigateway", "autoscaling", "cloudformation", "cloudfront", "cloudtrail", "cloudwatch", "config"),
        *("dynamodb", "ebs", "ec2", "ecr", "ecs", "efs", "eks", "elasticache", "elasticsearch", "elb", "elbv2"),
        *("guardduty", "iam", "kms", "lambda", "opensearch", "passwordpolicy", "rds", "redshift", "route53"),
        *("s3", "secretsmanager", "sns", "sqs", "ssm", "waf"),
    }
)
_SHAPES: Final = (
    (("TrailARN", "IsMultiRegionTrail"), "aws.cloudtrail"),
    (("WebACLArn", "WebACLArn"), "aws.waf.webacl"),
    (("CredentialReport", "CredentialReport"), "aws.iam.user"),
    (("IpPermissions", "GroupId"), "aws.ec2.securitygroup"),
    (("AssumeRolePolicyDocument", "RoleId"), "aws.iam.role"),
    (("AmiLaunchIndex", "InstanceId"), "aws.ec2.instance"),
    (("DBInstanceIdentifier", "DBInstanceClass"), "aws.rds.instance"),
    (("EncryptionRules", "PublicAccessBlockConfiguration"), "aws.s3.bucket"),
)
"""Keys that a describe call's answer alone has, where no one says the type. Source: the service's API reference."""

_SILENT: Final = (
    *("id", "arn", "name", "time", "date", "timestamp", "account", "region", "tags", "resourcetype", "ids", "arns"),
    *("owner", "username", "email", "displayname", "ipaddress", "dnsname", "endpoint", "hash", "sha256", "created"),
    *(
        "version",
        "uri",
        "zone",
        "recorders",
        "value",
        "location",
        "description",
        "lastrotated",
        "lastused",
        "lastchanged",
    ),
    *("nextrotation", "createdate"),
)
_POLICIES: Final = frozenset({"Policy", "AssumeRolePolicyDocument"})
_ITEM: Final = lifts(
    {
        "@timestamp": (
            "configurationItemCaptureTime",
            "TimeCreated",
            "CreateDate",
            "CreateTime",
            "CreationDate",
            "CreationTime",
        ),
        "cloud.account.id": ("awsAccountId", "accountId", "AccountId", "OwnerId"),
        "cloud.region": ("awsRegion", "Region"),
        "aws.resource.id": ("resourceId", "ResourceId", "ResourceID", "Arn", "ARN"),
        "aws.resource.status": ("configurationItemStatus", "State.Name", "Status", "State"),
        "aws.resource.policy": (
            "Policy",
            "AssumeRolePolicyDocument",
            "PolicyDocument.Document",
            "configuration.policy",
        ),
    }
)


def read(record: Document) -> Node | None:
    """A snapshot in ECS: an asset with its type, and its settings as ``name=value``."""
    type_ = _type_of(record)
    if not type_:
        return None
    document: Node = {
        "cloud": {"provider": "aws"},
        "event": {"kind": "asset", "dataset": "aws.resource", "category": ["configuration"], "type": ["info"]},
        "aws": {"resource": {"type": type_}},
    }
    lift(document, record, _ITEM)
    told = inner(record, "configuration") or {
        name: value
        for name, value in record.items()
        if name[:2] != "p_" and not (name in _POLICIES and type(value) is str)
    }
    put(document, "aws.resource.settings", leaves(told, _SILENT) or None)
    return timed(document)


def _type_of(record: Document) -> str:
    """``aws.ec2.instance``, however it is written; the empty string for what is no snapshot of a resource."""
    told: Json = record.get("ResourceType", record.get("resourceType"))
    if type(told) is str and (name := _normal(told)):
        return name
    for (one, other), name in _SHAPES:
        if one in record and other in record:
            return name
    name = declared(record)
    return name if name.startswith("aws.") and "eventName" not in record and _normal(name) and _is_own(name) else ""


def _is_own(name: str) -> bool:
    """Whether the type names a resource (three words, or a policy), and not a log of the service's name."""
    return name.count(".") > 1 or name == "aws.passwordpolicy"


def _normal(told: str) -> str:
    name = lower(told[:64]).replace("::", ".")
    words = name.split(".")
    return name if words[0] == "aws" and len(words) > 1 and words[1] in _SERVICES else ""


FAMILY: Final = Family("aws-resource", datasets=frozenset({"aws.resource"}), read=read)
