"""What a student is taught, and the study whole on a tiny corpus."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from connector.learn import dataset
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.studies import distillation
from connector.learn.evaluation.studies.__main__ import _parser
from connector.learn.training.fit import DEFAULT
from connector.learn.training.labels import Targets
from connector.learn.training.model import Shape

TINY = msgspec.structs.replace(
    DEFAULT, shape=Shape(buckets=256, bag_width=4), vocabulary=300, wide_epochs=1, wide_evaluations=2, letter_epochs=0,
    sub_groups=3,
)  # fmt: skip


def test_a_student_hears_labels_and_teachers_by_their_shares_and_what_is_open_stays_open() -> None:
    goal = Targets(
        np.array([[1.0, 0.0], [np.nan, 1.0]], np.float32), np.array([np.nan, 0.0], np.float32),
        np.ones(2, np.float32), np.ones(2, bool),
    )  # fmt: skip
    told = (np.array([[0.0, 40.0], [0.0, 0.0]], np.float32), np.array([3.0, 0.0], np.float32))

    found = distillation.taught(goal, told, 0.25)

    np.testing.assert_allclose(found.techniques, [[0.875, 0.25], [np.nan, 0.875]])
    np.testing.assert_allclose(found.malicious, [np.nan, 0.125])
    np.testing.assert_array_equal(found.weight, goal.weight)


@pytest.mark.full
def test_the_study_measures_each_network_with_and_without_its_heads_refitted(tiny: Corpora) -> None:
    found = distillation.study(dataset.build(tiny), TINY)
    names = ["alone", "3 averaged", "student"]

    assert list(found.networks) == [*names, *(f"{name}, heads refitted" for name in names)]
    assert all(math.isfinite(rates["dev"].top1) for rates in found.networks.values())
    assert len(list(distillation.lines(found))) == 4 + 2 * len(found.networks)


def test_the_study_needs_rows_and_no_corpora(capsys: pytest.CaptureFixture[str]) -> None:
    assert str(_parser().parse_args(["distillation", "--rows", "built"]).rows) == "built"
    with pytest.raises(SystemExit):
        _parser().parse_args(["intrusion"])
    assert "--corpora" in capsys.readouterr().err
