"""How members' scores become one: order, combination, prevalence, abstention."""

from __future__ import annotations

import math

import numpy as np
import pytest

from connector.errors import ConfigError
from connector.models.ensemble import Combiner, in_order
from connector.models.manifest import Calibration, Platt
from tests.models.members import Fixed, Highest, scores

EVEN = Calibration(train_prevalence=0.5, reference_prevalence=0.5)
NAN = float("nan")


def logit(p):
    return math.log(p / (1 - p))


def test_members_run_after_those_that_they_need():
    meta = Highest("meta", needs=("text", "rules"))
    rules, text = Fixed("rules", 0.1, needs=("text",)), Fixed("text", 0.2)
    assert [m.name for m in in_order([meta, rules, text])] == ["text", "rules", "meta"]


def test_a_cycle_is_a_configuration_error():
    with pytest.raises(ConfigError, match="circle: a, b"):
        in_order([Fixed("a", 0.1, needs=("b",)), Fixed("b", 0.1, needs=("a",)), Fixed("c", 0.1)])


def test_a_member_that_needs_a_stranger_is_a_configuration_error():
    with pytest.raises(ConfigError, match="needs ghost"):
        in_order([Fixed("a", 0.1, needs=("ghost",))])


def test_without_meta_the_evidence_of_members_with_a_view_adds():
    members = [Fixed("a", 0), Fixed("b", 0), Fixed("c", 0)]
    views = {
        "a": scores([[0.1]] * 3, [0.9, 0.9, NAN]),
        "b": scores([[0.1]] * 3, [0.2, NAN, NAN]),
        "c": scores([[NAN]] * 3, [NAN] * 3),
    }
    found = Combiner(members, ["T1059"], EVEN).combine(views, 3).p_malicious
    assert logit(found[0]) == pytest.approx(logit(0.9) + logit(0.2), abs=1e-5)
    assert found[1] == pytest.approx(0.9, abs=1e-6)
    assert math.isnan(found[2])


def test_evidence_is_what_a_vote_says_beyond_the_prevalence_that_it_was_trained_at():
    rare = Calibration(train_prevalence=0.2, reference_prevalence=0.2)
    views = {"a": scores([[0]] * 2, [0.6, 0.6]), "b": scores([[0]] * 2, [0.2, 0.5])}
    found = Combiner([Fixed("a", 0), Fixed("b", 0)], ["T1059"], rare).combine(views, 2).p_malicious
    assert found[0] == pytest.approx(0.6, abs=1e-6), "a vote of what was to be expected adds nothing"
    assert logit(found[1]) == pytest.approx(logit(0.6) + logit(0.5) - logit(0.2), abs=1e-5)


@pytest.mark.parametrize(
    ("evidence", "attack", "harmless"), [("whole", 0.9, 0.1), ("found", 0.9, 0.5), ("none", 0.5, 0.5)]
)
def test_what_a_member_adds_is_the_whole_of_its_vote_or_what_it_found_or_nothing(evidence, attack, harmless):
    views = {"a": scores([[0]] * 3, [0.5, 0.5, NAN]), "b": scores([[0]] * 3, [0.9, 0.1, 0.1])}
    combiner = Combiner([Fixed("a", 0), Fixed("b", 0)], ["T1059"], EVEN, {"b": evidence})
    found = combiner.combine(views, 3)
    assert found.p_malicious[:2] == pytest.approx([attack, harmless], abs=1e-6)
    assert math.isnan(found.p_malicious[2]) == (evidence == "none")
    assert found.votes[1] == pytest.approx([0.9, 0.1, 0.1], abs=1e-6), "its vote is told whatever it adds"


def test_meta_stands_for_those_that_it_reads_and_the_others_add():
    members = [Fixed("a", 0), Fixed("b", 0), Highest("meta", needs=("a",))]
    views = {
        "a": scores([[0]] * 2, [0.6] * 2),
        "b": scores([[0]] * 2, [0.7] * 2),
        "meta": scores([[0]] * 2, [0.9, NAN]),
    }
    found = Combiner(members, ["T1059"], EVEN).combine(views, 2).p_malicious
    assert [logit(p) for p in found] == pytest.approx([logit(0.9) + logit(0.7), logit(0.6) + logit(0.7)], abs=1e-5)


def test_without_meta_a_technique_is_the_highest_probability_in_the_bundles_labels():
    members = [Fixed("a", 0, labels=("T1059", "T1003")), Fixed("b", 0, labels=("T1003", "T1033"))]
    views = {"a": scores([[0.1, 0.2]], [0.5]), "b": scores([[0.7, NAN]], [NAN])}
    found = Combiner(members, ["T1003", "T1033", "T1059"], EVEN).combine(views, 1).techniques[0]
    assert found[[0, 2]] == pytest.approx([0.7, 0.1])
    assert np.isnan(found[1])


def test_meta_has_the_last_word_where_it_has_a_view():
    members = [Fixed("a", 0), Highest("meta", needs=("a",))]
    views = {"a": scores([[0.6], [0.6]], [0.3, 0.3]), "meta": scores([[0.05], [NAN]], [0.8, NAN])}
    found = Combiner(members, ["T1059"], EVEN).combine(views, 2)
    assert found.p_malicious == pytest.approx([0.8, 0.3], abs=1e-6)
    assert found.techniques[:, 0] == pytest.approx([0.05, 0.6])


def test_spread_is_between_base_members_only():
    members = [Fixed("a", 0), Fixed("b", 0), Highest("meta", needs=("a", "b"))]
    views = {"a": scores([[0]], [0.2]), "b": scores([[0]], [0.5]), "meta": scores([[0]], [0.99])}
    assert Combiner(members, ["T1059"], EVEN).combine(views, 1).spread[0] == pytest.approx(0.3, abs=1e-6)


def test_prevalence_is_shifted_as_bayes_says():
    """P(m|x) at a new prior, computed by hand from the likelihood ratio."""
    p, train, reference = 0.97, 0.4, 1e-4
    ratio = (p / (1 - p)) / (train / (1 - train))
    expected = ratio * reference / (ratio * reference + 1 - reference)
    calibration = Calibration(train_prevalence=train, reference_prevalence=reference)
    found = Combiner([Fixed("a", 0)], ["T1059"], calibration).combine({"a": scores([[0]], [p])}, 1)
    assert found.p_malicious[0] == pytest.approx(expected, rel=1e-4)
    assert found.votes[0, 0] == pytest.approx(expected, rel=1e-4)


def test_the_combination_is_calibrated_before_the_shift():
    calibration = Calibration(train_prevalence=0.5, reference_prevalence=0.5, malicious=Platt(a=2.0, b=-1.0))
    found = Combiner([Fixed("a", 0)], ["T1059"], calibration).combine({"a": scores([[0]], [0.8])}, 1)
    assert logit(found.p_malicious[0]) == pytest.approx(2 * logit(0.8) - 1, abs=1e-5)


def test_certainty_stays_finite():
    calibration = Calibration(train_prevalence=0.5, reference_prevalence=1e-4)
    found = Combiner([Fixed("a", 0)], ["T1059"], calibration).combine({"a": scores([[0]] * 2, [0.0, 1.0])}, 2)
    assert np.isfinite(found.p_malicious).all()
    assert found.p_malicious[1] > 0.99
