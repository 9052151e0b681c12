"""The whole command on a tiny corpus: dataset, bundle, fits, report; and once more from what the first run left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from connector.learn import dataset, dataset_file
from connector.learn.corpora import evtx_to_mitre
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation import lolbas, recordings, run, sigma, techniques
from connector.learn.evaluation.__main__ import PAGE, RESULT, main
from connector.learn.evaluation.fitting import Predicted
from connector.learn.evaluation.folds import FOLDS, Fit
from connector.learn.evaluation.recordings import Streams
from connector.learn.training.fit import Recipe
from connector.learn.training.text import Order, base_of, train_text
from connector.models.rules import Match, load
from tests.learn.evaluation.test_report import ROWS
from tests.models.events import process_start

SMALL = Recipe(
    letter_epochs=0, wide_epochs=3, wide_evaluations=2, max_length=64, sub_groups=3, layers=None, vocabulary=300
)


@pytest.mark.full
def test_a_bundle_and_its_recipe_are_measured_and_a_second_run_fits_nothing_again(
    tiny: Corpora, tiny_pins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(techniques, "LEAST", 1)  # a part of so small a corpus has few rows
    dataset_file.write(dataset.build(tiny), tmp_path / "rows")
    train_text(Order(output=tmp_path / "store", rows=tmp_path / "rows", pins=tiny_pins, recipe=SMALL))
    arguments = [
        "--corpora", str(tiny.folder), "--pins", str(tiny_pins), "--rows", str(tmp_path / "rows"), "--store",
        str(tmp_path / "store"), "--output", str(tmp_path / "out"), "--folds", "2", "--quick", "--workers", "1",
    ]  # fmt: skip

    assert main(arguments) == 0
    first = capsys.readouterr().out
    assert main(arguments) == 0
    found = json.loads((tmp_path / "out" / RESULT).read_bytes())

    assert "fitted: text-fold-1" in first
    assert "fitted: " not in capsys.readouterr().out
    assert found["leaks"] == []
    assert {entry["model"] for entry in found["techniques"]} >= {"bundle", "text", "linear", "majority"}
    assert any(line["name"].startswith("left-out recordings") for line in found["targets"])
    assert "<svg" in (tmp_path / "out" / PAGE).read_text("utf-8")


def test_the_quick_form_of_a_pre_trained_recipe_is_the_bags_alone_and_can_be_fitted() -> None:
    made = msgspec.structs.replace(SMALL, epochs=3.0, pretrain=2.0)

    fewer = run.quick(made)

    assert base_of(fewer, None) is None
    assert (fewer.epochs, fewer.pretrain) == (0.0, 0.0)


def test_beside_a_model_a_match_counts_where_it_is_surer_and_names_what_the_model_has_no_name_for() -> None:
    match = Match("1", "a rule", "high", ("T1001.002", "T1002"), "somebody")
    names, scores = sigma.beside(("T1000", "T1001"), np.array([[0.9, 0.1], [0.2, 0.7]], np.float32), [(match,), ()])
    assert names == ("T1000", "T1001", "T1002")
    assert scores.tolist() == [pytest.approx([0.9, 0.5, 0.5]), pytest.approx([0.2, 0.7, 0.0])]


def test_techniques_are_asked_of_whole_texts_and_malice_of_the_rows_as_both_classes_have_them() -> None:
    fit = Fit(FOLDS, "fold 1", ROWS, (), (), ROWS)
    whole = msgspec.structs.replace(ROWS[0], text="the whole event")
    none: Any = None
    given = run._Given(
        bundle=none, rows=none, recipe=Recipe(), quick=True, rules=none, streams=Streams({}, ()), fits=[fit],
        logged={evtx_to_mitre.NAME: [(whole, process_start("x"))], lolbas.NAME: ()},
    )  # fmt: skip
    order = next(run._orders(given))
    right = [[float(name in row.techniques) for name in ("T1000", "T1001")] for row in ROWS]
    sure = np.array([0.5 if row.malicious else 1e-6 for row in ROWS] + [1e-6] * len(ROWS))
    techniques = np.concatenate([1 - np.array(right), right]).astype(np.float32)
    found = run._Found()
    said = Predicted(("T1000", "T1001"), techniques, sure, {"malicious": sure > 0.1}, 1e-4)
    run._left_out(found, given, {(fit.name, "text"): said})

    assert [row.text for row in order.fit.test] == [row.text for row in ROWS]
    assert order.texts == ["the whole event", *(row.text for row in ROWS[1:])]
    assert found.parts["techniques"][0].events.top1.value == 1.0
    assert {part.malicious: part.levels["malicious"].value for part in found.parts["flagged"]} == {True: 1e4, False: 0}


def test_an_event_of_a_stream_is_read_without_the_ids_that_a_collection_writes() -> None:
    texts = recordings._Texts(load(()))
    texts.enter(process_start("run.cmd C:\\AtomicRedTeam\\T1003.001\\dump.txt"))
    (shown,) = texts.found.values()

    assert "dump.txt" in shown.text
    assert "t1003" not in shown.text
    assert "atomicredteam" not in shown.text


def test_what_is_missing_is_said_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", str(tmp_path)]) == 2
    assert "--corpora" in capsys.readouterr().err
    assert main(["--store", str(tmp_path), "--corpora", str(tmp_path)]) == 2
    assert "no bundle is in production" in capsys.readouterr().err
