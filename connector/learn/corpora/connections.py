"""Connections of a capture, as Zeek's conn.log counts them, with the payload that each side sent.

Meanings of the fields: Zeek's documentation of ``base/protocols/conn`` (conn.log), and its default timeouts. Two choices that
Zeek leaves to its state machine are simplified: which side opened a connection whose first packet was missed is told from
its ports, and what follows a reset within :data:`_AFTER_RESET` belongs to the same connection.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from connector.learn.corpora.captures import ACK, FIN, RST, SYN, Packet, Transport

MOST_PAYLOAD: Final = 1 << 16
"""Bytes of payload that are kept of each side."""

IDLE: Final[dict[Transport, float]] = {"tcp": 300.0, "udp": 60.0, "icmp": 60.0}
"""Seconds after which silence ends a connection."""

_UNANSWERED: Final = 5.0
_AFTER_CLOSE: Final = 5.0
_AFTER_RESET: Final = 0.1
_UNSEEN: Final = frozenset({"inactive", "partial"})
_HALF: Final = 1 << 31
_WHOLE: Final = 1 << 32

SERVERS: Final = frozenset(
    (
        *(20, 21, 22, 23, 25, 53, 67, 69, 80, 88, 110, 111, 123, 135, 137, 138, 139, 143, 161, 162, 389, 443, 445, 464),
        *(
            465,
            502,
            514,
            554,
            587,
            631,
            636,
            853,
            873,
            989,
            990,
            993,
            995,
            1080,
            1433,
            1812,
            1900,
            3128,
            3268,
            3306,
            3389,
        ),
        *(5060, 5353, 5355, 5432, 5900, 5985, 5986, 6379, 6667, 8000, 8080, 8443, 8888, 9200),
    )
)
"""Ports of servers, by which a connection's direction is told where its start was missed."""


class Side(msgspec.Struct):
    """What one end sent. ``size`` counts payload bytes: of TCP by sequence numbers, so that a retransmission counts once."""

    address: str
    port: int
    packets: int = 0
    ip_bytes: int = 0
    size: int = 0
    state: str = "inactive"
    flags: int = 0
    first: int | None = None
    kept: int = 0
    segments: dict[int, bytes] = msgspec.field(default_factory=dict)

    def payload(self, transport: Transport) -> tuple[bytes, ...]:
        """The stream up to its first gap as one text of bytes, of TCP; each datagram, of the others. At most :data:`MOST_PAYLOAD`."""
        if transport != "tcp":
            return tuple(self.segments.values())
        stream = bytearray()
        for place, data in sorted(self.segments.items()):
            if place > len(stream):
                break
            stream += data[len(stream) - place :]
        return (bytes(stream),) if stream else ()


class Connection(msgspec.Struct):
    """All packets between two ends until it closed or fell silent. ``history`` has Zeek's letters, of the responder in lower case."""

    transport: Transport
    start: float
    end: float
    originator: Side
    responder: Side
    history: str = ""

    @property
    def duration(self) -> float:
        """Seconds from the first packet to the last."""
        return self.end - self.start

    @property
    def state(self) -> str:
        """Zeek's ``conn_state``."""
        ours, theirs = self.originator.state, self.responder.state
        if self.transport == "tcp":
            return _tcp_state(ours, theirs, self.originator.size + self.responder.size)
        if self.transport == "udp":
            return {(True, True): "SF", (True, False): "S0", (False, True): "SHR"}.get(
                (ours == "active", theirs == "active"), "OTH"
            )
        return "OTH"


def connections(packets: Iterable[Packet]) -> list[Connection]:
    """The connections in the order of their first packets."""
    found: list[Connection] = []
    live: dict[tuple[object, ...], Connection] = {}
    for packet in packets:
        key = _key(packet)
        connection = live.get(key)
        if connection is None or _over(connection, packet):
            connection = live[key] = _opened(packet)
            found.append(connection)
        _take(connection, packet)
    return sorted(found, key=lambda connection: connection.start)


def _key(packet: Packet) -> tuple[object, ...]:
    if packet.transport == "icmp":  # type and code are no ports: an answer has another type
        return (packet.transport, *sorted((packet.source, packet.destination)))
    ends = (packet.source, packet.source_port), (packet.destination, packet.destination_port)
    return (packet.transport, *sorted(ends))


def _over(connection: Connection, packet: Packet) -> bool:
    """Whether the packet no longer belongs to it."""
    silence = packet.time - connection.end
    if silence > IDLE[connection.transport]:
        return True
    if connection.transport != "tcp":
        return False
    states = {connection.originator.state, connection.responder.state}
    if "reset" in states:
        return silence > _AFTER_RESET
    if states == {"closed"}:
        return silence > _AFTER_CLOSE or packet.flags & (SYN | ACK) == SYN
    return states == {"syn", "inactive"} and packet.time - connection.start > _UNANSWERED


