"""Flow features are the same whether they come from a capture's NetFlow or from its conn.log.

No Zeek runs here: the conn.log is written by ``conn_log.py`` to Zeek's documentation. What a real Zeek wrote is read in
``test_a_real_conn_log_is_read_as_flows``, where the corpora are there.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from connector.events import normalise
from connector.learn.corpora.captures import ACK, RST, SYN, packets
from connector.learn.corpora.connections import Connection, connections
from connector.learn.corpora.labelled_flows import flow_of_connection
from connector.learn.corpora.source import Corpora
from connector.models.flow.features import NAMES, features
from connector.models.flow.view import STATES, Flow, flow_of
from connector.siem.formats.zeek import ZeekRows
from connector.types import RawEvent, SourceRef
from tests.learn.captures.conn_log import conn_log, netflow_of
from tests.learn.captures.frames import CLIENT, SERVER, ethernet, ipv4, pcap, tcp, udp

CAPTURES = (
    "covenant_psremoting_command.zip",
    "empire_ninjacopy_dumping_ntds_dit_file_pcap.zip",
    "purplesharp_ad_playbook_I.zip",
)
_NOWHERE = SourceRef(siem="test", index="conn", id="1")


def exchange() -> bytes:
    """A download, a refused connection, an unanswered one, a name looked up, and a ping."""
    up, down = (CLIENT, SERVER), (SERVER, CLIENT)

    def segment(time: float, ends: tuple[str, str], ports: tuple[int, int], flags: int, sequence: int, size: int = 0):
        return time, ethernet(ipv4("tcp", tcp(*ports, flags, sequence, bytes(size)), *ends))

    web, back = (50_000, 443), (443, 50_000)
    frames = [
        segment(0.0, up, web, SYN, 10),
        segment(0.1, down, back, SYN | ACK, 70),
        segment(0.2, up, web, ACK, 11, 300),
        *(segment(0.3 + place, down, back, ACK, 71 + 1_400 * place, 1_400) for place in range(4)),
        segment(4.0, up, web, ACK | 1, 311),
        segment(4.1, down, back, ACK | 1, 71 + 5_600),
        segment(5.0, up, (50_001, 22), SYN, 5),
        segment(5.1, down, (22, 50_001), RST | ACK, 0),
        segment(6.0, up, (50_002, 3389), SYN, 5),
        (7.0, ethernet(ipv4("udp", udp(50_003, 53, bytes(40))))),
        (7.2, ethernet(ipv4("udp", udp(53, 50_003, bytes(120)), *down))),
        (8.0, ethernet(ipv4("icmp", bytes([8, 0, *range(40)])))),
    ]
    return pcap(frames)


def from_log(log: bytes) -> list[Flow | None]:
    """What the product reads out of a conn.log."""
    rows = [row[3] for row in ZeekRows().rows(io.BytesIO(log), 1 << 20)]
    assert all(isinstance(row, dict) for row in rows)
    return [
        flow_of(normalise(RawEvent(deployment="t", native_id=str(n), ref=_NOWHERE, data=row)).ecs)
        for n, row in enumerate(rows)
    ]


def from_netflow(connection: Connection) -> Flow | None:
    document = netflow_of(connection)
    return flow_of(normalise(RawEvent(deployment="t", native_id="1", ref=_NOWHERE, data=document)).ecs)


def agree(found: list[Connection]) -> None:
    logged = from_log(conn_log(found))
    assert len(logged) == len(found)
    for connection, flow in zip(found, logged, strict=True):
        other = from_netflow(connection)
        assert flow is not None
        assert other is not None
        assert features(other).tobytes() == features(flow_of_connection(connection)).tobytes()
        one, two = features(flow), features(other)
        apart = [NAMES[place] for place in np.flatnonzero(~((one == two) | (np.isnan(one) & np.isnan(two))))]
        assert not apart, (connection.state, connection.history, connection.duration)
        if connection.transport == "tcp" and "S" in connection.history:
            assert flow.outcome == STATES[connection.state], connection.history


def test_a_capture_and_its_conn_log_give_the_same_features() -> None:
    found = connections(packets(exchange()))

    assert [connection.state for connection in found] == ["SF", "REJ", "S0", "SF", "OTH"]
    agree(found)
    download = from_netflow(found[0])
    assert download is not None
    assert download.received == pytest.approx(found[0].responder.size, rel=0.05)


def test_captures_of_real_attacks_and_their_conn_logs_give_the_same_features(corpora: Path) -> None:
    found = 0
    for _, content in Corpora(corpora).files("otrf_network", *CAPTURES):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                each = connections(packets(archive.read(name)))
                agree(each)
                found += len(each)
    assert found > 50


def test_a_real_conn_log_is_read_as_flows(corpora: Path) -> None:
    logs = 0
    for _, content in Corpora(corpora).files("otrf_compound", "_zeek_logs.zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            flows = from_log(archive.read("conn.log"))
        assert len(flows) > 100
        assert all(flow is not None and flow.sent is not None and flow.received is not None for flow in flows)
        logs += 1
    assert logs == 3
