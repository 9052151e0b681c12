"""Syslog lines in ECS: the frame, then what the program is known to say (sshd, sudo, the kernel's packet filter)."""

from __future__ import annotations

from typing import Any, Final

from connector.errors import PermanentError
from connector.events import syslog
from connector.events.audit_records import is_audit
from connector.events.decode import decode
from connector.events.families import auditd, linux_auth, suricata, zeek
from connector.events.family import Family
from connector.events.paths import put
from connector.types import Document

Node = dict[str, Any]

_DATASET: Final = "system.syslog"
_IPTABLES: Final = "iptables.log"
_FACILITIES: Final = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp"),
    *("security", "console", "solaris-cron", *(f"local{number}" for number in range(8))),
)
_SEVERITIES: Final = ("Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug")
_FILTER: Final = {
    "SRC": "source.ip",
    "DST": "destination.ip",
    "PROTO": "network.transport",
    "SPT": "source.port",
    "DPT": "destination.port",
    "IN": "observer.ingress.interface.name",
    "OUT": "observer.egress.interface.name",
    "TTL": "iptables.ttl",
    "LEN": "iptables.length",
}


def read_text(text: str) -> Node | None:
    """A syslog line; None where the text is none, as ``2024-01-01 something`` is none."""
    framed = syslog.frame(text)
    if framed is None:
        return None
    carried = _carried(framed.message)
    if carried is not None:
        return carried
    document: Node = {"event": {"kind": "event", "module": "system", "dataset": _DATASET, "original": text}}
    _header(document, framed)
    program, message = framed.program, framed.message
    if program == "kernel" and "SRC=" in message and "PROTO=" in message:
        _packet(document, message)
    elif linux_auth.read_message(program, message, document):
        document["event"]["dataset"] = linux_auth.DATASET
    return document


def read(record: Document) -> Node | None:
    """A Splunk row whose ``_raw`` is a line of a program that is known."""
    document = read_row(record)
    return None if document is None or document["event"]["dataset"] == _DATASET else document


def read_row(record: Document) -> Node | None:
    """A Splunk row whose ``_raw`` is any syslog line: asked last, for a row may say more than its text."""
    raw = record.get("_raw")
    return read_text(raw) if type(raw) is str else None


def _carried(message: str) -> Node | None:
    """A record in another schema that syslog only carries."""
    if is_audit(message):
        return auditd.read_text(message)
    if not message.startswith("{"):
        return None
    try:
        record = decode(message)
    except PermanentError:
        return None
    return suricata.read(record) or zeek.read(record)


def _header(document: Node, framed: syslog.Frame) -> None:
    document["message"] = framed.message
    if framed.priority >= 0:
        facility, severity = divmod(framed.priority, 8)
        document["log"] = {
            "syslog": {
                "priority": framed.priority,
                "facility": {"code": facility, "name": _FACILITIES[facility]},
                "severity": {"code": severity, "name": _SEVERITIES[severity]},
            }
        }
    put(document, "log.syslog.version", framed.version or None)
    put(document, "log.syslog.msgid", framed.message_id or None)
    put(document, "log.syslog.structured_data", framed.data or None)
    put(document, "host.name", framed.host or None)
    put(document, "process.name", framed.program or None)
    if framed.time[:1].isdigit():
        document["@timestamp"] = framed.time
    if framed.pid.isascii() and framed.pid.isdigit() and len(framed.pid) < 12:
        put(document, "process.pid", int(framed.pid))


def _packet(document: Node, message: str) -> None:
    """A line of the kernel's packet filter: a prefix that its rule names, then ``KEY=value`` words."""
    event = document["event"]
    event |= {"module": "iptables", "dataset": _IPTABLES, "category": ["network"]}
    prefix, _, _ = message.partition("IN=")
    uptime, stamped, rest = prefix.partition("] ")
    prefix = rest if stamped and uptime.lstrip("[ ").replace(".", "").isdigit() else prefix
    document["iptables"] = {"prefix": prefix.strip(" []:")} if prefix.strip(" []:") else {}
    for word in message.split(" ", 64)[:64]:
        key, equals, value = word.partition("=")
        if equals and value and key in _FILTER:
            number = value.isascii() and value.isdigit() and len(value) < 12 and key not in {"PROTO", "IN", "OUT"}
            put(document, _FILTER[key], int(value) if number else value.lower() if key == "PROTO" else value)
    told = prefix.upper()
    denied = any(mark in told for mark in ("BLOCK", "DROP", "DENY", "REJECT"))
    allowed = any(mark in told for mark in ("ALLOW", "ACCEPT"))
    event |= {
        "type": ["denied" if denied else "allowed" if allowed else "info"],
    }
    if denied or allowed:
        event["action"] = "drop" if denied else "accept"


FAMILY: Final = Family("syslog", datasets=frozenset({_DATASET, _IPTABLES}), read=read, read_text=read_text)

REST: Final = Family("syslog", read=read_row)
