"""The text member: logits of a known graph become the probabilities that they should."""

from __future__ import annotations

import json
import math

import numpy as np
import onnx
import pytest

from connector.errors import ConfigError
from connector.models import graph as graphs
from connector.models.testbed import BIAS, labels_of, lay_text_member, text_spec
from connector.models.text import MODEL, TOKENIZER, TextMember
from tests.models.events import process_start

WEIGHTS = {"alpha": {"T1059": 5.0, "malicious": 6.0}, "beta": {"T1003": 4.5, "T1003.001": 1.0}}
LABELS = labels_of(WEIGHTS)
COMMANDS = ["alpha", "beta beta", "gamma", "alpha beta", "beta " * 30 + "alpha"]


def member(directory, threads=1, **options) -> TextMember:
    if not (directory / MODEL).exists():
        lay_text_member(directory, WEIGHTS)
    return TextMember(text_spec(weights=WEIGHTS, **options), directory, threads)


def score(model, commands):
    found, change = model.score([process_start(command) for command in commands], {}, {})
    assert not change.rows
    return found


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_a_known_word_moves_exactly_its_own_probabilities(tmp_path):
    found = score(member(tmp_path), ["alpha"])
    assert found.p_malicious[0] == pytest.approx(sigmoid(BIAS + 6.0), abs=1e-6)
    expected = {"T1059": sigmoid(BIAS + 5.0), "T1003": sigmoid(BIAS), "T1003.001": sigmoid(BIAS)}
    assert found.techniques[0] == pytest.approx([expected[label] for label in LABELS], abs=1e-6)


@pytest.mark.parametrize("options", [{}, {"batch_size": 3}, {"batch_size": 64}], ids=["one", "three", "all"])
@pytest.mark.parametrize("threads", [1, 3])
def test_an_event_scores_the_same_alone_and_in_any_batch(tmp_path, threads, options):
    model = member(tmp_path, threads, **options)
    together = score(model, COMMANDS)
    for place, command in enumerate(COMMANDS):
        alone = score(model, [command])
        assert np.abs(alone.techniques[0] - together.techniques[place]).max() < 1e-6
        assert alone.p_malicious[0] == pytest.approx(together.p_malicious[place], abs=1e-6)
    model.close()


@pytest.mark.parametrize("found", [1, 2, 3])
def test_a_member_scores_the_same_with_the_threads_that_trials_choose(tmp_path, monkeypatch, found):
    model = member(tmp_path, 3)
    before = score(model, COMMANDS)
    tried = []

    def chosen(most, trial):
        tried.append((most, trial(most), trial(1)))
        return found

    monkeypatch.setattr(graphs, "fastest", chosen)
    assert model.settle() == found
    assert [most for most, *_ in tried] == [3]
    assert all(seconds > 0 for seconds in tried[0][1:])
    after = score(model, COMMANDS)
    assert np.array_equal(before.techniques, after.techniques)
    assert np.array_equal(before.p_malicious, after.p_malicious)
    model.close()


def test_trials_of_a_member_choose_at_most_the_threads_that_it_was_given(tmp_path):
    model = member(tmp_path, 2)
    assert model.settle() in {1, 2}
    assert member(tmp_path, 1).settle() == 1
    model.close()


def test_text_past_the_maximum_length_is_not_read(tmp_path):
    filler = "x " * 100
    assert score(member(tmp_path, max_length=32), [filler + "alpha"]).p_malicious[0] == pytest.approx(
        sigmoid(BIAS), abs=1e-6
    )
    assert score(member(tmp_path, max_length=256), [filler + "alpha"]).p_malicious[0] > 0.8


def test_calibration_scales_each_head_and_single_labels(tmp_path):
    calibration = {
        "malicious": {"a": 0.5, "b": 1.0},
        "techniques": {"a": 2.0},
        "labels": {"T1003": {"a": 0.0, "b": 3.0}},
    }
    found = score(member(tmp_path, calibration=calibration), ["alpha"])
    assert found.p_malicious[0] == pytest.approx(sigmoid(0.5 * (BIAS + 6.0) + 1.0), abs=1e-6)
    assert found.techniques[0, LABELS.index("T1059")] == pytest.approx(sigmoid(2.0 * (BIAS + 5.0)), abs=1e-6)
    assert found.techniques[0, LABELS.index("T1003")] == pytest.approx(sigmoid(3.0), abs=1e-6)


