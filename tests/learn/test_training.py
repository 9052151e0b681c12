"""The whole path on a tiny corpus, as the command line starts it: corpora → rows → fine-tuning → int8 → bundle → prediction."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError
from connector.events import normalise
from connector.learn import dataset, dataset_file
from connector.learn.corpora import wrap
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset
from connector.learn.training import checkpoint, text
from connector.learn.training.__main__ import _parser, main, order_of, recipe_of
from connector.learn.training.bundle import Trained
from connector.learn.training.card import card, command
from connector.learn.training.fit import DEFAULT, NAMED_EPOCHS
from connector.learn.training.model import PIECES, load_encoder
from connector.learn.training.served import following
from connector.learn.training.text import Order, train_text
from connector.models import fingerprints
from connector.models.bundle import Bundle
from connector.models.manifest import Base
from connector.models.store import Store
from connector.models.testbed import lay_bundle
from connector.types import Prediction, RawEvent, SourceRef
from tests.learn import encoder

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
    )


@pytest.fixture(scope="module")
def trained(tiny: Corpora, tiny_pins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    encoder.write(folder / "base")
    options = {
        "--corpora": tiny.folder, "--pins": tiny_pins, "--base": folder / "base", "--output": folder / "store", "--keep": folder / "fitted",
        "--layers": "0,2", "--wide-epochs": 5, "--letter-epochs": 0, "--epochs": 2, "--learning-rate": 0.003, "--max-length": 64, "--train-length": 64, "--sub-groups": 3,
    }  # fmt: skip
    done = run("-m", "connector.cli", "train", "text", *(str(part) for pair in options.items() for part in pair))
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Bundle:
    return Store(trained / "store").open()


def written(trained: Path) -> Path:
    return trained / "store" / "triaged" / "0.1.0"


def predicted(bundle: Bundle, line: str) -> Prediction:
    data = wrap.process(line, wrap.seeded("unseen"))
    event = normalise(RawEvent(deployment="d", native_id="1", ref=SourceRef(siem="s", index="i", id="1"), data=data))
    return bundle.predict([event], {})[0][0]


def test_the_bundle_verifies_and_is_put_in_production(trained: Path) -> None:
    store = Store(trained / "store")

    assert store.production() == "triaged/0.1.0"
    assert not store.verify("triaged/0.1.0")


def test_it_learnt_to_tell_an_attacks_command_from_an_ordinary_one(bundle: Bundle) -> None:
    attack = predicted(bundle, "dumper.exe /steal C:\\other /into D:\\elsewhere.txt")
    ordinary = predicted(bundle, "tool99 --show C:\\Temp\\file --all")

    assert attack.p_malicious > 2 * ordinary.p_malicious


def test_the_manifest_says_what_it_was_made_from(bundle: Bundle) -> None:
    manifest = bundle.manifest

    assert {"T1003", "T1003.001", "T1053", "T1070"} <= set(manifest.labels)
    assert {source.name for source in manifest.dataset.sources} == {"atomic", "tldr", "chocolatey", "otrf", "sigma"}
    assert manifest.calibration.reference_prevalence == 1e-4
    assert manifest.metrics["dev"]["rows"] > 0
    assert "sysmon-1" in manifest.canonical_versions
    assert "sysmon-22" not in manifest.canonical_versions


def test_the_card_names_sources_licences_and_rule_authors(trained: Path) -> None:
    card = (trained / "store" / "triaged" / "0.1.0" / "README.md").read_text("utf-8")

    assert "https://example.org/tldr @abc" in card
    assert "Ann Author" in card
    assert "MIT" in card


def test_the_card_holds_the_command_that_makes_the_bundle_again(trained: Path, bundle: Bundle) -> None:
    words = command(bundle.manifest).split()

    options = _parser().parse_args(words[words.index("train") + 1 :])
    assert words[0] == "triaged"
    assert (options.layers, options.wide_epochs, options.epochs, options.max_length) == ("0,2", 5, 2, 64)
    assert set(options.only) == {"atomic", "tldr", "chocolatey", "otrf", "sigma"}
    assert command(bundle.manifest) in (written(trained) / "README.md").read_text("utf-8")


def test_the_card_counts_the_texts_that_are_given_away_and_carries_what_their_licences_ask_for(trained: Path) -> None:
    card = (written(trained) / "README.md").read_text("utf-8")
    given = msgspec.json.decode((written(trained) / "examples.json").read_bytes())["examples"]
    counts = Counter(example["source"] for example in given)

    assert counts
    assert all(f"| {source} | {count} | shortened and changed | [" in card for source, count in counts.items())
    assert "Copyright (c) 2018 Red Canary, Inc." in card
    assert "this permission notice shall be included in all copies" in card


def test_the_manifest_and_the_card_name_the_base_model_and_the_digest_of_its_weights(
    trained: Path, bundle: Bundle
) -> None:
    digest = hashlib.sha256((trained / "base" / "model.safetensors").read_bytes()).hexdigest()

    assert bundle.manifest.base == Base(name="base", sha256=digest)
    assert digest in (written(trained) / "README.md").read_text("utf-8")


@pytest.fixture(scope="module")
def built(tiny: Corpora) -> Dataset:
    return dataset.build(tiny)


def test_the_card_says_so_where_the_encoder_was_left_out(bundle: Bundle, built: Dataset) -> None:
    training = {**bundle.manifest.metrics["training"], "kept": "wide"}
    manifest = msgspec.structs.replace(bundle.manifest, metrics={**bundle.manifest.metrics, "training": training})

    assert "is left out" in card(manifest, built.facts)


def test_the_card_tells_of_pre_training_and_its_command_asks_for_it(bundle: Bundle, built: Dataset) -> None:
    training = bundle.manifest.metrics["training"]
    told = {**training, "recipe": {**training["recipe"], "pretrain": 0.5}, "unlabelled": {"texts": 7, "sha256": "0"}}
    manifest = msgspec.structs.replace(bundle.manifest, metrics={**bundle.manifest.metrics, "training": told})

    shown = card(manifest, built.facts)

    assert "0.5 passes of masked tokens, no label read (7 texts beside those of the rows)" in shown
    words = command(manifest).split()
    options = _parser().parse_args(words[words.index("train") + 1 :])
    assert (options.pretrain, len(options.unlabelled)) == (0.5, 1)
    assert "masked tokens" not in card(bundle.manifest, built.facts)


def test_the_bundle_knows_the_fingerprints_of_every_split(trained: Path, built: Dataset) -> None:
    rows = built.rows
    known = fingerprints.read(written(trained) / fingerprints.FILE)

    assert {row.split for row in rows} == {"train", "dev", "calibration"}
    assert all(row.fingerprint in known for row in rows)


def test_a_version_is_written_once(trained: Path, tiny: Corpora) -> None:
    with pytest.raises(ConfigError, match="a version is written once"):
        train_text(Order(output=trained / "store", corpora=tiny.folder, version="0.1.0"))


def test_without_a_version_it_is_the_one_after_the_highest_of_its_name(tmp_path: Path) -> None:
    assert following(tmp_path, "triaged") == "0.1.0"
    for version in ("0.9.7", "0.10.0", "0.10.0-r3", "try"):
        lay_bundle(tmp_path, name="triaged", version=version)
    lay_bundle(tmp_path, name="other", version="3.0.0")

    assert following(tmp_path, "triaged") == "0.10.1"


def test_a_fitted_network_is_exported_again_without_training(trained: Path, tiny: Corpora, tiny_pins: Path) -> None:
    order = Order(
        output=trained / "store",
        corpora=tiny.folder,
        pins=tiny_pins,
        base=trained / "base",
        fitted=trained / "fitted",
    )

    train_text(order)

    store = Store(trained / "store")
    assert store.manifest("triaged/0.1.1").thresholds == store.manifest("triaged/0.1.0").thresholds


def test_a_fitted_networks_windows_stay_where_no_others_are_given_and_0_is_the_whole_text_again(
    trained: Path, built: Dataset, tmp_path: Path
) -> None:
    def again(folder: Path, *options: str) -> Trained:
        words = ["text", "--output", str(tmp_path), "--base", str(trained / "base"), *options]
        return text._again(order_of(_parser().parse_args(words)), built, folder)

    first = again(trained / "fitted", "--window", "4", "--letter-window", "8")
    saved = checkpoint.of(first.made, built.facts.digest, first.labels, first.recipe)
    checkpoint.save(tmp_path / "fitted", first.made, saved)
    kept, whole = again(tmp_path / "fitted"), again(tmp_path / "fitted", "--window", "0")
    assert [(one.recipe.window, one.recipe.letter_window) for one in (first, kept, whole)] == [(4, 8), (4, 8), (0, 8)]
    assert [one.made.model.halves[PIECES].window for one in (first, kept, whole)] == [4, 4, 0]


def test_heads_are_refitted_where_they_were_not_and_only_once(trained: Path, built: Dataset, tmp_path: Path) -> None:
    def again(folder: Path, share: str) -> Trained:
        words = ["text", "--output", str(tmp_path), "--base", str(trained / "base"), "--refit", share]
        return text._again(order_of(_parser().parse_args(words)), built, folder)

    with pytest.raises(ConfigError, match=r"refitted with --refit 0\.6"):
        again(trained / "fitted", "0.3")
    kept = again(trained / "fitted", "0.6")
    before = kept.made.model.halves[PIECES].techniques.weight.detach().clone()
    saved = checkpoint.of(kept.made, built.facts.digest, kept.labels, msgspec.structs.replace(kept.recipe, refit=0.0))
    checkpoint.save(tmp_path / "fitted", kept.made, saved)
    made = again(tmp_path / "fitted", "0.3")
    assert made.recipe.refit == 0.3
    assert (made.made.model.halves[PIECES].techniques.weight != before).any()


def test_missing_corpora_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lacks tldr"):
        train_text(Order(output=tmp_path / "store", corpora=tmp_path, only=("tldr",)))


def test_a_network_fitted_on_other_rows_is_refused(
    trained: Path, tiny: Corpora, tiny_pins: Path, tmp_path: Path
) -> None:
    order = Order(
        output=tmp_path,
        corpora=tiny.folder,
        pins=tiny_pins,
        base=trained / "base",
        fitted=trained / "fitted",
        only=("atomic", "tldr"),
    )

    with pytest.raises(ConfigError, match="was fitted on dataset"):
        train_text(order)


def test_a_command_that_cannot_be_done_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["text", "--corpora", str(tmp_path), "--only", "tldr", "--output", str(tmp_path / "store")])

    assert code == 2
    assert "error: " in capsys.readouterr().err


def test_a_dataset_is_built_alone(tiny: Corpora, tmp_path: Path) -> None:
    assert main(["dataset", "--corpora", str(tiny.folder), "--only", "routine", "--output", str(tmp_path)]) == 0
    assert dataset_file.read(tmp_path).facts.sources == {"routine": len(dataset_file.read(tmp_path).rows)}


def test_a_base_that_is_not_there_exits_2_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["text", "--corpora", str(tmp_path), "--base", str(tmp_path / "no"), "--output", str(tmp_path / "s")])

    assert code == 2
    assert "is no Hugging Face model folder" in capsys.readouterr().err


def test_a_named_base_keeps_all_its_layers_unless_told_otherwise() -> None:
    named = ["text", "--output", "s", "--base", "b"]

    assert recipe_of(_parser().parse_args(named)).layers is None
    assert recipe_of(_parser().parse_args(named)).epochs == NAMED_EPOCHS
    assert recipe_of(_parser().parse_args([*named, "--layers", "0,1"])).layers == (0, 1)
    assert recipe_of(_parser().parse_args(["text", "--output", "s"])) == DEFAULT


def test_layers_that_are_not_there_are_refused(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"layers \[0, 7\] are not among the 3"):
        load_encoder(trained / "base", (0, 7))


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.json is missing"):
        load_encoder(tmp_path, None)
