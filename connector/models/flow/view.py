"""What an event says of a network flow: the part that Zeek's conn.log and ECS NetFlow both give.

Sources: Zeek's documentation of ``base/protocols/conn``; Elastic's ``zeek`` and ``netflow`` integrations, which both write
the bytes of IP packets, headers included, into ``source.bytes`` and ``destination.bytes``; RFC 5102 and 5103 (TCP control
bits, biflows); RFC 791 and 9293 (sizes of headers). Addresses are not read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from connector.types import Document, Json

Transport: TypeAlias = Literal["tcp", "udp", "icmp"]

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_NUMBERS: Final[Mapping[int, Transport]] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
_NAMES: Final[Mapping[str, Transport]] = {
    **{name: name for name in get_args(Transport)},
    "ipv6-icmp": "icmp",
    "icmp6": "icmp",
    "icmpv6": "icmp",
}
_HEADERS: Final[Mapping[Transport, int]] = {"tcp": 52, "udp": 28, "icmp": 28}
"""Bytes of a packet's headers: those of IPv4 and of the transport; of TCP with the timestamps that most systems add."""

_OPTIONS: Final = 32
"""Fewer bytes than this behind the headers of a whole flow are options of TCP, and no payload."""

_MOST: Final = 1 << 62
_LETTERS: Final[Mapping[str, int]] = {"s": SYN, "h": SYN | ACK, "a": ACK, "d": ACK, "f": FIN | ACK, "r": RST}
_LONGEST_HISTORY: Final = 64


class Outcome(msgspec.Struct, frozen=True):
    """How a TCP connection went: answered and acknowledged, reset by either side, closed by both. None: it cannot be told."""

    established: bool | None = None
    reset: bool | None = None
    closed: bool | None = None


_OPEN = Outcome(established=True, reset=False, closed=False)
_BROKEN = Outcome(established=True, reset=True, closed=False)
_UNANSWERED = Outcome(established=False, reset=False, closed=False)
_REFUSED = Outcome(established=False, reset=True, closed=False)

STATES: Final[Mapping[str, Outcome]] = {
    **dict.fromkeys(("S1", "S2", "S3"), _OPEN),
    **dict.fromkeys(("RSTO", "RSTR"), _BROKEN),
    **dict.fromkeys(("S0", "SH"), _UNANSWERED),
    **dict.fromkeys(("REJ", "RSTOS0"), _REFUSED),
    "SF": Outcome(established=True, reset=False, closed=True),
    "RSTRH": Outcome(reset=True, closed=False),
    "SHR": Outcome(reset=False, closed=False),
    "OTH": Outcome(),
}
"""The outcome by Zeek's ``conn_state``, of records without its history."""


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One flow. ``port`` is the responder's. ``sent`` and ``received`` are bytes of payload; None is not known."""

    transport: Transport | None = None
    port: int | None = None
    seconds: float = 0.0
    sent: float | None = None
    received: float | None = None
    sent_packets: float | None = None
    received_packets: float | None = None
    outcome: Outcome = Outcome()


def flow_of(ecs: Document) -> Flow | None:
    """The flow that an ECS document tells of; None where it tells of none, or in a form that ECS does not allow."""
    transport = _transport(_object(ecs, "network")) if "network" in ecs else None
    if transport is None:
        return None
    source, destination = _object(ecs, "source"), _object(ecs, "destination")
    packets, answered = _count(source.get("packets")), _count(destination.get("packets"))
    duration = _object(ecs, "event").get("duration")
    nanoseconds = 0 if duration is None else _count(duration)  # Zeek leaves that of a single packet out
    if nanoseconds is None or not (packets or answered):
        return None
    return Flow(
        transport=transport,
        port=_port(destination.get("port")) if transport != "icmp" else None,
        seconds=nanoseconds / 1e9,
        sent=payload(transport, _count(source.get("bytes")), packets),
        received=payload(transport, _count(destination.get("bytes")), answered),
        sent_packets=packets,
        received_packets=answered,
        outcome=_outcome(ecs) if transport == "tcp" else Outcome(),
    )


def payload(transport: Transport, ip_bytes: int | None, packets: int | None) -> float | None:
    """Bytes of payload, estimated from those of IP: NetFlow counts no payload, so that Zeek's own count is not read."""
    if ip_bytes is None or packets is None:
        return None
    behind = ip_bytes - _HEADERS[transport] * packets
    return float(behind) if behind >= _OPTIONS else 0.0


def outcome_of(forward: int, backward: int | None) -> Outcome:
    """The outcome by the TCP control bits of either side, each the union over its packets; None: that side is not told.

    Without a SYN of the originator's the start was missed, and nothing can be said.
    """
    if not forward & SYN:
        return Outcome()
    established = bool(forward & ACK)
    if backward is None:
        return Outcome(established, True if forward & RST else None, None if forward & FIN else False)
    closed = bool(forward & backward & FIN)
    return Outcome(established, bool((forward | backward) & RST) and not closed, closed)


def _outcome(ecs: Document) -> Outcome:
    zeek, netflow = _object(_object(ecs, "zeek"), "connection"), _object(ecs, "netflow")
    history, state = zeek.get("history"), zeek.get("state")
    if type(history) is str and 0 < len(history) <= _LONGEST_HISTORY:
        return outcome_of(*_bits(history))
    if type(state) is str:
        return STATES.get(state, Outcome())
    forward = _count(netflow.get("tcp_control_bits")) or 0
    return outcome_of(forward, _count(netflow.get("reverse_tcp_control_bits")))


def _bits(history: str) -> tuple[int, int]:
    """The control bits that Zeek's history tells of: the originator's letters are capital."""
    forward = backward = 0
    for letter in history:
        bits = _LETTERS.get(letter.lower(), 0)
        if letter.isupper():
            forward |= bits
        else:
            backward |= bits
    return forward, backward


def _transport(network: Mapping[str, Any]) -> Transport | None:
    name = network.get("transport")
    if name is not None:
        return _NAMES.get(name.lower()) if type(name) is str else None
    number = _count(network.get("iana_number"))
    return None if number is None else _NUMBERS.get(number)


def _object(parent: Document, name: str) -> Mapping[str, Any]:
    found = parent.get(name)
    return found if type(found) is dict else {}


def _count(value: Json) -> int | None:
    """A count as JSON writes one: a whole number, or its digits as text."""
    if type(value) is float:
        return _count(int(value)) if math.isfinite(value) else None
    if type(value) is str:
        return _count(int(value)) if value.isascii() and value.isdigit() and len(value) < 20 else None
    return value if type(value) is int and 0 <= value < _MOST else None


def _port(value: Json) -> int | None:
    port = _count(value)
    return port if port is not None and port < 1 << 16 else None
