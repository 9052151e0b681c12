"""Combining members out of fold: what is learnt, what a missing view means, and what the shipped graph says."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from connector.learn.training.ensemble import combiners
from connector.learn.training.ensemble.combiners import LOGISTIC, TREES, WEIGHTED, Combiner, Rows, balanced
from connector.learn.training.ensemble.crossfit import (
    asked,
    average_precision,
    fitted,
    joined,
    rows_of,
    tried,
    with_missing,
)
from connector.learn.training.ensemble.operate import Said, costs, operating
from connector.learn.training.ensemble.opinions import RULES, TEXT, Fold, truth
from connector.learn.training.ensemble.recorded import Recorded
from connector.models.calibration import logit
from connector.models.meta import INPUT, PER_MEMBER
from tests.learn.ensemble import made

MEMBERS = (TEXT, RULES)
NOBODY = np.full(0, np.nan)


@pytest.fixture(scope="module")
def found() -> Recorded:
    return made.recorded()


@pytest.fixture(scope="module")
def folds(found: Recorded) -> list[Fold]:
    return made.folds(found, text=1.0, rules=0.8)


@pytest.fixture(scope="module")
def rows(found: Recorded, folds: list[Fold]) -> Rows:
    return joined([rows_of(found, fold, MEMBERS) for fold in folds])


@pytest.fixture(scope="module")
def ways(rows: Rows) -> dict[str, Combiner]:
    return {name: fitted(name, rows, len(MEMBERS)) for name in (WEIGHTED, LOGISTIC, TREES)}


def test_together_members_rank_better_than_the_best_of_them_alone(found: Recorded, folds: list[Fold]) -> None:
    best = tried(found, folds, MEMBERS)[0]
    alone = [
        average_precision(found, folds, {fold.name: Said(logit(fold.p_malicious(member)), NOBODY) for fold in folds})
        for member in MEMBERS
    ]
    assert best.score > max(alone)


@pytest.mark.parametrize("name", [WEIGHTED, LOGISTIC, TREES])
def test_the_graph_that_ships_says_what_was_fitted_views_missing_or_not(
    rows: Rows, ways: dict[str, Combiner], name: str
) -> None:
    made_of = ways[name]
    features = with_missing(rows, len(MEMBERS)).features
    assert made_of.graph is not None
    session = onnxruntime.InferenceSession(made_of.graph, providers=["CPUExecutionProvider"])
    said = session.run(None, {INPUT: features})[0].ravel()
    assert said == pytest.approx(made_of.scores(features), abs=1e-4)


def test_a_missing_view_is_not_what_a_benign_view_is(rows: Rows, ways: dict[str, Combiner]) -> None:
    way = ways[TREES]
    row = rows.features[rows.truth > 0][:50].copy()
    row[:, 0], row[:, PER_MEMBER] = 2.0, -3.0
    benign = way.scores(row)
    row[:, PER_MEMBER : 2 * PER_MEMBER] = np.nan
    assert way.scores(row).mean() > benign.mean()


def test_a_member_surer_of_malice_never_makes_it_less_likely(rows: Rows, ways: dict[str, Combiner]) -> None:
    way = ways[TREES]
    higher = rows.features[:200].copy()
    higher[:, 0] += 1.0
    assert (way.scores(higher) >= way.scores(rows.features[:200]) - 1e-9).all()


def test_an_event_that_nobody_has_a_view_of_gets_none(found: Recorded, folds: list[Fold]) -> None:
    said = asked(combiners.sum_of(1), folds[0], (RULES,))
    assert np.isnan(said.logits[::4]).all()
    assert np.isfinite(said.logits[1::4]).all()
    assert np.isnan(said.administration).all(), "rows of administration have a text alone"
    assert len(said.logits) == len(truth(found, folds[0]))


def test_every_recording_weighs_the_same_on_its_side_and_both_sides_do() -> None:
    weight = balanced(np.array([1.0, 1.0, 1.0, 0.0, 0.0], np.float32), ["a", "a", "b", "a", "a"])
    assert weight.sum() == pytest.approx(5.0)
    assert weight[:2].sum() == pytest.approx(weight[2])
    assert weight[:3].sum() == pytest.approx(weight[3:].sum())


def test_levels_cost_the_false_alarms_that_they_are_set_by() -> None:
    draw = np.random.default_rng(1)
    benign, attack = draw.normal(-3, 1, 40_000), draw.normal(1, 1, 500)
    said = Said(np.concatenate([benign, attack]), draw.normal(-1, 1, 400))
    seen = np.concatenate([np.zeros(40_000), np.ones(500)]).astype(np.float32)
    point = operating([said], [seen], [np.zeros(40_500, np.int32)])
    stream = np.concatenate([benign, said.administration])
    weight = np.concatenate([np.full(40_000, 0.95 / 40_000), np.full(400, 0.05 / 400)])
    rate = weight[point.p_malicious(stream) >= point.levels["suspicious"]].sum()
    assert rate == pytest.approx(0.01, rel=0.1)
    assert point.levels["suspicious"] <= point.levels["malicious"] <= point.levels["trigger"]
    found = {one.alarms: one for one in costs([said], [seen], [np.zeros(40_500, np.int32)], point)}
    assert found[100.0].cut == pytest.approx(point.levels["suspicious"])
    p_attack = point.p_malicious(attack)
    assert found[100.0].recall == pytest.approx((p_attack >= found[100.0].cut).mean(), abs=1e-3)
    assert found[1000.0].recall > found[1.0].recall
    assert not found[0.1].counted


def test_a_threshold_that_is_continued_below_what_was_counted_is_no_point() -> None:
    benign = np.concatenate([np.linspace(-6, -3, 20_000), np.full(15, 8.0)])
    logits = np.concatenate([benign, np.linspace(-5, 9, 50)])
    seen = np.concatenate([np.zeros(len(benign)), np.ones(50)]).astype(np.float32)
    told = ([Said(logits, np.full(0, np.nan))], [seen], [np.zeros(len(logits), np.int32)])
    cuts = [one.cut for one in costs(*told, operating(*told))]
    assert cuts == sorted(set(cuts))


def test_a_recording_of_many_attack_events_weighs_no_more_in_recall_than_one_of_few() -> None:
    logits = np.concatenate([np.linspace(-6, -3, 1000), np.full(90, -9.0), np.full(10, 5.0)])
    seen = np.concatenate([np.zeros(1000), np.ones(100)]).astype(np.float32)
    groups = np.concatenate([np.zeros(1000), np.full(90, 1), np.full(10, 2)]).astype(np.int32)
    told = ([Said(logits, np.full(0, np.nan))], [seen], [groups])
    assert {one.recall for one in costs(*told, operating(*told))} == {0.5}