def _opened(packet: Packet) -> Connection:
    source, destination = Side(packet.source, packet.source_port), Side(packet.destination, packet.destination_port)
    if _answers(packet):
        return Connection(packet.transport, packet.time, packet.time, destination, source, "^")
    return Connection(packet.transport, packet.time, packet.time, source, destination)


def _answers(packet: Packet) -> bool:
    """Whether the first packet that was seen comes from the responder."""
    if packet.transport == "icmp":
        return packet.source_port in {0, 129}  # an echo reply
    if packet.transport == "tcp" and packet.flags & SYN:
        return bool(packet.flags & ACK)
    return packet.source_port in SERVERS and packet.destination_port not in SERVERS


def _take(connection: Connection, packet: Packet) -> None:
    ours = (packet.source, packet.source_port) == (connection.originator.address, connection.originator.port)
    if connection.transport == "icmp":
        ours = packet.source == connection.originator.address
    side, peer = (
        (connection.originator, connection.responder) if ours else (connection.responder, connection.originator)
    )
    connection.start, connection.end = min(connection.start, packet.time), max(connection.end, packet.time)
    side.packets += 1
    side.ip_bytes += packet.ip_bytes
    if connection.transport == "tcp":
        _take_segment(side, packet)
        _advance(side, peer, packet.flags, ours=ours)
    else:
        side.state = "active"
        side.size += packet.length
        _keep(side, len(side.segments), packet.payload)
    for letter in _letters(packet):
        written = letter if ours else letter.lower()
        if written not in connection.history:
            connection.history += written


def _take_segment(side: Side, packet: Packet) -> None:
    """Counts what is new in the segment, by its place behind the first sequence number of this side."""
    syn = 1 if packet.flags & SYN else 0
    if side.first is None:
        side.first = (packet.sequence + syn) % _WHOLE
    side.flags |= packet.flags
    place = (packet.sequence + syn - side.first) % _WHOLE
    if not packet.length or place >= _HALF:  # nothing in it, or older than the first that was seen
        return
    side.size = max(side.size, place + packet.length)
    _keep(side, place, packet.payload)


def _keep(side: Side, place: int, payload: bytes) -> None:
    data = payload[: MOST_PAYLOAD - side.kept]
    if data and place < MOST_PAYLOAD and len(data) > len(side.segments.get(place, b"")):
        side.kept += len(data)
        side.segments[place] = data


def _advance(side: Side, peer: Side, flags: int, *, ours: bool) -> None:
    """One endpoint of TCP as Zeek tracks it: what it sent tells its state. An originator that only resets started nothing."""
    if flags & RST:
        if {side.state, peer.state} != {"closed"} and not (ours and side.state == "inactive"):
            side.state = "reset"
    elif flags & FIN:
        side.state = "closed" if side.state != "reset" else side.state
    elif flags & SYN and flags & ACK:
        if peer.state == "syn":
            side.state = peer.state = "established"
        elif side.state == "inactive":
            side.state = "syn-ack"
    elif flags & SYN:
        side.state = "syn" if side.state == "inactive" else side.state
    elif side.state == "inactive":
        side.state = "partial"


def _tcp_state(ours: str, theirs: str, size: int) -> str:
    """The two endpoints' states as one of conn.log's words."""
    if "reset" in {ours, theirs}:
        return _reset_state(ours, theirs, size)
    if theirs == "closed":
        return "SF" if ours == "closed" else "SHR" if ours in _UNSEEN else "S3"
    if ours == "closed":
        return "SH" if theirs in _UNSEEN else "S2"
    if ours == "syn" and theirs == "inactive":
        return "S0"
    return "S1" if ours == theirs == "established" else "OTH"


def _reset_state(ours: str, theirs: str, size: int) -> str:
    if theirs != "reset":
        return "RSTOS0" if theirs in _UNSEEN else "RSTO"
    if ours in {"syn", "syn-ack"} or (ours == "reset" and not size):
        return "REJ"
    return "RSTRH" if ours in _UNSEEN else "RSTR"


def _letters(packet: Packet) -> Iterable[str]:
    """What this packet adds to the history: SYN, SYN with ACK, payload, ACK alone, FIN, RST."""
    if packet.transport != "tcp":
        return ("D",)
    flags = packet.flags
    first = ("H" if flags & ACK else "S",) if flags & SYN else ("A",) if flags & ACK and not packet.length else ()
    told = ((packet.length, "D"), (flags & FIN, "F"), (flags & RST, "R"))
    return (*first, *(letter for there, letter in told if there))
