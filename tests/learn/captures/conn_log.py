"""A conn.log of connections, in Zeek's ASCII format, and their NetFlow as Elastic's integration has it.

The meaning of each field is that of Zeek's documentation of ``base/protocols/conn``. In particular: ``duration`` and
the payload's bytes are unset where a single moment is all there is; ``orig_ip_bytes`` counts the IP packets' own lengths.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from connector.learn.corpora.connections import Connection

FIELDS = (
    *("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "proto", "service", "duration"),
    *("orig_bytes", "resp_bytes", "conn_state", "missed_bytes", "history"),
    *("orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes"),
)
TYPES = (
    *("time", "string", "addr", "port", "addr", "port", "enum", "string", "interval"),
    *("count", "count", "string", "count", "string", "count", "count", "count", "count"),
)
HEADER = "\n".join(
    [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tconn",
        "\t".join(["#fields", *FIELDS]),
        "\t".join(["#types", *TYPES]),
        "",
    ]
)


def conn_log(connections: Iterable[Connection]) -> bytes:
    """The file."""
    return (HEADER + "".join("\t".join(_row(place, each)) + "\n" for place, each in enumerate(connections))).encode()


def _row(place: int, connection: Connection) -> list[str]:
    ours, theirs = connection.originator, connection.responder
    lasted = connection.duration > 0
    values = {
        "ts": f"{connection.start:.6f}",
        "uid": f"C{place:016d}",
        "id.orig_h": ours.address,
        "id.orig_p": str(ours.port),
        "id.resp_h": theirs.address,
        "id.resp_p": str(theirs.port),
        "proto": connection.transport,
        "duration": f"{connection.duration:.6f}" if lasted else "-",
        "orig_bytes": str(ours.size) if lasted else "-",
        "resp_bytes": str(theirs.size) if lasted else "-",
        "conn_state": connection.state,
        "missed_bytes": "0",
        "history": connection.history,
        "orig_pkts": str(ours.packets),
        "orig_ip_bytes": str(ours.ip_bytes),
        "resp_pkts": str(theirs.packets),
        "resp_ip_bytes": str(theirs.ip_bytes),
    }
    return [values.get(name, "-") for name in FIELDS]


def netflow_of(connection: Connection) -> dict[str, Any]:
    """The biflow (RFC 5103) of the same packets, counted to the millisecond as exporters do."""
    ours, theirs = connection.originator, connection.responder
    return {
        "@timestamp": "2026-01-02T03:04:05Z",
        "ecs": {"version": "8.11.0"},
        "event": {
            "kind": "event",
            "category": ["network"],
            "dataset": "netflow.log",
            "duration": round(connection.duration * 1_000) * 1_000_000,
        },
        "source": {"ip": ours.address, "port": ours.port, "bytes": ours.ip_bytes, "packets": ours.packets},
        "destination": {"ip": theirs.address, "port": theirs.port, "bytes": theirs.ip_bytes, "packets": theirs.packets},
        "network": {"transport": connection.transport},
        "netflow": {"tcp_control_bits": ours.flags, "reverse_tcp_control_bits": theirs.flags},
    }
