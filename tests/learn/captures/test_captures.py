"""Captures in either format, byte order and resolution give the same packets; what is broken gives none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.learn.corpora.captures import SYN, packets
from tests.learn.captures.frames import CLIENT, SERVER, ethernet, ipv4, ipv6, pcap, pcapng, tcp, udp

FRAMES = [
    (1_600_000_000.25, ethernet(ipv4("tcp", tcp(50_000, 80, SYN, 7)))),
    (1_600_000_000.5, ethernet(ipv4("udp", udp(50_001, 53, b"question")), vlan=True) + bytes(6)),
]
FILES = {
    "pcap": pcap(FRAMES),
    "pcap, big-endian, nanoseconds": pcap(FRAMES, order=">", nanos=True),
    "pcapng": pcapng(FRAMES),
    "pcapng, big-endian, nanoseconds": pcapng(FRAMES, order=">", nanos=True),
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_packets(name: str) -> None:
    first, second = packets(FILES[name])

    assert (first.transport, first.source, first.destination) == ("tcp", CLIENT, SERVER)
    assert (first.source_port, first.destination_port, first.flags, first.sequence) == (50_000, 80, SYN, 7)
    assert (first.ip_bytes, first.length) == (40, 0)
    assert first.time == pytest.approx(1_600_000_000.25, abs=1e-6)
    assert (second.transport, second.payload, second.ip_bytes) == ("udp", b"question", 36)


def test_ipv6_is_read_past_its_extension_headers() -> None:
    hop_by_hop = bytes([17, 0, 1, 4, 0, 0, 0, 0])
    file = pcap([(1.0, ipv6(0, hop_by_hop + udp(5353, 5353, b"x")))], link=101)

    (packet,) = packets(file)
    assert (packet.source, packet.destination_port, packet.payload) == ("2001:db8::1", 5353, b"x")


def test_a_packet_that_the_capture_cut_keeps_the_length_that_its_header_states() -> None:
    whole = ethernet(ipv4("udp", udp(1, 2, bytes(100))))

    (packet,) = packets(pcap([(1.0, whole[:60])]))
    assert (packet.length, len(packet.payload)) == (100, 18)


@pytest.mark.parametrize(
    ("link", "frame", "headers"),
    [
        (1, ethernet(ipv4("tcp", tcp(50_000, 80, SYN, 7, b"text"))), 14 + 20 + 14),
        (1, ethernet(ipv4("udp", udp(50_001, 53, b"question")), vlan=True), 18 + 20 + 8),
        (101, ipv6(0, bytes([17, 0, 1, 4, 0, 0, 0, 0]) + udp(5353, 5353, b"x")), 40 + 8 + 8),
    ],
    ids=["ipv4 tcp", "ipv4 udp in a vlan", "ipv6 udp"],
)
def test_a_frame_cut_anywhere_raises_nothing_and_is_a_packet_once_its_headers_are_there(
    link: int, frame: bytes, headers: int
) -> None:
    found = [len(list(packets(pcap([(1.0, frame[:length])], link=link)))) for length in range(len(frame) + 1)]

    assert found == [int(length >= headers) for length in range(len(frame) + 1)]


def test_what_is_no_capture_is_refused_and_a_file_that_ends_early_gives_what_came_before() -> None:
    with pytest.raises(ConfigError, match="neither a pcap nor a pcapng"):
        packets(b"{}").__next__()
    assert len(list(packets(FILES["pcap"][:-3]))) == 1
    assert len(list(packets(FILES["pcapng"][:-3]))) == 1


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.integers(24, 200), st.binary(min_size=1, max_size=8))
def test_no_damage_behind_the_first_header_raises(name: str, place: int, damage: bytes) -> None:
    file = FILES[name]

    list(packets(file[:place] + damage + file[place + len(damage) :]))