def test_an_embedding_is_asked_for_only_of_graphs_that_give_one(tmp_path):
    lay_text_member(tmp_path, WEIGHTS)
    with pytest.raises(ConfigError, match="gives no embedding"):
        member(tmp_path).embed(["alpha"])
    graph = onnx.load(tmp_path / MODEL)
    graph.graph.node.append(onnx.helper.make_node("Identity", ["logits"], ["embedding"]))
    graph.graph.output.append(
        onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["batch", len(LABELS) + 1])
    )
    onnx.save(graph, tmp_path / MODEL)
    found = member(tmp_path, threads=2, batch_size=2).embed(["beta", "alpha", "alpha alpha"])
    assert LABELS == ("T1003", "T1003.001", "T1059")
    added = np.array([[4.5, 1.0, 0.0, 0.0], [0.0, 0.0, 5.0, 6.0], [0.0, 0.0, 10.0, 12.0]])
    assert found == pytest.approx(BIAS + added)


def test_no_view_of_a_text_of_unknown_words_where_the_manifest_says_so(tmp_path):
    found = score(member(tmp_path, max_unknown=0.5), ["gamma delta", "alpha alpha alpha alpha alpha alpha alpha alpha"])
    assert np.isnan(found.p_malicious[0])
    assert np.isnan(found.techniques[0]).all()
    assert "out of distribution" in found.notes[0][0]
    assert found.p_malicious[1] > 0.9


def test_an_empty_call_gives_empty_scores(tmp_path):
    found = score(member(tmp_path), [])
    assert found.techniques.shape == (0, len(LABELS))


def test_equal_fingerprints_are_one_key_and_others_are_not(tmp_path):
    model = member(tmp_path)
    assert model.key(process_start("alpha", native_id="1")) == model.key(process_start("alpha", native_id="2"))
    assert model.key(process_start("alpha")) != model.key(process_start("beta"))


def test_a_graph_with_another_number_of_labels_is_refused_when_it_is_loaded(tmp_path):
    lay_text_member(tmp_path, {"alpha": {"T1059": 1.0, "malicious": 1.0}})
    with pytest.raises(ConfigError, match="3 labels the graph gives"):
        TextMember(text_spec(weights=WEIGHTS), tmp_path, 1)


def test_a_graph_without_the_malicious_output_is_refused(tmp_path):
    lay_text_member(tmp_path, WEIGHTS)
    graph = onnx.load(tmp_path / MODEL)
    del graph.graph.output[1]
    onnx.save(graph, tmp_path / MODEL)
    with pytest.raises(ConfigError, match="no output malicious"):
        member(tmp_path)


def test_a_graph_that_keeps_weights_in_another_file_is_refused(tmp_path):
    lay_text_member(tmp_path, WEIGHTS)
    graph = onnx.load(tmp_path / MODEL)
    onnx.save(graph, tmp_path / MODEL, save_as_external_data=True, location="w.bin", size_threshold=0)
    with pytest.raises(ConfigError, match="no graph that can be run"):
        member(tmp_path)


@pytest.mark.parametrize(("name", "data"), [(MODEL, b"not a graph"), (TOKENIZER, b"{}"), (TOKENIZER, b"\xff")])
def test_a_broken_file_is_a_configuration_error(tmp_path, name, data):
    lay_text_member(tmp_path, WEIGHTS)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=name):
        member(tmp_path)


def test_an_unknown_option_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="max_lenght"):
        member(tmp_path, max_lenght=64)


def test_padding_and_truncation_of_the_tokenizer_file_do_not_count(tmp_path):
    plain = score(member(tmp_path), COMMANDS)
    tokenizer = json.loads((tmp_path / TOKENIZER).read_text())
    tokenizer["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    tokenizer["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 3,
        "pad_type_id": 0,
        "pad_token": "[SEP]",
    }
    (tmp_path / TOKENIZER).write_text(json.dumps(tokenizer))
    assert np.array_equal(score(member(tmp_path), COMMANDS).techniques, plain.techniques)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_words_that_weighed_most_are_told_where_malice_is_likely(tmp_path, batch_size):
    found = score(member(tmp_path, batch_size=batch_size), ["alpha beta gamma", "beta gamma and no alpaca"])
    assert found.notes == (("text: 'alpha' +6.00",), ())


def test_what_words_weigh_is_told_after_calibration_and_sums_over_places(tmp_path):
    found = score(member(tmp_path, calibration={"malicious": {"a": 0.5, "b": 0.0}}), ["alpha beta alpha"])
    assert found.notes == (("text: 'alpha' +6.00",),)


def test_a_graph_without_relevance_gives_no_explanation(tmp_path):
    lay_text_member(tmp_path, WEIGHTS)
    graph = onnx.load(tmp_path / MODEL)
    del graph.graph.output[2]
    onnx.save(graph, tmp_path / MODEL)
    assert score(member(tmp_path), ["alpha"]).notes == ((),)
