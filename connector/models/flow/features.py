"""A flow as a row of numbers: sizes and times on a coarse logarithmic scale, and the responder's port as a class.

The scale has two steps an octave: a flow is told by how much, how long and how even, not by the byte, and the exact sizes
that one testbed's tools sent must not be learnt by heart. Durations are read in whole seconds, which every source of
flows has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connector.models.flow.view import Flow

PORTS: Final[Mapping[str, frozenset[int]]] = {
    "web": frozenset({80, 443, 591, 3128, 8000, 8008, 8080, 8081, 8443, 8888}),
    "names": frozenset({53, 137, 853, 5353, 5355}),
    "mail": frozenset({24, 25, 109, 110, 143, 220, 465, 587, 993, 995}),
    "files": frozenset({20, 21, 69, 115, 873, 989, 990, 2049}),
    "shell": frozenset({22, 23, 512, 513, 514, 543, 544, 2222}),
    "desktop": frozenset({177, 3389, 5800, 5900, 5901, 6000, 6001}),
    "windows": frozenset({135, 138, 139, 445, 593, 5985, 5986}),
    "directory": frozenset({42, 88, 389, 464, 636, 3268, 3269}),
    "database": frozenset({66, 1433, 1434, 1521, 3306, 5432, 6379, 9200, 27017}),
    "upkeep": frozenset({7, 9, 11, 13, 15, 19, 37, 67, 68, 79, 111, 113, 123, 161, 162, 179, 500, 1900}),
}
"""Servers' ports by what is asked there; ``upkeep`` are the services by which networks and hosts are kept running."""

CLASSES: Final = (*PORTS, "system", "registered", "dynamic")
"""Other ports by their range (RFC 6335): below 1024, below 49152, and from there on."""

NAMES: Final = (
    *("duration", "tcp", "udp", "icmp"),
    *(f"port-{name}" for name in CLASSES),
    *("sent", "received", "sent-packets", "received-packets", "sent-a-packet", "received-a-packet"),
    *("sent-a-second", "received-a-second", "packets-a-second", "payload-ratio", "packets-ratio"),
    *("established", "reset", "closed"),
)
"""The columns, in order."""

_CLASS: Final = {port: name for name, ports in PORTS.items() for port in ports}
_STEPS: Final = 2


def port_class(port: int) -> str:
    """The class of a responder's port."""
    found = _CLASS.get(port)
    if found is not None:
        return found
    return "system" if port < 1024 else "registered" if port < 49152 else "dynamic"


def features(flow: Flow) -> NDArray[np.float32]:
    """The row of a flow, (len(NAMES),); nan where a value is not known."""
    sent, received = _or_nan(flow.sent), _or_nan(flow.received)
    packets, answered = _or_nan(flow.sent_packets), _or_nan(flow.received_packets)
    seconds = math.floor(flow.seconds)
    lasted = float(seconds) if seconds else math.nan
    own = None if flow.port is None else port_class(flow.port)
    outcome = flow.outcome
    return np.array(
        [
            _scaled(seconds),
            *(math.nan if flow.transport is None else flow.transport == name for name in ("tcp", "udp", "icmp")),
            *(math.nan if own is None else own == name for name in CLASSES),
            *map(_scaled, (sent, received, packets, answered)),
            _scaled(sent / (packets or math.nan)),
            _scaled(received / (answered or math.nan)),
            *map(_scaled, (sent / lasted, received / lasted, (packets + answered) / lasted)),
            _scaled(received) - _scaled(sent),
            _scaled(answered) - _scaled(packets),
            *map(_or_nan, (outcome.established, outcome.reset, outcome.closed)),
        ],
        np.float32,
    )


def rows(flows: Sequence[Flow]) -> NDArray[np.float32]:
    """The rows of n flows, (n, len(NAMES))."""
    return np.stack([features(flow) for flow in flows]) if flows else np.empty((0, len(NAMES)), np.float32)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _scaled(value: float) -> float:
    """log2(1 + value) to the nearest half; nan stays nan."""
    return value if math.isnan(value) else round(math.log2(1.0 + value) * _STEPS) / _STEPS
