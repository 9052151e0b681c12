"""The second stage lowers what is like explained false positives, and raises nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.models.calibration import logit
from connector.models.second_stage import FILE, SecondStage
from connector.models.testbed import BIAS, lay_text_member, text_spec
from connector.models.text import MODEL, TextMember
from tests.models.events import process_start

WEIGHTS = {"alpha": {"T1059": 5.0, "malicious": 9.0}, "beta": {"T1003": 4.5, "malicious": 9.0}}
WIDTH = 3
FLOOR = -6.0


@pytest.fixture(scope="module")
def laid(tmp_path_factory) -> Path:
    """A text member whose features are its logits."""
    directory = tmp_path_factory.mktemp("text")
    lay_text_member(directory, WEIGHTS)
    graph = onnx.load(directory / MODEL)
    graph.graph.node.append(onnx.helper.make_node("Identity", ["logits"], ["embedding"]))
    shape = ["batch", WIDTH]
    graph.graph.output.append(onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, shape))
    onnx.save(graph, directory / MODEL)
    return directory


def stage(direction: tuple[float, float, float], reach: float = 0.9) -> SecondStage:
    towards = np.array(direction) / np.linalg.norm(direction)
    return SecondStage(mean=np.full(WIDTH, BIAS), prototypes=towards[None], reach=np.array([reach]), floor=FLOOR)


def scored(directory: Path, *commands: str):
    return TextMember(text_spec(weights=WEIGHTS), directory, 1).score([process_start(c) for c in commands], {}, {})[0]


def test_what_is_like_a_false_positive_is_lowered_to_an_ordinary_event_and_says_so(laid):
    plain = scored(laid, "alpha", "beta", "gamma")
    stage((0.0, 5.0, 9.0)).write(laid)  # where `alpha` points
    filtered = scored(laid, "alpha", "beta", "gamma")
    (laid / FILE).unlink()
    assert logit(filtered.p_malicious)[0] == pytest.approx(FLOOR, abs=1e-4)
    assert "false positives that analysts explained; log-odds -11.00" in filtered.notes[0][0]
    assert filtered.p_malicious[1:] == pytest.approx(plain.p_malicious[1:])
    assert not any("explained" in note for notes in filtered.notes[1:] for note in notes)
    assert np.array_equal(filtered.techniques, plain.techniques)


def test_what_is_calibrated_is_what_serves(laid):
    stage((0.0, 5.0, 9.0)).write(laid)
    member = TextMember(text_spec(weights=WEIGHTS), laid, 1)
    (laid / FILE).unlink()
    assert member.logits(["alpha"])[1][0] == pytest.approx(FLOOR)
    assert member.logits([])[1].shape == (0,)
    assert member.read(["alpha"]).malicious[0] == pytest.approx(BIAS + 9.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * (WIDTH + 1)), min_size=1), st.floats(-1, 0.98))
def test_no_logit_is_ever_raised_nor_brought_below_the_floor(rows, reach):
    features, logits = np.array(rows)[:, :WIDTH], np.array(rows)[:, WIDTH]
    found = stage((1.0, 2.0, 3.0), reach).lowered(features, logits)
    assert (found <= logits).all()
    assert (found >= np.minimum(logits, FLOOR) - 1e-6 * np.abs(logits)).all()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"mean": [0.0]}, "does not fit the 3 features"),
        ({"prototypes": []}, "does not fit the 3 features"),
        ({"prototypes": [[1.0], [1.0, 2.0]]}, "no second stage"),
        ({"reach": [1.0]}, "a reach is not below 1"),
        ({"floor": "low"}, "no second stage"),
        ({"more": 1}, "no second stage"),
    ],
)
def test_a_file_that_is_no_second_stage_of_this_graph_is_refused(laid, change: dict[str, Any], wrong):
    stage((1.0, 0.0, 0.0)).write(laid)
    numbers = msgspec.json.decode((laid / FILE).read_bytes())
    (laid / FILE).write_bytes(msgspec.json.encode(numbers | change))
    with pytest.raises(ConfigError, match=wrong):
        TextMember(text_spec(weights=WEIGHTS), laid, 1)
    (laid / FILE).unlink()
