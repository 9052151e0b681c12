from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from connector.cli.app import app
from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset

RUN = CliRunner()


@pytest.fixture(scope="module")
def folder(tiny: Corpora, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("rows")
    dataset_file.write(dataset.build(tiny, only=("atomic", "otrf", "tldr")), found)
    return found


def test_the_report_tells_what_a_dataset_holds_which_recordings_have_an_entry_and_that_nothing_leaks(
    folder: Path,
) -> None:
    result = RUN.invoke(app, ["dataset", "report", str(folder)])

    assert result.exit_code == 0, result.output
    assert "otrf\tprocess-tree" in result.output
    assert "has an entry: 3 of 3" in result.output
    assert "leaks: none" in result.output


def test_the_report_of_a_leaking_dataset_exits_1(folder: Path, tmp_path: Path) -> None:
    read = dataset_file.read(folder)
    rows = (msgspec.structs.replace(read.rows[0], text="runs T1003.001"), *read.rows[1:])
    facts = msgspec.structs.replace(read.facts, digest=dataset.digest_of(rows))
    dataset_file.write(Dataset(rows, facts), tmp_path)

    result = RUN.invoke(app, ["dataset", "report", str(tmp_path)])

    assert result.exit_code == 1
    assert "1 texts name a technique" in result.output


def test_a_folder_without_a_dataset_says_how_to_build_one(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["dataset", "report", str(tmp_path)])

    assert result.exit_code != 0
    assert "triaged dataset build" in str(result.exception) + result.output


def test_the_build_names_the_sources_that_are_missing(tmp_path: Path) -> None:
    result = RUN.invoke(app, ["dataset", "build", "--corpora", str(tmp_path), "--output", str(tmp_path / "out")])

    assert result.exit_code != 0
    assert "lacks otrf" in str(result.exception)


def test_administration_alone_needs_nothing_fetched(tmp_path: Path) -> None:
    out = tmp_path / "out"

    result = RUN.invoke(
        app, ["dataset", "build", "--corpora", str(tmp_path), "--output", str(out), "--only", "routine"]
    )

    assert result.exit_code == 0, result.output
    assert dataset_file.read(out).facts.sources == {"routine": len(dataset_file.read(out).rows)}
