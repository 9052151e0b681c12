"""What is shipped was made from pinned sources that may train, by the recipe that the command uses by default."""

from collections import Counter

import msgspec
import pytest

from connector.learn.corpora.source import pinned
from connector.learn.training.card import command
from connector.learn.training.fit import DEFAULT, Recipe
from connector.learn.training.notice import texts
from connector.models import Store
from connector.models.manifest import Manifest
from connector.resources import shipped


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    store = Store(shipped("model_store"))
    production = store.production()
    assert production is not None
    return store.manifest(production)


def test_every_source_of_the_shipped_bundle_is_pinned_and_may_train(manifest: Manifest) -> None:
    pins = pinned()

    assert manifest.dataset.sources
    for source in manifest.dataset.sources:
        pin = pins[source.name]
        assert pin.may_train
        assert (source.upstream, source.commit, source.sha256) == (pin.upstream, pin.commit, pin.sha256)
        assert (source.licence, source.authors) == (pin.licence, pin.credit)


def test_the_default_recipe_is_the_shipped_bundles_but_for_the_refit_that_came_after_it(manifest: Manifest) -> None:
    default = msgspec.to_builtins(Recipe(), builtin_types=(tuple,))
    recorded = default | manifest.metrics["training"]["recipe"]  # what a recipe of then did not know is as by default
    assert recorded == default | {"layers": [0, 2, 5]}
    assert command(manifest).endswith(f" --name {manifest.name} --version {manifest.version} --refit 0.0")
    assert msgspec.structs.replace(DEFAULT, refit=0.0) == Recipe()


def test_the_shipped_bundle_names_its_base(manifest: Manifest) -> None:
    assert manifest.base is not None
    assert manifest.base.name == "all-MiniLM-L6-v2"
    assert manifest.base.licence == "Apache-2.0"
    assert len(manifest.base.sha256) == 64


def test_the_shipped_card_says_whose_texts_are_given_away_and_under_which_licences(manifest: Manifest) -> None:
    folder = Store(shipped("model_store")).directory(manifest.ref)
    given = msgspec.json.decode((folder / "examples.json").read_bytes())["examples"]
    told = texts(Counter(example["source"] for example in given), manifest.dataset.sources)

    assert told in (folder / "README.md").read_text("utf-8")
    for owner in ("2018 Red Canary, Inc.", "2021 Open Threat Research Forge", "2026 GitHub"):
        assert f"Copyright (c) {owner}" in told


def test_a_bundle_of_a_source_that_has_no_recipe_is_made_again_from_built_rows(manifest: Manifest) -> None:
    sources = (msgspec.structs.replace(manifest.dataset.sources[0], name="intel-stix-0"),)
    dataset = msgspec.structs.replace(manifest.dataset, sources=(*manifest.dataset.sources, *sources))

    made = command(msgspec.structs.replace(manifest, dataset=dataset))

    assert "--rows ROWS --pins sources.toml" in made
    assert "--only" not in made
    assert "--corpora" not in made
