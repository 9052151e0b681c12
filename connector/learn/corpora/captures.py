"""Packet captures: classic pcap and pcapng, read with the standard library, packet by packet.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng (blocks and options), the link types of tcpdump.org/linktypes.html,
RFC 791 and 8200 (IP), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP). What is cut short or malformed is left out; nothing in
a packet raises.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from typing import Final, Literal, TypeAlias

import msgspec

from connector.errors import ConfigError

Transport: TypeAlias = Literal["tcp", "udp", "icmp"]

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
ACK: Final = 0x10

_MICROS, _NANOS = 0xA1B2C3D4, 0xA1B23C4D
_SECTION, _INTERFACE, _SIMPLE, _ENHANCED = 0x0A0D0D0A, 1, 3, 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_TIME_RESOLUTION: Final = 9
_MOST_RECORD: Final = 1 << 24
"""A longer record or block is no packet: what follows cannot be trusted."""

_IPV4, _IPV6 = 0x0800, 0x86DD
_VLANS: Final = frozenset({0x8100, 0x88A8, 0x9100})
_ETHERNET, _LOOPBACK, _LOOP, _COOKED, _COOKED_2 = 1, 0, 108, 113, 276
_RAW: Final = frozenset({12, 14, 101, 228, 229})
_LOOPBACK_IP: Final = {2: _IPV4, 24: _IPV6, 28: _IPV6, 30: _IPV6}
_TRANSPORTS: Final[dict[int, Transport]] = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp"}
_EXTENSIONS: Final = frozenset({0, 43, 60})
_MOST_EXTENSIONS: Final = 8


class Packet(msgspec.Struct, frozen=True, gc=False):
    """An IP packet of a known transport.

    ``time`` is in seconds since the epoch. ``ip_bytes`` is the length that the IP header states and ``length`` that of the payload, which may
    be more than ``payload`` holds where the capture was cut. For ICMP the ports are type and code; ``flags``,
    ``sequence`` are TCP's and 0 elsewhere.
    """

    time: float
    transport: Transport
    source: str
    source_port: int
    destination: str
    destination_port: int
    ip_bytes: int
    length: int
    payload: bytes
    flags: int = 0
    sequence: int = 0


def packets(capture: bytes) -> Iterator[Packet]:
    """The TCP, UDP and ICMP packets of a capture, in file order. Raises ``ConfigError`` where it is no capture at all."""
    for time, link, frame in frames(capture):
        packet = _packet(time, link, frame)
        if packet is not None:
            yield packet


def frames(capture: bytes) -> Iterator[tuple[float, int, bytes]]:
    """(time, link type, bytes) of each captured frame, in file order. Raises ``ConfigError`` where it is no capture at all."""
    if len(capture) >= 4 and struct.unpack("<I", capture[:4])[0] == _SECTION:
        return _pcapng(capture)
    for order in "<>":
        if len(capture) >= 24 and struct.unpack(f"{order}I", capture[:4])[0] in {_MICROS, _NANOS}:
            return _pcap(capture, order)
    raise ConfigError("neither a pcap nor a pcapng file: its first bytes are of another format")


def _pcap(capture: bytes, order: str) -> Iterator[tuple[float, int, bytes]]:
    magic, link = struct.unpack_from(f"{order}I16xI", capture)
    tick = 1e-9 if magic == _NANOS else 1e-6
    record = struct.Struct(f"{order}4I")
    place = 24
    while place + record.size <= len(capture):
        seconds, fraction, kept, _ = record.unpack_from(capture, place)
        place += record.size
        if kept > _MOST_RECORD or place + kept > len(capture):
            return
        yield seconds + fraction * tick, link & 0xFFFF, capture[place : place + kept]
        place += kept


def _pcapng(capture: bytes) -> Iterator[tuple[float, int, bytes]]:
    order, place = "<", 0
    interfaces: list[tuple[int, float]] = []
    while place + 12 <= len(capture):
        kind, size = struct.unpack_from(f"{order}2I", capture, place)
        if kind == _SECTION:
            order = "<" if struct.unpack_from("<I", capture, place + 8)[0] == _BYTE_ORDER else ">"
            size = struct.unpack_from(f"{order}I", capture, place + 4)[0]
            interfaces = []
        if not 12 <= size <= _MOST_RECORD or size % 4 or place + size > len(capture):
            return
        body = capture[place + 8 : place + size - 4]
        place += size
        if kind == _INTERFACE and len(body) >= 8:
            interfaces.append((struct.unpack_from(f"{order}H", body)[0], _tick(body[8:], order)))
        elif kind == _ENHANCED and len(body) >= 20:
            number, high, low, kept = struct.unpack_from(f"{order}4I", body)
            if number < len(interfaces) and 20 + kept <= len(body):
                link, tick = interfaces[number]
                yield ((high << 32) | low) * tick, link, body[20 : 20 + kept]
        elif kind == _SIMPLE and len(body) >= 4 and interfaces:
            length = struct.unpack_from(f"{order}I", body)[0]
            yield 0.0, interfaces[0][0], body[4 : 4 + length]


def _tick(options: bytes, order: str) -> float:
    """Seconds a unit of an interface's timestamps; a microsecond unless an option says otherwise."""
    place = 0
    while place + 4 <= len(options):
        code, length = struct.unpack_from(f"{order}2H", options, place)
        if code == _TIME_RESOLUTION and length == 1 and place + 4 < len(options):
            told = options[place + 4]
            return float(2.0 ** -(told & 0x7F) if told & 0x80 else 10.0**-told)
        if code == 0:
            break
        place += 4 + length + -length % 4
    return 1e-6


