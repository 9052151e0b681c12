"""Which labels are likely wrong, contradict each other, or are too few; and that what is excluded never trains."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from connector.errors import ConfigError
from connector.learn.export.training import excluded, rows
from connector.learn.training import label_check
from connector.learn.training.quality import LEAST, MALICIOUS, Report, check
from connector.resources import shipped
from tests.learn.closures import label
from tests.learn.export.make import House, process, scored

GROUPS = 60


def features(truth: list[bool]) -> np.ndarray:
    """Attacks on one side, harmless events on the other, with a little spread."""
    noise = np.random.default_rng(5).normal(0, 0.3, (len(truth), 8))
    noise[:, :4] += np.where(truth, 1.0, -1.0)[:, None]
    return noise.astype(np.float32)


@pytest.fixture(scope="module")
def flipped() -> tuple[set[str], Report]:
    """Sixty labels, six of them said the wrong way round."""
    truth = [number % 2 == 0 for number in range(GROUPS)]
    wrong = set(range(0, GROUPS, 11))
    labels = [label(n, malicious=yes is not (n in wrong)) for n, yes in enumerate(truth)]
    return {f"row-{n:03}" for n in wrong}, check(labels, features(truth))


def test_labels_that_the_others_speak_against_are_found_and_excluded(flipped):
    wrong, report = flipped
    assert report.judged == (MALICIOUS,)
    found = {error.row for error in report.errors}
    assert found <= wrong
    assert len(found) >= len(wrong) / 2
    assert set(report.excluded) == found
    assert [error.quality for error in report.errors] == sorted(error.quality for error in report.errors)
    assert report.conflicts == report.small == ()


def test_clean_labels_are_left_alone():
    truth = [number % 2 == 0 for number in range(GROUPS)]
    assert check([label(n, malicious=yes) for n, yes in enumerate(truth)], features(truth)).excluded == []


def test_copies_of_a_wrong_label_do_not_vouch_for_each_other():
    truth = [number % 2 == 0 for number in range(GROUPS)] + [False] * 10
    labels = [label(n, malicious=yes) for n, yes in enumerate(truth[:GROUPS])]
    labels += [label(n, malicious=True, group="copies") for n in range(GROUPS, GROUPS + 10)]
    found = features(truth)
    found[GROUPS:] = found[GROUPS]
    assert {error.row for error in check(labels, found).errors} == {one.row for one in labels[GROUPS:]}


def test_of_near_duplicates_that_disagree_the_fewer_are_excluded_and_all_where_they_are_as_many():
    labels = [label(n, malicious=n == 0, group="most say benign") for n in range(3)]
    labels += [label(n, malicious=n == 3, group="one each", analyst=f"user-{n}") for n in (3, 4)]
    report = check(labels, features([False] * 5))
    assert [(one.group, one.excluded) for one in report.conflicts] == [
        ("most say benign", ("row-000",)),
        ("one each", ("row-003", "row-004")),
    ]
    assert report.conflicts[1].analysts == ("user-3", "user-4")
    assert report.judged == ()


def test_classes_are_counted_by_groups_and_not_by_copies():
    labels = [label(n, malicious=True, group="one group", techniques=("T1059.001",)) for n in range(2 * LEAST)]
    labels += [label(100 + n, malicious=False) for n in range(LEAST)]
    report = check(labels, features([True] * len(labels)))
    assert [(one.name, one.labels, one.groups) for one in report.small] == [("T1059", 20, 1), ("malicious", 20, 1)]


def test_a_wrong_technique_is_found_among_the_labels_that_name_one():
    truth = [number % 2 == 0 for number in range(GROUPS)]
    names = [("T1059",) if yes is not (n == 8) else ("T1003.001",) for n, yes in enumerate(truth)]
    labels = [label(n, malicious=True, techniques=names[n]) for n in range(GROUPS)]
    report = check(labels, features(truth))
    assert report.judged == ("T1003", "T1059")
    assert {(error.row, error.question) for error in report.errors} == {("row-008", "T1003")}


def test_what_is_excluded_never_becomes_a_training_row(tmp_path: Path, capsys):
    house = House(tmp_path)
    texts = ["whoami /all", "whoami /all", "whoami /all", "net user nobody | `x`"]
    ids = house.score(*(scored(f"e{n}", process(n // 2, command)) for n, command in enumerate(texts)))
    for number, decision in enumerate(("true_positive", "benign_positive", "benign_positive", "benign_positive")):
        house.said(f"A{number}", ids[number : number + 1], disposition=decision)
    house.export().run()
    labels = house.rows()
    house.close()
    order = ["--export", str(house.folder), "--store", str(shipped("model_store")), "--output", str(tmp_path / "out")]
    (tmp_path / "out").mkdir()
    (list_of_then := tmp_path / "out" / label_check.EXCLUDE).write_text('["a label of another export"]')
    list_of_then.chmod(0o644)
    with list_of_then.open() as opened:
        assert label_check.main(order) == 0
        assert opened.read() == '["a label of another export"]'
    assert "not to be trained on: 1 labels" in capsys.readouterr().out
    left = rows(labels, excluded=excluded(tmp_path / "out" / label_check.EXCLUDE))
    assert {row.malicious for row in left} == {False}
    assert None in {row.malicious for row in rows(labels)}  # the same event twice, of which one label is wrong
    assert json.loads((tmp_path / "out" / label_check.REPORT).read_bytes())["labels"] == len(texts)
    made = sorted((tmp_path / "out").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert [path.name for path in made] == [label_check.REPORT, label_check.PAGE, label_check.EXCLUDE]
    assert not any(path.stat().st_mode & 0o077 for path in made)


def test_a_list_that_is_none_is_refused(tmp_path: Path):
    (tmp_path / "list.json").write_text('{"rows": 1}')
    with pytest.raises(ConfigError, match="is no list of labels"):
        excluded(tmp_path / "list.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        excluded(tmp_path / "none.json")
