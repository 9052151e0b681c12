"""Each measure against the same thing counted by hand or by scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, roc_auc_score

from connector.learn.evaluation import bootstrap, calibration, curves, ranking

SEEDS = st.integers(0, 10_000)


def rows(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with ties, truth with both sides, weights."""
    draw = np.random.default_rng(seed)
    score = draw.integers(0, 12, count) / 12
    truth = draw.random(count) < 0.4
    truth[:2] = (True, False)
    return score, truth, draw.integers(1, 4, count).astype(float)


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_ranking_measures_are_those_of_scikit_learn(seed: int) -> None:
    score, truth, weight = rows(seed)

    assert curves.auc(score, truth, weight) == pytest.approx(roc_auc_score(truth, score, sample_weight=weight))
    assert curves.average_precision(score, truth, weight) == pytest.approx(
        average_precision_score(truth, score, sample_weight=weight)
    )
    assert calibration.brier(score, truth.astype(float), weight) == pytest.approx(
        brier_score_loss(truth, score, sample_weight=weight)
    )


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_the_calibration_error_is_the_one_counted_bin_by_bin(seed: int) -> None:
    draw = np.random.default_rng(seed)
    said = draw.permutation(np.linspace(0.01, 0.99, 50))
    seen = (draw.random(50) < 0.5).astype(float)

    order = np.argsort(said)
    by_hand = sum(abs(said[part].mean() - seen[part].mean()) for part in np.split(order, 10)) / 10

    assert calibration.Binned(said).ece(seen, np.ones(50)) == pytest.approx(by_hand)
    assert sum(cell.mass for cell in calibration.reliability(said, seen, np.ones(50))) == pytest.approx(1.0)


def test_a_constant_probability_at_the_base_rate_has_no_error_and_no_skill() -> None:
    seen = np.array([1.0, 0.0, 0.0, 0.0] * 25)
    said, weight = np.full(100, 0.25), np.ones(100)

    assert calibration.Binned(said).ece(seen, weight) == pytest.approx(0.0)
    assert calibration.brier_skill(said, seen, weight) == pytest.approx(0.0)
    assert calibration.brier_skill(seen, seen, weight) == pytest.approx(1.0)


def test_a_calibrated_model_shows_no_more_error_than_perfection_and_an_overconfident_one_does() -> None:
    draw = np.random.default_rng(3)
    said = draw.random(2000)
    seen = (draw.random(2000) < said).astype(float)
    groups, weight = [number // 4 for number in range(2000)], np.ones(2000)
    perfect = calibration.perfect_ece(said, weight, groups, draws=100)
    sure = (said > 0.5).astype(float)

    assert calibration.Binned(said).ece(seen, weight) < np.percentile(perfect, 99)
    assert calibration.Binned(sure).ece(seen, weight) > 0.2
    assert calibration.perfect_ece(sure, weight, groups, draws=5).max() == 0.0


def test_the_prior_is_taken_out_of_a_probability_and_the_classes_weigh_the_same() -> None:
    prevalence = 1e-4
    odds = np.array([0.25, 1.0, 9.0])
    stated = odds * prevalence / (1 - prevalence + odds * prevalence)
    truth = np.array([True, False, False])
    weight = calibration.halved(calibration.by_group(["a", "b", "b"]), truth)

    np.testing.assert_allclose(calibration.at_half(stated, prevalence), [0.2, 0.5, 0.9], rtol=1e-6)
    assert weight.tolist() == [0.5, 0.25, 0.25]


def test_a_ratios_interval_widens_where_rows_are_copies_of_few_groups() -> None:
    hit = np.array([True, False] * 50)
    alone = bootstrap.share(hit, list(range(100)))
    copies = bootstrap.share(np.repeat([True, False], 50), [number // 10 for number in range(100)])

    assert alone.value == copies.value == 0.5
    assert alone.low < 0.5 < alone.high
    assert copies.high - copies.low > 2 * (alone.high - alone.low)
    assert (copies.rows, copies.groups) == (100, 10)


def test_a_statistic_over_no_rows_is_not_a_number() -> None:
    assert np.isnan(bootstrap.share(np.zeros(0, bool), []).value)
    assert np.isnan(bootstrap.statistic(lambda weight: float(weight.sum()), np.zeros(0), []).value)


NAMES = ("T1", "T2", "T3", "T4")


def test_a_rows_rank_is_that_of_its_best_right_name_and_what_is_not_said_never_hits() -> None:
    unsaid = -np.inf
    scores = np.array([[0.9, 0.5, 0.1, 0.2], [0.9, 0.5, 0.1, 0.2], [unsaid] * 4, [0.5] * 4])
    wanted = [{"T2", "T3"}, {"T9"}, {"T1"}, {"T4"}]

    assert ranking.ranks(scores, wanted, NAMES).tolist() == [1, 4, 4, 1]
    assert ranking.first_guess(scores, NAMES) == ["T1", "T1", "", "T1"]


def test_a_files_score_is_the_mean_of_its_events() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 0.6], [0.0, 0.6], [-np.inf, -np.inf]])
    means, wanted, files = ranking.by_file(scores, [{"T1"}, {"T1"}, {"T1"}, {"T2"}], ["f", "f", "f", "g"])

    np.testing.assert_allclose(means[0], [1 / 3, 0.4])
    assert not np.isfinite(means[1]).any()
    assert wanted == [{"T1"}, {"T2"}]
    assert files == ["f", "g"]


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_f1_is_that_of_scikit_learn_over_labels_of_enough_files(seed: int) -> None:
    draw = np.random.default_rng(seed)
    truth, guess = (draw.choice(NAMES[:3], 90).tolist() for _ in range(2))
    truth[:2] = ["T4", "T4"]
    groups = list(range(90))
    found = ranking.f1(guess, [{name} for name in truth], groups)

    kept = list(NAMES[:3])
    assert found.few == {"T4": 2}
    assert found.micro.value == pytest.approx(f1_score(truth, guess, labels=kept, average="micro"))
    assert found.macro.value == pytest.approx(f1_score(truth, guess, labels=kept, average="macro"))
    by_name = {row.technique: row.f1 for row in ranking.table(guess, [{name} for name in truth], groups)}
    for name, value in zip(kept, f1_score(truth, guess, labels=kept, average=None), strict=True):
        assert by_name[name] == pytest.approx(value)


def test_confusions_are_ordered_by_files_not_by_rows() -> None:
    guessed = ["T2"] * 5 + ["T3", "T3", "T1", ""]
    wanted = [{"T1"}] * 9
    groups = ["a"] * 5 + ["a", "b", "c", "d"]

    found = ranking.confusions(guessed, wanted, groups)

    assert [(pair.guessed, pair.rows, pair.files) for pair in found] == [("T3", 2, 2), ("T2", 5, 1)]


def test_a_thinned_curve_keeps_its_ends() -> None:
    draw = np.random.default_rng(1)
    curve = curves.precision_recall(draw.random(5000), draw.random(5000) < 0.5, np.ones(5000))
    few = curves.thinned(curve, 50)

    assert len(few.cut) <= 50
    assert (few.recall[0], few.recall[-1]) == (curve.recall[0], curve.recall[-1])
