"""Labelled flows of public data sets, each row as the flow member would see it: what a conn.log does not give is left out.

NSL-KDD's records have payload bytes, whole seconds and conn_state, and no packets. CICIDS2017 (the sample) has payload of one side,
packets and microseconds, and neither ports nor protocols. UNSW-NB15 has all of it, and may train nothing.
"""

from __future__ import annotations

import csv
import math
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.learn.corpora import nsl_kdd
from connector.learn.corpora.captures import packets
from connector.learn.corpora.connections import Connection, connections
from connector.learn.corpora.packed import zipped
from connector.learn.corpora.source import Corpora
from connector.models.flow.classes import BENIGN
from connector.models.flow.view import STATES, Flow, Outcome, Transport, outcome_of, payload

CICIDS: Final = "cicids2017_sample"
UNSW: Final = "caid2025"

CAPTURES: Final = "otrf_network"
UNKNOWN: Final = "unknown"
ATTACK: Final = "attack"
"""The class of an attack whose kind the data set does not say."""

TABLE: Final = Path(__file__).with_name("flow_classes.toml")


class Class(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the table: which attacks are of this class, which techniques it shows, and why."""

    techniques: tuple[str, ...]
    attacks: tuple[str, ...]
    why: str


class Labelled(msgspec.Struct, frozen=True):
    """A flow, its class (``benign``, a name of the table, or ``attack``), and the data set's own name of what it is."""

    flow: Flow
    kind: str
    attack: str


SERVICES: Final[Mapping[str, int]] = tomllib.loads(Path(__file__).with_name("service_ports.toml").read_text("utf-8"))
"""Ports of the services that NSL-KDD and UNSW-NB15 name."""


_ARGUS: Final = {"FIN": STATES["SF"], "CON": STATES["S1"], "REQ": STATES["S0"], "RST": STATES["RSTR"]}
"""Argus' states of TCP: closed, connected, requested, reset."""


def classes() -> Mapping[str, Class]:
    """The table of classes."""
    return msgspec.convert(tomllib.loads(TABLE.read_text("utf-8")), dict[str, Class])


def nsl_flows(records: nsl_kdd.Connections) -> list[Labelled]:
    """NSL-KDD's records as flows, in order."""
    kinds = {attack: name for name, row in classes().items() for attack in row.attacks} | {"normal": BENIGN}
    found = []
    for numbers, (transport, service, flag), attack in zip(
        records.numbers, records.symbols, records.attacks, strict=True
    ):
        flow = Flow(
            transport=transport,
            port=SERVICES.get(service) if transport != "icmp" else None,
            seconds=float(numbers[0]),
            sent=float(numbers[1]),
            received=float(numbers[2]),
            outcome=STATES.get(flag, Outcome()) if transport == "tcp" else Outcome(),
        )
        found.append(Labelled(flow, kinds[attack], attack))
    return found


def captured_flows(corpora: Corpora) -> Iterator[Labelled]:
    """The flows of OTRF's packet captures: attacks and what went on beside them, with no label of single flows."""
    for path, content in corpora.files(CAPTURES, ".zip", ".cap"):
        captures = zipped(path, content, ".cap", ".pcap", ".pcapng") if path.endswith(".zip") else (content,)
        for capture in captures:
            for connection in connections(packets(capture)):
                yield Labelled(flow_of_connection(connection), UNKNOWN, UNKNOWN)


def flow_of_connection(connection: Connection) -> Flow:
    """A connection of a capture as an exporter of NetFlow would tell of it."""
    ours, theirs, transport = connection.originator, connection.responder, connection.transport
    return Flow(
        transport=transport,
        port=theirs.port if transport != "icmp" else None,
        seconds=connection.duration,
        sent=payload(transport, ours.ip_bytes, ours.packets),
        received=payload(transport, theirs.ip_bytes, theirs.packets),
        sent_packets=ours.packets,
        received_packets=theirs.packets,
        outcome=outcome_of(ours.flags, theirs.flags) if transport == "tcp" else Outcome(),
    )


def cicids_flows(corpora: Corpora) -> Iterator[Labelled]:
    """The CICIDS2017 sample. Rows that CICFlowMeter gave a negative or endless value are left out."""
    for row in cicids_rows(corpora):
        seconds = _float(row, "Flow Duration") / 1e6
        packets, answers = (_float(row, f"{way} Packets/s") * seconds for way in ("Fwd", "Bwd"))
        sent = _float(row, "Total Length of Fwd Packets")
        if all(map(_usable, (seconds, packets, answers, sent))):
            flow = Flow(seconds=seconds, sent=sent, sent_packets=round(packets), received_packets=round(answers))
            bad = row["Labelb"] != "0"
            yield Labelled(flow, ATTACK if bad else BENIGN, ATTACK if bad else BENIGN)


def cicids_rows(corpora: Corpora) -> Iterator[dict[str, str]]:
    """The sample's table, row by row. Raises ``ConfigError`` where it is missing or another table."""
    for path, content in corpora.files(CICIDS, ".csv"):
        if path.endswith("cic_0.01km.csv"):
            yield from _table(CICIDS, content, "Labelb")
            return
    raise ConfigError(f"{CICIDS}: there is no cic_0.01km.csv")


def unsw_flows(corpora: Corpora) -> Iterator[Labelled]:
    """UNSW-NB15's flows over TCP, UDP and ICMP: for evaluation alone."""
    for row in unsw_rows(corpora):
        if row["proto"] not in {"tcp", "udp", "icmp"}:
            continue
        transport: Transport = row["proto"]  # type: ignore[assignment]
        packets, answers = int(row["spkts"]), int(row["dpkts"])
        flow = Flow(
            transport=transport,
            port=SERVICES.get(row["service"]),
            seconds=float(row["dur"]),
            sent=payload(transport, int(row["sbytes"]), packets),
            received=payload(transport, int(row["dbytes"]), answers),
            sent_packets=packets,
            received_packets=answers,
            outcome=_ARGUS.get(row["state"], Outcome()) if transport == "tcp" else Outcome(),
        )
        yield Labelled(flow, BENIGN if row["attack_cat"] == "Normal" else ATTACK, row["attack_cat"])


def unsw_rows(corpora: Corpora) -> Iterator[dict[str, str]]:
    """UNSW-NB15's table, row by row. Raises ``ConfigError`` where it is missing or another table."""
    for path, content in corpora.files(UNSW, "UNSW_NB15_training-set.zip"):
        for table in zipped(path, content, "UNSW_NB15_training-set.csv"):
            yield from _table(UNSW, table, "attack_cat")
            return
    raise ConfigError(f"{UNSW}: there is no UNSW_NB15_training-set.zip with the table")


def _table(name: str, content: bytes, last: str) -> Iterator[dict[str, str]]:
    rows = csv.DictReader(content.decode("utf-8-sig", "replace").splitlines())
    if last not in (rows.fieldnames or ()):
        raise ConfigError(f"{name}: the table has no column {last}")
    yield from rows


def _float(row: Mapping[str, str], name: str) -> float:
    try:
        return float(row[name])
    except ValueError:
        return math.nan


def _usable(value: float) -> bool:
    return math.isfinite(value) and value >= 0.0
