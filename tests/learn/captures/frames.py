"""Frames and capture files, made byte by byte for the tests of their readers."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable

from connector.learn.corpora.captures import ACK, FIN, RST, SYN

CLIENT, SERVER = "192.0.2.10", "192.0.2.80"
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1}


def tcp(source: int, destination: int, flags: int, sequence: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!HHIIBBHHH", source, destination, sequence, 0, 5 << 4, flags, 0, 0, 0) + payload


def udp(source: int, destination: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def ipv4(protocol: str, body: bytes, source: str = CLIENT, destination: str = SERVER) -> bytes:
    ends = ipaddress.IPv4Address(source).packed + ipaddress.IPv4Address(destination).packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, PROTOCOLS[protocol], 0) + ends + body


def ipv6(number: int, body: bytes) -> bytes:
    ends = ipaddress.IPv6Address("2001:db8::1").packed + ipaddress.IPv6Address("2001:db8::2").packed
    return struct.pack("!IHBB", 6 << 28, len(body), number, 64) + ends + body


def ethernet(datagram: bytes, *, vlan: bool = False) -> bytes:
    kind = 0x0800 if datagram[0] >> 4 == 4 else 0x86DD
    return bytes(12) + (struct.pack("!HH", 0x8100, 5) if vlan else b"") + struct.pack("!H", kind) + datagram


def pcap(frames: Iterable[tuple[float, bytes]], *, link: int = 1, order: str = "<", nanos: bool = False) -> bytes:
    ticks = 10**9 if nanos else 10**6
    head = struct.pack(f"{order}IHHiIII", 0xA1B23C4D if nanos else 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, link)
    return head + b"".join(
        struct.pack(f"{order}4I", int(time), round(time % 1 * ticks), len(frame), len(frame)) + frame
        for time, frame in frames
    )


def pcapng(frames: Iterable[tuple[float, bytes]], *, order: str = "<", nanos: bool = False) -> bytes:
    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(f"{order}I", 12 + len(body))
        return struct.pack(f"{order}I", kind) + size + body + size

    resolution = struct.pack(f"{order}HHB3xHH", 9, 1, 9, 0, 0) if nanos else b""
    file = block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))
    file += block(1, struct.pack(f"{order}HHI", 1, 0, 0) + resolution)
    for time, frame in frames:
        stamp = round(time * (10**9 if nanos else 10**6))
        told = struct.pack(f"{order}5I", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(frame), len(frame))
        file += block(6, told + frame)
    return file


LETTERS = {"S": SYN, "H": SYN | ACK, "A": ACK, "D": ACK, "F": FIN | ACK, "R": RST, "T": ACK}
"""The flags of a packet that gives a letter of Zeek's history."""
