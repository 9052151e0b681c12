"""Suricata's EVE records in ECS, as Elastic's suricata integration writes them.

Source: https://docs.suricata.io/en/latest/output/eve/eve-json-format.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from connector.events.family import Family
from connector.events.fields import Rules, copy, rule
from connector.events.masks import lower
from connector.events.paths import inner, put
from connector.events.times import iso
from connector.types import Document

Node = dict[str, Any]

_TYPES: Final[Mapping[str, tuple[str, str]]] = {
    "alert": ("intrusion_detection", "info"),
    "anomaly": ("network", "info"),
    "dns": ("network", "protocol"),
    "drop": ("network", "denied"),
    "fileinfo": ("file", "info"),
    "flow": ("network", "connection"),
    "http": ("web", "access"),
    "netflow": ("network", "connection"),
    "smb": ("network", "protocol"),
    "ssh": ("network", "protocol"),
    "stats": ("host", "info"),
    "tls": ("network", "protocol"),
}
_TOP: Final[Rules] = (
    rule("src_ip", "source.ip"),
    rule("src_port", "source.port", "number"),
    rule("dest_ip", "destination.ip"),
    rule("dest_port", "destination.port", "number"),
    rule("app_proto", "network.protocol"),
    rule("in_iface", "observer.ingress.interface.name"),
    rule("community_id", "network.community_id"),
)
_PARTS: Final[Mapping[str, Rules]] = {
    "alert": (
        rule("signature", "rule.name"),
        rule("signature_id", "rule.id"),
        rule("category", "rule.category"),
        rule("severity", "event.severity"),
    ),
    "http": (
        rule("http_method", "http.request.method"),
        rule("hostname", "url.domain"),
        rule("url", "url.original"),
        rule("http_user_agent", "user_agent.original"),
        rule("http_refer", "http.request.referrer"),
        rule("status", "http.response.status_code", "number"),
        rule("length", "http.response.body.bytes"),
        rule("http_content_type", "http.response.mime_type"),
    ),
    "tls": (
        rule("sni", "tls.client.server_name"),
        rule("subject", "tls.server.subject"),
        rule("issuerdn", "tls.server.issuer"),
    ),
    "fileinfo": (
        rule("filename", "file.path"),
        rule("size", "file.size"),
        rule("magic", "suricata.eve.fileinfo.magic"),
        rule("md5", "file.hash.md5"),
        rule("sha1", "file.hash.sha1"),
        rule("sha256", "file.hash.sha256"),
    ),
    "flow": (
        rule("bytes_toserver", "source.bytes"),
        rule("bytes_toclient", "destination.bytes"),
        rule("pkts_toserver", "source.packets"),
        rule("pkts_toclient", "destination.packets"),
    ),
}
_ELSEWHERE: Final = frozenset(
    {
        *("timestamp", "src_ip", "src_port", "dest_ip", "dest_port", "proto", "app_proto", "host", "in_iface", "http"),
        *("packet", "packet_info", "community_id", "fileinfo"),
    }
)
"""What ECS fields say already, and the packets themselves."""
_BODIES: Final = ("http_request_body", "http_request_body_printable")
"""What the client sent, where the sensor logs it; the payload member reads it, and no canonical form."""


def read(record: Document) -> Node | None:
    """An EVE record; None for anything else."""
    type_ = record.get("event_type")
    if type(type_) is not str or not ("flow_id" in record or "src_ip" in record or type_ == "stats"):
        return None
    if "proto" not in record and type_ not in _TYPES:
        return None
    category, kind = _TYPES.get(type_, ("network", "info"))
    categories = [category] if category == "network" else ["network", category]
    event: Node = {"kind": "alert" if type_ == "alert" else "event", "module": "suricata", "dataset": "suricata.eve"}
    document: Node = {"event": event | {"category": categories, "type": [kind]}}
    copy(document, record, _TOP)
    for name, rules in _PARTS.items():
        if name in record:
            copy(document, inner(record, name), rules)
    proto = record.get("proto")
    put(document, "network.transport", lower(proto) if type(proto) is str else None)
    put(document, "@timestamp", iso(record.get("timestamp")))
    put(document, "host.name", record.get("host"))
    _outcome(document, record)
    _dns(document, inner(record, "dns"))
    _tls(document, inner(record, "tls"))
    kept = {name: value for name, value in record.items() if name not in _ELSEWHERE}
    http = inner(record, "http")
    if bodies := {name: http[name] for name in _BODIES if name in http}:
        kept["http"] = bodies
    document["suricata"] = {"eve": kept | document.get("suricata", {}).get("eve", {})}
    return document


def _outcome(document: Node, record: Document) -> None:
    action = inner(record, "alert").get("action")
    if type(action) is str and action in {"allowed", "blocked"}:
        put(document, "event.action", action)
        document["event"]["type"] = ["allowed" if action == "allowed" else "denied"]


def _dns(document: Node, dns: Document) -> None:
    """The question: at the top in version 2 of the record, in a list of ``queries`` in version 3."""
    queries = dns.get("queries")
    question = queries[0] if type(queries) is list and queries and type(queries[0]) is dict else dns
    put(document, "dns.question.name", question.get("rrname"))
    put(document, "dns.question.type", question.get("rrtype"))
    put(document, "dns.response_code", dns.get("rcode"))


def _tls(document: Node, tls: Document) -> None:
    version = tls.get("version")
    if type(version) is str:
        name, _, number = version.partition(" ")
        put(document, "tls.version", number or version)
        put(document, "tls.version_protocol", lower(name))


FAMILY: Final = Family("suricata", datasets=frozenset({"suricata.eve"}), read=read)
