"""What a prediction lists, what passes, and when nothing is said."""

from __future__ import annotations

import numpy as np
import pytest

from connector.models.ensemble import Combined
from connector.models.manifest import Abstention, TechniqueThresholds
from connector.models.predictions import Predictor

NAN = float("nan")
LABELS = ("T1003.001", "T1003", "T1059.001", "T1059.003", "T1033", "T1082", "T1087", "T1105", "T1027")


def predict(columns, *, p=0.5, spread=0.0, default=0.5, labels=None, limit=None, notes=()):
    row = [columns.get(label, 0.0) for label in LABELS]
    combined = Combined(
        p_malicious=np.array([p]),
        techniques=np.array([row], np.float32),
        votes=np.array([[p]]),
        spread=np.array([spread]),
    )
    thresholds = TechniqueThresholds(default=default, labels=labels or {})
    return Predictor(LABELS, thresholds, Abstention(spread=limit)).predict(combined, ["text"], [notes])[0]


def test_the_five_most_probable_parents_are_listed_best_first():
    found = predict({"T1033": 0.3, "T1082": 0.9, "T1087": 0.2, "T1105": 0.6, "T1027": 0.1, "T1003": 0.05})
    assert [t.id for t in found.techniques] == ["T1082", "T1105", "T1033", "T1087", "T1027"]
    assert [t.probability for t in found.techniques] == pytest.approx([0.9, 0.6, 0.3, 0.2, 0.1])


def test_a_parent_is_at_least_as_probable_as_its_sub_techniques():
    found = predict({"T1003": 0.2, "T1003.001": 0.7, "T1059.001": 0.4, "T1059.003": 0.6})
    by_id = {t.id: t for t in found.techniques}
    assert by_id["T1003"].probability == pytest.approx(0.7)
    assert by_id["T1059"].probability == pytest.approx(0.6)
    assert by_id["T1059"].subtechnique.id == "T1059.003"


def test_a_sub_technique_is_named_only_where_it_stands_out():
    found = predict({"T1003": 0.9, "T1003.001": 0.2})
    assert found.techniques[0].id == "T1003"
    assert found.techniques[0].subtechnique is None


def test_what_is_above_its_own_threshold_passes_best_first():
    found = predict({"T1033": 0.55, "T1082": 0.8, "T1087": 0.45}, labels={"T1087": 0.4, "T1033": 0.6})
    assert found.passed == ("T1082", "T1087")


def test_a_sub_technique_that_passes_brings_its_parent():
    found = predict({"T1003.001": 0.5}, labels={"T1003": 0.9})
    assert set(found.passed) == {"T1003", "T1003.001"}


def test_what_passes_is_among_the_techniques_that_are_listed():
    found = predict(
        {"T1033": 0.9, "T1082": 0.8, "T1087": 0.7, "T1105": 0.6, "T1027": 0.5, "T1003.001": 0.45}, default=0.1
    )
    assert found.passed == ("T1033", "T1082", "T1087", "T1105", "T1027")


def test_no_view_is_an_abstention_with_the_members_reason():
    found = predict({}, p=NAN, notes=("text: too strange",))
    assert found.abstain == "no member has a view of this event; text: too strange"
    assert found.members == {"text": None}
    assert found.passed == ()


def test_members_further_apart_than_the_bound_abstain():
    assert predict({}, spread=0.61, limit=0.6).abstain is not None
    assert predict({}, spread=0.59, limit=0.6).abstain is None
    assert predict({}, spread=0.99, limit=None).abstain is None


def test_notes_of_the_members_are_the_explanation():
    assert predict({}, notes=("rule x matched",)).explanation == ("rule x matched",)


def test_a_row_of_a_batch_is_told_as_it_is_alone():
    rng = np.random.default_rng(7)
    rows = rng.choice(np.array([0.0, 0.2, 0.5, 0.6, 0.60004, 0.9, NAN], np.float32), (200, len(LABELS)))
    votes, spread = rng.choice([0.1, NAN], (2, 200)), np.zeros(200)
    made = Predictor(LABELS, TechniqueThresholds(default=0.5, labels={"T1003.001": 0.2}), Abstention(spread=None))

    def told(part):
        combined = Combined(p_malicious=spread[part], techniques=rows[part], votes=votes[:, part], spread=spread[part])
        return made.predict(combined, ["text", "rules"], [()] * len(rows[part]))

    assert told(slice(None)) == [told(slice(row, row + 1))[0] for row in range(200)]


def test_a_probability_that_a_members_rounding_put_above_one_is_one():
    found = predict({"T1003": 1.0001, "T1003.001": 1.0002, "T1033": NAN}).techniques
    assert [(found[0].id, found[0].probability), found[0].subtechnique.probability] == [("T1003", 1.0), 1.0]
    assert {one.probability for one in found[1:]} == {0.0}


def test_probabilities_are_rounded_as_python_rounds():
    halves = (np.arange(0, 10_000, 7) + 0.5) / 10_000
    for share in np.concatenate([halves, halves - 1e-8, halves + 1e-8]).astype(np.float32):
        assert predict({"T1033": share}).techniques[0].probability == round(float(share), 4)
