"""What an event says of a flow is read alike from conn.log and NetFlow, and never from what is malformed."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.models.flow.features import CLASSES, NAMES, PORTS, features, port_class
from connector.models.flow.view import STATES, Flow, Outcome, flow_of, outcome_of
from tests.models.flow.flows import event, netflow


def test_netflow_is_read_with_its_payload_estimated_from_bytes_and_packets() -> None:
    assert flow_of(event(netflow()).ecs) == Flow(
        transport="tcp",
        port=443,
        seconds=1.5,
        sent=1_040 - 520,
        received=10_520 - 520,
        sent_packets=10,
        received_packets=10,
        outcome=Outcome(established=True, reset=False, closed=True),
    )


def test_options_of_tcp_are_no_payload() -> None:
    flow = flow_of(event(netflow(source={"bytes": 3 * 60, "packets": 3})).ecs)

    assert flow is not None
    assert flow.sent == 0.0


MALFORMED: list[dict[str, Any]] = [
    netflow(network={"transport": "sctp"}),
    netflow(network={"transport": ["tcp"]}),
    netflow(source={"packets": -1}, destination={"packets": "many"}),
    netflow(source={"packets": 0}, destination={"packets": 0}),
    netflow(event={"duration": -5}),
    netflow(event={"duration": "1e999"}),
    {"@timestamp": "2026-01-02T03:04:05Z", "ecs": {"version": "8"}, "source": "192.0.2.1", "network": []},
]


@pytest.mark.parametrize("document", MALFORMED)
def test_a_malformed_flow_is_no_flow(document: dict[str, Any]) -> None:
    assert flow_of(event(document).ecs) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2),
)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["bytes", "packets", "port", "transport", "duration", "history", "state"]), JSON)
)
def test_whatever_stands_in_the_fields_a_row_of_finite_numbers_or_nan_comes_of_it(values: dict[str, Any]) -> None:
    document = {
        "network": {"transport": "tcp", **values},
        "source": {"packets": 3, **values},
        "destination": values,
        "event": values,
        "zeek": {"connection": values},
        "netflow": values,
    }
    flow = flow_of(document)

    assert flow is None or not any(map(math.isinf, features(flow)))


def test_control_bits_and_conn_state_tell_the_same_outcome() -> None:
    fin, syn, rst, ack = 0x01, 0x02, 0x04, 0x10
    told = {
        "S0": (syn, 0),
        "S1": (syn | ack, syn | ack),
        "SF": (syn | ack | fin, syn | ack | fin),
        "REJ": (syn, rst | ack),
        "S2": (syn | ack | fin, syn | ack),
        "S3": (syn | ack, syn | ack | fin),
        "RSTO": (syn | ack | rst, syn | ack),
        "RSTR": (syn | ack | fin, syn | ack | rst),
        "RSTOS0": (syn | rst, 0),
        "SH": (syn | fin, 0),
        "OTH": (ack, ack),
    }
    assert {state: outcome_of(*bits) for state, bits in told.items()} == {state: STATES[state] for state in told}


def test_bits_of_one_direction_tell_only_what_one_side_can_know() -> None:
    assert outcome_of(0x1B, None) == Outcome(established=True, reset=None, closed=None)
    assert outcome_of(0x02, None) == Outcome(established=False, reset=None, closed=False)


def test_ports_are_classes_and_addresses_are_not_read() -> None:
    assert [port_class(port) for port in (443, 445, 700, 30_000, 60_000)] == [
        *("web", "windows", "system", "registered", "dynamic")
    ]
    assert sum(map(len, PORTS.values())) == len(frozenset().union(*PORTS.values()))
    moved = netflow(source={"ip": "203.0.113.9", "port": 1}, destination={"ip": "2001:db8::9", "port": 8443})
    one, other = flow_of(event(netflow()).ecs), flow_of(event(moved).ecs)
    assert one is not None
    assert other is not None
    assert features(one).tobytes() == features(other).tobytes()


def test_rates_need_a_second_and_no_packets_give_no_mean() -> None:
    row = dict(
        zip(NAMES, features(Flow(transport="udp", port=53, seconds=0.9, sent=40.0, sent_packets=0)), strict=True)
    )

    assert math.isnan(row["sent-a-second"])
    assert math.isnan(row["sent-a-packet"])
    assert math.isnan(row["received"])
    assert (row["duration"], row["udp"], row["tcp"], row["port-names"]) == (0.0, 1.0, 0.0, 1.0)
    assert len(NAMES) == len(features(Flow()))
    assert len(set(NAMES)) == len(NAMES) >= len(CLASSES)
