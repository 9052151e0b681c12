import tarfile
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.source import Corpora, pinned


def test_an_archive_and_an_unpacked_tree_give_the_same_files(tiny: Corpora, tmp_path: Path) -> None:
    source = tiny.sources["tldr"]
    with tarfile.open(tiny.folder / source.archive) as tar:
        tar.extractall(tmp_path, filter="data")
    tree = Corpora(tmp_path, tiny.sources)

    assert tree.holds("tldr")
    assert list(tree.files("tldr", ".md")) == list(tiny.files("tldr", ".md"))


def test_an_archive_that_is_not_the_pinned_one_is_refused(tiny: Corpora) -> None:
    changed = {"tldr": msgspec.structs.replace(tiny.sources["tldr"], sha256="0" * 64)}

    with pytest.raises(ConfigError, match="pinned is 0000"):
        list(Corpora(tiny.folder, changed).files("tldr", ".md"))


def test_a_missing_source_says_where_it_comes_from(tiny: Corpora, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"clone https://example\.org/tldr at abc"):
        list(Corpora(tmp_path, tiny.sources).files("tldr", ".md"))


def test_every_recipe_is_pinned_and_every_pinned_source_says_who_made_it() -> None:
    pins = pinned()

    assert set(RECIPES) <= set(pins)
    assert all(source.credit and source.licence and source.commit for source in pins.values())
