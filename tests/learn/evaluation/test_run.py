"""The whole command on a tiny corpus: dataset, bundle, fits, report; and once more from what the first run left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.__main__ import PAGE, RESULT, main
from connector.learn.training.fit import Recipe
from connector.learn.training.text import Order, train_text

SMALL = Recipe(wide_epochs=3, wide_evaluations=2, max_length=64, sub_groups=3, layers=None, vocabulary=300)


@pytest.mark.full
def test_a_bundle_and_its_recipe_are_measured_and_a_second_run_fits_nothing_again(
    tiny: Corpora, tiny_pins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_what_is_missing_is_said_and_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", str(tmp_path)]) == 2
    assert "--corpora" in capsys.readouterr().err
    assert main(["--store", str(tmp_path), "--corpora", str(tmp_path)]) == 2
    assert "no bundle is in production" in capsys.readouterr().err
