"""AWS WAF web ACL logs (``aws.waf``) and S3 server access logs (``aws.s3access``).

Source: https://docs.aws.amazon.com/waf/latest/developerguide/logging-fields.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/LogFormat.html
"""

from __future__ import annotations

import re
from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, timed
from connector.events.masks import lower
from connector.events.paths import inner, put
from connector.types import Document, Json

_WAF_DECLARED: Final = frozenset({"aws.wafwebacl", "aws.waf"})
_S3_DECLARED: Final = frozenset({"aws.s3serveraccess", "aws.s3.accesslogs", "aws.s3access"})
_MOST: Final = 16

_WAF: Final = lifts(
    {
        "@timestamp": "timestamp",
        "event.action": "action",
        "rule.id": "terminatingRuleId",
        "rule.ruleset": "terminatingRuleType",
        "source.ip": "httpRequest.clientIp",
        "source.geo.country_iso_code": "httpRequest.country",
        "url.path": "httpRequest.uri",
        "url.query": "httpRequest.args",
        "http.request.method": "httpRequest.httpMethod",
        "http.request.id": "httpRequest.requestId",
        "http.response.status_code": "responseCodeSent",
        "aws.waf.id": "webaclId",
        "aws.waf.source.name": "httpSourceName",
    }
)
_S3_NAMES: Final = ("bucket_owner", "bucket", "time", "remote_ip", "requester", "request_id", "operation", "key", "request_uri", "http_status", "error_code", "bytes_sent", "object_size", "total_time", "turn_around_time", "referrer", "user_agent", "version_id", "host_id", "signature_version", "cipher_suite", "authentication_type", "host_header", "tls_version")  # fmt: skip
"""The words of a line, in order."""
_WORD: Final = re.compile(r'"([^"]*)"|\[([^\]]*)\]|(\S+)')
_S3: Final = lifts(
    {
        **{
            f"aws.s3access.{name}": name if name == name.replace("_", "") else (name, name.replace("_", ""))
            for name in _S3_NAMES
            if name not in {"user_agent", "time"}
        },
        "@timestamp": "time",
        "event.action": "operation",
        "event.code": ("error_code", "errorcode"),
        "http.response.status_code": ("http_status", "httpstatus"),
        "user_agent.original": ("user_agent", "useragent"),
        "source.address": ("remote_ip", "remoteip"),
        "url.original": ("request_uri", "requesturi"),
    }
)
_OPERATION: Final = re.compile(r"(REST|WEBSITE|BATCH|S3)\.[A-Z_.-]+")


def read(record: Document) -> Node | None:
    """A request that the web ACL judged, or that a bucket served, in ECS."""
    if "webaclId" in record and "httpRequest" in record:
        return _waf(record)
    if "bucket" in record and ("remoteip" in record or "bucketowner" in record):
        return _s3(record)
    name = declared(record)
    return _waf(record) if name in _WAF_DECLARED else _s3(record) if name in _S3_DECLARED else None


def read_text(text: str) -> Node | None:
    """A line of an S3 access log: an owner of 64 hexadecimal digits, a bucket, a time in brackets, an operation."""
    head = text[:160].split(" ", 3)
    if len(head) < 4 or len(head[0]) != 64 or head[2][:1] != "[":
        return None
    words = [
        next((group for group in found.groups() if group is not None), "") for found in _WORD.finditer(text[:16384])
    ]
    named = dict(zip(_S3_NAMES, words, strict=False))
    return (
        _s3({name: value for name, value in named.items() if value != "-"})
        if _OPERATION.match(named.get("operation", ""))
        else None
    )


def _document(dataset: str) -> Node:
    return {
        "cloud": {"provider": "aws"},
        "event": {"kind": "event", "dataset": dataset, "category": ["web"], "type": ["access"]},
    }


def _waf(record: Document) -> Node:
    document = _document("aws.waf")
    lift(document, record, _WAF)
    headers = _headers(inner(record, "httpRequest").get("headers"))
    put(document, "aws.waf.request.headers", headers or None)
    put(document, "user_agent.original", next((headers[name] for name in headers if lower(name) == "user-agent"), None))
    put(document, "aws.waf.matched", _matched(record) or None)
    action = record.get("action")
    if type(action) is str:
        put(document, "event.outcome", "success" if action == "ALLOW" else "failure")
    return timed(document)


def _headers(value: Json) -> dict[str, str]:
    rows = [(each.get("name"), each.get("value")) for each in _rows(value, 64)]
    return {name: told for name, told in rows if type(name) is str and type(told) is str}


def _matched(record: Document) -> list[str]:
    """The rules that matched without ending the evaluation, and those that ended it inside a group."""
    found: list[Json] = []
    for group in _rows(record.get("ruleGroupList")):
        found.append(inner(group, "terminatingRule").get("ruleId"))
        found.extend(each.get("ruleId") for each in _rows(group.get("nonTerminatingMatchingRules")))
    found.extend(each.get("ruleId") for each in _rows(record.get("nonTerminatingMatchingRules")))
    found.extend(each.get("name") for each in _rows(record.get("labels")))
    return [each for each in found if type(each) is str][:_MOST]


def _rows(value: Json, most: int = _MOST) -> list[Document]:
    return [each for each in value[:most] if type(each) is dict] if type(value) is list else []


def _s3(record: Document) -> Node:
    document = _document("aws.s3access")
    lift(document, record, _S3)
    source = document.get("source", {})
    if is_address(source.get("address")):
        source["ip"] = source["address"]
    status = inner(inner(document, "http"), "response").get("status_code")
    if type(status) is str and status.isdigit() and len(status) == 3:
        document["http"]["response"]["status_code"] = status = int(status)
    if type(status) is int:
        document["event"]["outcome"] = "success" if status < 400 else "failure"
    return timed(document)


FAMILY: Final = Family("aws-web", datasets=frozenset({"aws.waf", "aws.s3access"}), read=read, read_text=read_text)
