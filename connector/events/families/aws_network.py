"""AWS VPC flow logs (``aws.vpcflow``) and Route 53 resolver query logs (``aws.route53_resolver_logs``).

Source: https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html,
https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resolver-query-logs-format.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, timed
from connector.events.paths import inner, put
from connector.types import Document, Json

_FLOWS: Final = frozenset({"aws.vpcflow", "aws.cloudwatchlogs.vpcflow", "aws.vpc.flow"})
_QUERIES: Final = frozenset({"aws.vpcdns", "aws.route53", "aws.route53_resolver_logs"})
_PLACES: Final = ("version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end", "action", "log-status")  # fmt: skip
"""The fields of the default format, in order."""
_ANSWERS: Final = frozenset({"ACCEPT", "REJECT", "-"})

_FLOW: Final = lifts(
    {
        "@timestamp": "start",
        "cloud.account.id": ("account-id", "account_id", "accountId", "account"),
        "cloud.region": "region",
        "source.ip": ("srcaddr", "srcAddr"),
        "source.port": ("srcport", "srcPort"),
        "source.packets": "packets",
        "source.bytes": "bytes",
        "destination.ip": ("dstaddr", "dstAddr"),
        "destination.port": ("dstport", "dstPort"),
        "network.iana_number": "protocol",
        "network.direction": ("flow-direction", "flow_direction", "flowDirection"),
        "aws.vpcflow.version": "version",
        "aws.vpcflow.action": "action",
        "aws.vpcflow.log_status": ("log-status", "log_status", "logStatus", "status"),
        "aws.vpcflow.interface_id": ("interface-id", "interface_id", "interfaceId"),
        "aws.vpcflow.vpc_id": ("vpc-id", "vpc_id", "vpcId"),
        "aws.vpcflow.subnet_id": ("subnet-id", "subnet_id", "subnetId", "subNetId"),
        "aws.vpcflow.tcp_flags": ("tcp-flags", "tcp_flags", "tcpFlags"),
        "aws.vpcflow.pkt_dst_service": ("pkt-dst-aws-service", "pkt_dst_aws_service", "pktDstAwsService"),
        "aws.vpcflow.pkt_src_service": ("pkt-src-aws-service", "pkt_src_aws_service", "pktSrcAwsService"),
        "aws.vpcflow.traffic_path": ("traffic-path", "traffic_path", "trafficPath"),
    }
)
_QUERY: Final = lifts(
    {
        "@timestamp": "query_timestamp",
        "cloud.account.id": "account_id",
        "cloud.region": "region",
        "cloud.instance.id": "srcids.instance",
        "dns.question.name": "query_name",
        "dns.question.type": "query_type",
        "dns.question.class": "query_class",
        "dns.response_code": "rcode",
        "source.address": "srcaddr",
        "source.port": "srcport",
        "network.transport": "transport",
        "aws.route53_resolver_logs.vpc_id": "vpc_id",
        "aws.route53_resolver_logs.firewall_rule_action": "firewall_rule_action",
    }
)
_NUMBERS: Final = (("source", "port"), ("source", "packets"), ("source", "bytes"), ("destination", "port"))


def read(record: Document) -> Node | None:
    """A flow or a query in ECS."""
    if "query_name" in record and "rcode" in record:
        return _query(record)
    if not record.keys().isdisjoint(("srcaddr", "srcAddr")) and not record.keys().isdisjoint(("dstaddr", "dstAddr")):
        return _flow(record)
    name = declared(record)
    return _flow(record) if name in _FLOWS else _query(record) if name in _QUERIES else None


def read_text(text: str) -> Node | None:
    """A flow of the default format, which is a line of fourteen words."""
    if len(text) > 512 or (not text[:2].isdecimal() and text[1:2] != " "):
        return None
    words = text.split()
    if len(words) != len(_PLACES) or words[12] not in _ANSWERS or not words[2].startswith("eni-"):
        return None
    return _flow(dict(zip(_PLACES, words, strict=True)))


def _document(dataset: str, type_: str) -> Node:
    return {
        "cloud": {"provider": "aws"},
        "event": {"kind": "event", "dataset": dataset, "category": ["network"], "type": [type_]},
    }


def _flow(record: Document) -> Node:
    document = _document("aws.vpcflow", "connection")
    lift(document, record, _FLOW)
    for side in ("source", "destination"):
        if side in document and not is_address(document[side].get("ip")):
            document[side].pop("ip", None)
    for folder, leaf in _NUMBERS:
        if folder in document and leaf in document[folder]:
            document[folder][leaf] = _number(document[folder][leaf])
    action = inner(inner(document, "aws"), "vpcflow").get("action")
    if type(action) is str:
        put(document, "event.action", action.lower())
        put(document, "event.outcome", "success" if action == "ACCEPT" else "failure")
    return timed(document)


def _query(record: Document) -> Node:
    document = _document("aws.route53_resolver_logs", "protocol")
    lift(document, record, _QUERY)
    source = document.get("source", {})
    if is_address(source.get("address")):
        source["ip"] = source["address"]
    answers = record.get("answers")
    rows: list[Json] = answers[:16] if type(answers) is list else [answers]
    found = [_answer(each) for each in rows if type(each) is dict]
    put(document, "dns.answers", found or None)
    put(document, "dns.resolved_ip", [each["data"] for each in found if is_address(each.get("data"))] or None)
    return timed(document)


def _answer(answer: Mapping[str, Json]) -> Node:
    names = (("data", "Rdata"), ("type", "Type"), ("class", "Class"))
    return {leaf: answer[name] for leaf, name in names if type(answer.get(name)) is str}


def _number(value: Json) -> Json:
    return int(value) if type(value) is str and value.isascii() and value.isdigit() and len(value) < 20 else value


FAMILY: Final = Family(
    "aws-network", datasets=frozenset({"aws.vpcflow", "aws.route53_resolver_logs"}), read=read, read_text=read_text
)
