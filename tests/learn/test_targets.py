import numpy as np
import pytest

from connector.errors import ConfigError
from connector.learn.dataset import Row
from connector.learn.training.calibrate import best_f1, calibrate, cut_at, platt, probabilities, stream_weights
from connector.learn.training.labels import label_space, positive_weights, targets
from connector.learn.training.measure import parent_hits, techniques_by_group
from connector.models.manifest import Platt


def row(techniques: tuple[str, ...] = (), malicious: bool | None = None, **fields: str) -> Row:
    given = {
        "text": "x",
        "kind": "generic",
        "fingerprint": "f",
        "basis": "executed-test",
        "source": "s",
        "group": "g",
        "split": "train",
    }
    return Row(techniques=techniques, malicious=malicious, record="1", licence="MIT", **{**given, **fields})


def test_labels_are_learnt_only_from_enough_independent_groups() -> None:
    rows = [row(("T1003.001",), group=f"g{n}") for n in range(3)] + [row(("T1053",), group="one")] * 9

    assert label_space(rows, parent_groups=3, sub_groups=4) == ("T1003",)
    assert label_space(rows, parent_groups=3, sub_groups=3) == ("T1003", "T1003.001")


def test_a_row_without_technique_is_unknown_everywhere_and_one_with_a_parent_only_in_its_subs() -> None:
    labels = ("T1003", "T1003.001", "T1053")

    found = targets([row(malicious=False), row(("T1003",)), row(("T1003.001",))], labels).techniques

    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(found[2], [1.0, 1.0, 0.0])


def test_an_unsaid_verdict_is_unknown_and_a_weak_basis_weighs_less() -> None:
    found = targets([row(malicious=None), row(malicious=True, basis="file-name")], ())

    assert np.isnan(found.malicious[0])
    assert found.malicious[1] == 1.0
    assert found.weight[1] < found.weight[0]


def test_rare_labels_weigh_more_up_to_the_limit() -> None:
    techniques = np.array([[1, 1], [0, 1], [0, 1], [0, 0], *[[0, 0]] * 96], np.float32)

    rare, common = positive_weights(techniques, 6.0)

    assert rare == 6.0
    assert 1.0 < common < rare


def test_hits_count_parents_and_one_file_once() -> None:
    labels = ("T1003", "T1003.001", "T1053")
    logits = np.array([[3.0, 9.0, 1.0], [0.0, 0.0, 5.0]], np.float32)
    rows = [row(("T1003.001",)), row(("T1003",))]

    assert parent_hits(logits, rows, labels).tolist() == [0, 1]
    files = [row(("T1003",), group=f"g{n}") for n in range(10) for _ in range(2)]
    found = techniques_by_group(np.tile(logits, (10, 1)), files, labels, "s")
    assert found["n"] == 10.0
    assert found["top1"] == 0.0


def test_platt_scaling_recovers_a_slope_and_is_the_identity_where_there_is_one_class() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 3, 20_000).astype(np.float32)
    truth = (generator.random(20_000) < 1 / (1 + np.exp(-(0.5 * logits - 1)))).astype(np.float32)

    found = platt(logits, truth, np.ones(20_000, np.float32))

    assert found.a == pytest.approx(0.5, abs=0.03)
    assert found.b == pytest.approx(-1.0, abs=0.06)
    assert platt(logits, np.ones(20_000, np.float32), np.ones(20_000, np.float32)) == Platt()


def test_a_cut_lets_the_stated_share_pass_and_extrapolates_beyond_the_rows() -> None:
    logits = np.random.default_rng(2).exponential(1.0, 10_000)
    weight = np.full(10_000, 1e-4)

    assert np.mean(logits >= cut_at(logits, weight, 0.01)) == pytest.approx(0.01, abs=0.001)
    assert cut_at(logits, weight, 1e-5) == pytest.approx(np.log(1e5), rel=0.15)


def test_a_tail_that_ends_is_not_continued_without_end() -> None:
    logits, weight = np.random.default_rng(2).random(10_000), np.full(10_000, 1e-4)

    assert logits.max() < cut_at(logits, weight, 1e-6) < 1.05


def test_the_stream_weighs_bases_and_not_rows() -> None:
    rows = [row(malicious=False, basis="recurring")] * 2 + [row(malicious=False, basis="manual-page")] * 50

    weight = stream_weights(rows)

    assert weight.sum() == pytest.approx(1.0)
    assert weight[:2].sum() > 10 * weight[2:].sum()


def test_techniques_are_written_from_the_probability_of_best_f1() -> None:
    found = np.array([[0.9], [0.7], [0.4], [0.1]])

    assert 0.4 < best_f1(found, np.array([[1], [1], [0], [np.nan]], np.float32)) <= 0.7


def test_thresholds_rise_and_probabilities_stand_at_the_reference_prevalence() -> None:
    generator = np.random.default_rng(3)
    rows = [row(malicious=False, basis="recurring") for _ in range(400)] + [
        row(("T1003",), malicious=True) for _ in range(400)
    ]
    logits = np.concatenate([generator.normal(-3, 1, 400), generator.normal(3, 1, 400)]).astype(np.float32)

    found = calibrate(np.zeros((800, 1), np.float32), logits, rows, targets(rows, ("T1003",)))

    levels = found.thresholds
    assert 0 < levels.suspicious < levels.malicious <= levels.trigger < 1
    assert probabilities(logits, found)[:400].mean() < 1e-3


def test_thresholds_need_benign_rows() -> None:
    rows = [row(("T1003",), malicious=True)]

    with pytest.raises(ConfigError, match="no benign row"):
        calibrate(np.zeros((1, 1), np.float32), np.zeros(1, np.float32), rows, targets(rows, ("T1003",)))
