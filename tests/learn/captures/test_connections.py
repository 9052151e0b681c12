"""Connections are counted as Zeek counts them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connector.learn.corpora.captures import ACK, FIN, RST, SYN, Packet
from connector.learn.corpora.connections import Connection, connections
from tests.learn.captures.frames import CLIENT, LETTERS, SERVER

REAL = [
    ("udp", "^d", 53, "SHR"),
    ("udp", "D", 5355, "S0"),
    ("tcp", "^hadf", 80, "SHR"),
    ("tcp", "^hdar", 88, "RSTRH"),
    ("tcp", "^hdtaf", 135, "SHR"),
    ("tcp", "^ar", 80, "RSTRH"),
    ("tcp", "^r", 80, "RSTRH"),
    ("tcp", "^hda", 445, "OTH"),
    ("tcp", "^hd", 135, "OTH"),
    ("tcp", "^hadtfr", 5678, "RSTRH"),
    ("tcp", "R", 60352, "OTH"),
]
"""Every kind of (protocol, history, responder's port, conn_state) in conn.log of the LSASS campaigns 02 to 04, made by a real Zeek."""

DOCUMENTED = [
    ("tcp", "S", "S0"),
    ("tcp", "ShADad", "S1"),
    ("tcp", "ShADadFf", "SF"),
    ("tcp", "Sr", "REJ"),
    ("tcp", "ShADadF", "S2"),
    ("tcp", "ShADadf", "S3"),
    ("tcp", "ShADadR", "RSTO"),
    ("tcp", "ShADadr", "RSTR"),
    ("tcp", "SR", "RSTOS0"),
    ("tcp", "SF", "SH"),
    ("tcp", "DadA", "OTH"),
    ("udp", "Dd", "SF"),
]
"""conn_state as Zeek's documentation of conn.log describes each word."""


def told(transport: str, history: str, port: int) -> list[Packet]:
    """Packets that have this history, a byte of payload where a letter says payload."""
    found = []
    sent = {True: 1, False: 1}
    for place, letter in enumerate(history.removeprefix("^")):
        ours = letter.isupper()
        ends = (CLIENT, 50_000, SERVER, port) if ours else (SERVER, port, CLIENT, 50_000)
        payload = b"x" if letter.upper() == "D" else b""
        flags = LETTERS[letter.upper()] if transport == "tcp" else 0
        found.append(packet(transport, ends, place / 10, flags=flags, sequence=sent[ours], payload=payload))
        sent[ours] += len(payload) + (1 if flags & SYN else 0)
    return found


def packet(
    transport: str,
    ends: tuple[str, int, str, int],
    time: float,
    *,
    flags: int = 0,
    sequence: int = 0,
    payload: bytes = b"",
) -> Packet:
    header = 40 if transport == "tcp" else 28
    return Packet(time, transport, *ends, header + len(payload), len(payload), payload, flags, sequence)


def only(packets: Sequence[Packet]) -> Connection:
    (connection,) = connections(packets)
    return connection


@pytest.mark.parametrize(("transport", "history", "port", "state"), REAL)
def test_what_a_real_zeek_wrote_of_a_history_is_written_here(
    transport: str, history: str, port: int, state: str
) -> None:
    connection = only(told(transport, history, port))

    assert connection.state == state
    assert connection.responder.port == port
    assert connection.history == history.replace("t", "")


@pytest.mark.parametrize(("transport", "history", "state"), DOCUMENTED)
def test_each_state_is_as_documented(transport: str, history: str, state: str) -> None:
    assert only(told(transport, history, 8081)).state == state


UP, DOWN = (CLIENT, 50_000, SERVER, 80), (SERVER, 80, CLIENT, 50_000)


def test_payload_is_counted_by_sequence_numbers_and_joined_in_their_order() -> None:
    request = [
        packet("tcp", UP, 0.0, flags=SYN, sequence=100),
        packet("tcp", DOWN, 0.1, flags=SYN | ACK, sequence=500),
        packet("tcp", UP, 0.2, flags=ACK, sequence=105, payload=b"second"),
        packet("tcp", UP, 0.3, flags=ACK, sequence=101, payload=b"one "),
        packet("tcp", UP, 0.4, flags=ACK, sequence=101, payload=b"one "),
        packet("tcp", DOWN, 0.5, flags=ACK, sequence=511, payload=b"behind a gap"),
    ]

    connection = only(request)
    assert connection.originator.payload("tcp") == (b"one second",)
    assert connection.responder.payload("tcp") == ()
    assert (connection.originator.size, connection.responder.size) == (10, 22)
    assert (connection.originator.packets, connection.originator.ip_bytes) == (4, 4 * 40 + 14)
    assert connection.duration == pytest.approx(0.5)


def test_silence_an_unanswered_attempt_and_a_close_end_a_connection() -> None:
    ask, retry = packet("tcp", UP, 0.0, flags=SYN), packet("tcp", UP, 6.0, flags=SYN)
    assert [connection.state for connection in connections([ask, retry])] == ["S0", "S0"]

    dns = (CLIENT, 50_000, SERVER, 53)
    assert len(connections([packet("udp", dns, time, payload=b"q") for time in (0.0, 59.0, 120.0)])) == 2

    closed = told("tcp", "ShADadFf", 80)
    assert len(connections([*closed, packet("tcp", UP, 1.0, flags=SYN)])) == 2
    assert len(connections([*closed, packet("tcp", UP, 1.0, flags=ACK | FIN)])) == 1
    assert only([*closed, packet("tcp", UP, 1.0, flags=RST)]).state == "SF"
