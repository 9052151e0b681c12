"""Recordings through the entity view: what is in time, what is false, and which techniques count."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from connector.learn.evaluation.ensemble.compared import incidents, models, passing, precisions, summed
from connector.learn.evaluation.ensemble.incidents import Raised, replayed
from connector.learn.training.ensemble.crossfit import Tried
from connector.learn.training.ensemble.operate import Said
from connector.learn.training.ensemble.opinions import RULES, TEXT, Fold
from connector.learn.training.ensemble.recorded import Recorded
from connector.models.calibration import logit
from tests.learn.ensemble import made

LEVELS = {"suspicious": 0.01, "malicious": 0.1, "trigger": 0.5}
FIRST = 30
"""The first event of each made recording's attack."""


@pytest.fixture(scope="module")
def found() -> Recorded:
    return made.recorded()


@pytest.fixture(scope="module")
def fold(found: Recorded) -> Fold:
    return made.folds(found, text=1.0, rules=0.8)[0]


def raised(found: Recorded, fold: Fold, sure: dict[int, str]) -> Raised:
    """The first recording, in which these places are sure to be malicious and show these techniques."""
    p_malicious = np.full(len(fold.events), 1e-6)
    p_malicious[list(sure)] = 0.99
    return replayed(found, fold, p_malicious, LEVELS, lambda chosen: [(sure[place],) for place in chosen.tolist()])[0]


def test_an_attack_of_two_techniques_is_raised_by_the_second(found: Recorded, fold: Fold) -> None:
    one = raised(found, fold, {FIRST + 3: "T1003", FIRST + 9: "T1059"})
    assert (one.after, one.incidents, one.false) == (10, 1, 0)
    assert one.in_time
    assert (one.attack, one.background) == (made.ATTACKS, made.EVENTS - made.ATTACKS)


def test_one_technique_again_and_again_raises_nothing(found: Recorded, fold: Fold) -> None:
    one = raised(found, fold, {FIRST + place: "T1003" for place in range(10)})
    assert (one.after, one.incidents) == (None, 0)
    assert not one.in_time


def test_an_incident_of_background_alone_is_false(found: Recorded, fold: Fold) -> None:
    one = raised(found, fold, {2: "T1003", 4: "T1059"})
    assert (one.after, one.incidents, one.false) == (None, 1, 1)


def test_an_incident_that_background_opened_and_the_attack_joined_is_told_apart(found: Recorded, fold: Fold) -> None:
    one = raised(found, fold, {2: "T1003", 4: "T1059", FIRST + 3: "T1033"})
    assert (one.after, one.incidents, one.false, one.opened) == (4, 1, 0, 1)
    assert raised(found, fold, {FIRST: "T1003", FIRST + 1: "T1059", FIRST + 40: "T1033"}).opened == 0
    (whole,) = [each for each in summed("made", [one]) if each.set == "everything"]
    assert (whole.false, whole.opened) == (0, 1)


def test_after_the_twentieth_event_a_short_attack_is_not_in_time(found: Recorded, fold: Fold) -> None:
    one = raised(found, fold, {FIRST + 21: "T1003", FIRST + 22: "T1059"})
    assert one.after == 23
    assert not one.in_time
    assert msgspec.structs.replace(one, attack=230).in_time


def test_a_techniques_parent_passes_by_the_member_that_is_surest_of_it(fold: Fold) -> None:
    chosen = np.arange(5)
    both, alone = passing(fold, (TEXT, RULES), 0.5)(chosen), passing(fold, (TEXT,), 0.5)(chosen)
    for row, names in enumerate(both):
        said = np.fmax(fold.techniques(TEXT, chosen), fold.techniques(RULES, chosen))[row]
        assert set(names) == {label for label, p in zip(made.LABELS, said.tolist(), strict=True) if p >= 0.5}
        assert set(alone[row]) <= set(names)


def test_every_model_is_measured_on_the_same_events_with_levels_of_the_other_folds(found: Recorded) -> None:
    folds = made.folds(found, text=2.0, rules=0.5)
    said = {
        each.name: Said(logit(each.p_malicious(TEXT)) * 2, logit(each.administration.p_malicious) * 2) for each in folds
    }
    several = models(found, folds, Tried("made", said, 1.0), (TEXT, RULES))
    assert [model.name for model in several] == [TEXT, RULES, "ensemble"]
    measured = {(one.model, one.set): one for one in precisions(found, folds, several)}
    assert len({(one.attack, one.background) for (_, kind), one in measured.items() if kind == "everything"}) == 1
    assert measured[TEXT, "everything"].average_precision.value == pytest.approx(
        measured["ensemble", "everything"].average_precision.value
    ), "twice the logit ranks the same"
    assert measured[TEXT, "campaign"].average_precision.value > measured[RULES, "campaign"].average_precision.value
    (whole,) = [one for one in summed(TEXT, incidents(found, folds, several[0], 0.5)) if one.set == "everything"]
    assert whole.recordings == len(found.parts)
    assert whole.raised.value >= whole.in_time.value