def _packet(time: float, link: int, frame: bytes) -> Packet | None:
    try:
        kind, datagram = _datagram(link, frame)
        if kind == _IPV4:
            return _ipv4(time, datagram)
        return _ipv6(time, datagram) if kind == _IPV6 else None
    except (struct.error, IndexError):  # cut short
        return None


def _datagram(link: int, frame: bytes) -> tuple[int, bytes]:
    """(Ethernet type, bytes from the IP header on); type 0 where the frame carries something else."""
    if link in _RAW:
        return {4: _IPV4, 6: _IPV6}.get(frame[0] >> 4, 0), frame
    if link == _ETHERNET:
        kind, place = struct.unpack_from("!H", frame, 12)[0], 14
    elif link == _COOKED:
        kind, place = struct.unpack_from("!H", frame, 14)[0], 16
    elif link == _COOKED_2:
        kind, place = struct.unpack_from("!H", frame)[0], 20
    elif link in {_LOOPBACK, _LOOP}:
        family = struct.unpack_from("!I", frame)[0]
        return _LOOPBACK_IP.get(family if family < 1 << 16 else int.from_bytes(frame[:4], "little"), 0), frame[4:]
    else:
        return 0, b""
    while kind in _VLANS:
        kind, place = struct.unpack_from("!H", frame, place + 2)[0], place + 4
    return kind, frame[place:]


def _ipv4(time: float, data: bytes) -> Packet | None:
    if len(data) < 20:
        return None
    header, total, fragment = (data[0] & 0x0F) * 4, *struct.unpack_from("!2xH2xH", data)
    if data[0] >> 4 != 4 or header < 20 or fragment & 0x1FFF:
        return None
    total = total or len(data)  # 0: the card was to fill it in when it sent the segments
    ends = str(ipaddress.IPv4Address(data[12:16])), str(ipaddress.IPv4Address(data[16:20]))
    return _transport(time, data[9], ends, (total, total - header), data[header:total])


def _ipv6(time: float, data: bytes) -> Packet | None:
    if len(data) < 40 or data[0] >> 4 != 6:
        return None
    length, following = struct.unpack_from("!4xHB", data)
    total = 40 + (length or len(data) - 40)
    ends = str(ipaddress.IPv6Address(data[8:24])), str(ipaddress.IPv6Address(data[24:40]))
    place = 40
    for _ in range(_MOST_EXTENSIONS):
        if following not in _EXTENSIONS:
            break
        following, place = data[place], place + (data[place + 1] + 1) * 8
    return _transport(time, following, ends, (total, total - place), data[place:total])


def _transport(time: float, number: int, ends: tuple[str, str], sizes: tuple[int, int], data: bytes) -> Packet | None:
    """A packet of what follows the IP header: ``data`` as captured; ``sizes`` as the header states them, with it and without."""
    total, length = sizes
    transport = _TRANSPORTS.get(number)
    flags = sequence = 0
    if transport == "tcp":
        source, destination, sequence, offset, flags = struct.unpack_from("!HHI4xBB", data)
        header = (offset >> 4) * 4
        if header < 20:
            return None
    elif transport == "udp":
        source, destination = struct.unpack_from("!HH4x", data)
        header = 8
    elif transport == "icmp":
        source, destination = struct.unpack_from("!BB6x", data)
        header = 8
    else:
        return None
    if length < header:
        return None
    return Packet(
        time,
        transport,
        ends[0],
        source,
        ends[1],
        destination,
        total,
        length - header,
        data[header:],
        flags,
        sequence,
    )
