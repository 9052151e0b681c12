import tarfile
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from connector.errors import ConfigError
from connector.learn import streams
from connector.learn.corpora import capture_payloads, http_params, labelled_flows, nsl_kdd, sample
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.sample import Basis
from connector.learn.corpora.source import Corpora, pinned
from connector.learn.dataset import STRENGTH
from connector.learn.export import training


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


def test_every_pinned_source_that_may_train_is_read_and_every_other_is_for_evaluation_alone() -> None:
    pins = pinned()

    assert {name for name, source in pins.items() if source.may_train} == (
        set(RECIPES) | {streams.CAMPAIGNS, http_params.NAME, capture_payloads.NAME, nsl_kdd.NAME, labelled_flows.CICIDS}
    )
    assert {name for name, source in pins.items() if not source.may_train} == {
        "lolbas",
        "caid2025",
        "adfa_ld",
        "phishing_pot",
    }


def test_a_label_basis_that_no_recipe_gives_is_not_listed() -> None:
    recipes = [path for path in Path(sample.__file__).parent.glob("*.py") if path.stem != "sample"]
    code = "".join(path.read_text("utf-8") for path in [*recipes, Path(training.__file__)])

    assert [basis for basis in get_args(Basis) if f'"{basis}"' not in code] == []
    assert set(STRENGTH) == set(get_args(Basis))
