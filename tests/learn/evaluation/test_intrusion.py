"""The study on NSL-KDD, fast: what is read, what is parted, when a target is reached, and that Test+ comes last."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from connector.cli.app import app
from connector.errors import ConfigError
from connector.learn.corpora import nsl_kdd
from connector.learn.corpora.nsl_kdd import CLASSES, TEST, TRAIN, read
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.studies import told_intrusion as told
from connector.learn.evaluation.studies.intrusion import Plan, reached, scored, study
from connector.learn.evaluation.studies.records import parted
from tests.learn.evaluation import nsl


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("nsl")
    return Corpora(folder, nsl.build(folder, nsl.lines(1, rare=6), nsl.lines(2, rare=6)))


def of(tmp_path, *rows: str) -> Corpora:
    return Corpora(tmp_path, nsl.build(tmp_path, list(rows), None))


def test_the_column_that_tells_how_hard_a_record_is_is_not_read(tmp_path) -> None:
    one, other = (
        read(of(tmp_path, nsl.line("normal", sent=3, difficulty=difficulty)), TRAIN) for difficulty in (3, 21)
    )

    assert one.numbers.shape == (1, 38)
    assert (one.numbers == other.numbers).all()
    assert one.symbols.tolist() == [["tcp", "http", "SF"]]


def test_records_that_differ_in_their_neighbours_alone_are_one_group(tmp_path) -> None:
    rows = nsl.line("smurf", sent=9, count=1), nsl.line("smurf", sent=9, count=400), nsl.line("smurf", sent=8, count=1)

    groups = read(of(tmp_path, *rows), TRAIN).groups

    assert groups[0] == groups[1] != groups[2]


@pytest.mark.parametrize("row", [nsl.line("unheard_of"), "1,2,3", nsl.line("normal").replace("http", "http,more")])
def test_what_is_no_record_of_a_known_attack_is_refused(tmp_path, row) -> None:
    with pytest.raises(ConfigError, match="no table of connections"):
        read(of(tmp_path, row), TRAIN)


def test_every_attack_has_one_class() -> None:
    names = [attack for attacks in nsl_kdd.ATTACKS.values() for attack in attacks]

    assert tuple(nsl_kdd.ATTACKS) == CLASSES
    assert len(names) == len(set(names)) == 40


def test_no_group_is_in_the_pool_and_in_the_validation_part(corpora) -> None:
    records = read(corpora, TRAIN)

    parts = parted(records, 3)

    assert not set(records.groups[parts.pool]) & set(records.groups[parts.validation])
    assert len(parts.pool) + len(parts.validation) == len(records.classes)
    assert not np.array_equal(parted(records, 4).pool, parts.pool)


def test_a_target_is_reached_by_two_rounds_in_a_row() -> None:
    assert reached([(50, 0.9), (75, 0.2), (100, 0.8), (125, 0.9), (150, 0.1)], 0.8) == 100
    assert reached([(50, 0.9), (75, 0.2), (100, 0.9)], 0.8) is None
    assert reached([], 0.8) is None


def test_a_class_that_is_never_found_counts_fully_in_macro_f1_and_only_u2r_can_be_left_out() -> None:
    truth, said = np.array([0, 1, 2, 3, 4]), np.array([0, 1, 2, 3, 0])

    found = scored(truth, said)

    assert found.f1[4] == 0.0
    assert found.macro_f1 == pytest.approx((2 / 3 + 3) / 5)
    assert found.without_u2r == pytest.approx((2 / 3 + 3) / 4)
    assert found.accuracy == pytest.approx(0.8)


def test_the_sampler_needs_at_most_half_of_the_random_labels_where_what_matters_is_rare(corpora) -> None:
    found = study(Plan(corpora=corpora, seeds=1, trees=10))

    assert told.share(found) is not None
    assert told.share(found) <= told.HALF
    for curve in found.curves:
        labels = [one.labels for one in curve.rounds]
        assert labels[0] == 50
        assert labels == sorted(set(labels))
        assert labels[-1] <= sum(found.given[curve.seed].pool)
        assert [sum(one.by_class) for one in curve.rounds] == labels
    first = {curve.rounds[0] for curve in found.curves if curve.seed == 0}
    assert len(first) == 1
    assert {one.labels for one in found.tested if one.seed == 0 and one.fitted_on != "whole pool"} == {
        next(curve.needed for curve in found.curves if curve.strategy == "sampler")
    }
    assert any(text.startswith("met ") for text in told.lines(found))


def test_the_test_records_are_not_asked_for_before_every_curve_is_done(tmp_path, capsys) -> None:
    bare = Corpora(tmp_path, nsl.build(tmp_path, nsl.lines(1, rare=6), None))

    with pytest.raises(ConfigError, match=r"there is no KDDTest\+"):
        study(Plan(corpora=bare, seeds=1, trees=5))

    assert "seed 0, random groups: " in capsys.readouterr().out
    assert TEST == "KDDTest+.txt"


def test_the_command_runs_a_study_in_a_process_of_its_own_and_passes_its_verdict_on(tmp_path, capfd) -> None:
    found = CliRunner().invoke(app, ["learn", "study", "intrusion", "--corpora", str(tmp_path)])

    assert found.exit_code == 2
    assert "error: nsl_kdd: neither" in capfd.readouterr().err
