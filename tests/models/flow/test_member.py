"""The flow member scores flows, tells why, and has no view of anything else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connector.errors import ConfigError
from connector.models.flow.member import MODEL, FlowMember
from connector.models.flow.testbed import LABELS, flow_spec, lay_flow_member
from connector.testing import examples
from tests.models.flow.flows import event, netflow

UNANSWERED = netflow(
    source={"packets": 1, "bytes": 52},
    destination={"packets": 0, "bytes": 0},
    netflow={"tcp_control_bits": 0x02, "reverse_tcp_control_bits": 0},
)


@pytest.fixture(scope="module")
def member(tmp_path_factory: pytest.TempPathFactory) -> FlowMember:
    folder = tmp_path_factory.mktemp("flow")
    lay_flow_member(folder)
    return FlowMember(flow_spec(), folder, 1)


def test_a_flow_is_scored_and_a_high_score_says_what_it_is_like(member: FlowMember) -> None:
    scores, change = member.score([event(netflow()), examples.events(1)[0], event(UNANSWERED)], {}, {})

    assert scores.p_malicious[[0, 2]] == pytest.approx([1 / (1 + np.exp(3)), 1 / (1 + np.exp(-3))])
    assert scores.techniques[2] == pytest.approx([scores.p_malicious[2]] * len(LABELS))
    assert np.isnan(scores.p_malicious[1])
    assert np.isnan(scores.techniques[1]).all()
    assert scores.notes == ((), (), ("flow: like flood: tcp, port 443, 1.5 s, 1 packets out, 0 in, never answered",))
    assert not change.rows


def test_one_fingerprint_with_other_bytes_or_another_port_has_another_key(member: FlowMember) -> None:
    flows = [
        event(netflow()),
        event(netflow(source={"bytes": 900_000})),
        event(netflow(destination={"port": 22})),
        event(UNANSWERED),
    ]

    assert len({member.key(flow) for flow in flows}) == len(flows)
    assert member.key(flows[0]) == member.key(event(netflow(source={"ip": "203.0.113.77"})))
    assert len({member.key(other) for other in examples.events(6)}) == 1


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"features": ("duration",)}, "other features"),
        ({"classes": ("flood", "scan")}, "its classes are"),
        ({"techniques": {"flood": ("T1498",)}}, "table of techniques"),
        ({"classes": ("benign", "flood", "scan")}, "and 3 classes"),
        ({"trees": 5}, "unknown field"),
    ],
)
def test_a_member_that_does_not_fit_is_refused(tmp_path: Path, options: dict[str, object], wrong: str) -> None:
    lay_flow_member(tmp_path)

    with pytest.raises(ConfigError, match=wrong):
        FlowMember(flow_spec(**options), tmp_path, 1)


def test_a_corrupt_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / MODEL).write_bytes(b"no graph")

    with pytest.raises(ConfigError, match="no ONNX graph"):
        FlowMember(flow_spec(), tmp_path, 1)
