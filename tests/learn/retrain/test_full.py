"""The full path: base rows and closures as one dataset; a text and a phishing bundle trained anew by the same command."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from mlflow import MlflowClient

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file
from connector.learn.corpora import wrap
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation.gate import poisoning
from connector.learn.export.training import SOURCE
from connector.learn.training import tracking
from connector.learn.training.fit import DEFAULT
from connector.learn.training.model import Shape
from connector.learn.training.pretrain import UNLABELLED
from connector.learn.training.provenance import CLOSED
from connector.learn.training.retrain import full
from connector.learn.training.retrain.closures import Closures
from connector.learn.training.retrain.combined import combined
from connector.learn.training.retrain.order import Order, next_version
from connector.learn.training.text import Order as TextOrder, train_text
from connector.models.rules.testbed import lay_rules_member, rules_spec
from connector.models.store import Store
from connector.models.testbed import lay_bundle
from tests.learn import encoder
from tests.learn.export.make import House, process, scored
from tests.learn.test_phishing import BAD, GOOD, mails

ROOT = Path(__file__).parents[3]
BRIEF = msgspec.structs.replace(
    DEFAULT, shape=Shape(buckets=256, bag_width=8), wide_epochs=1, wide_evaluations=1, letter_epochs=0, layers=(0,), refit=0.0,
    pretrain=0.1, epochs=0.1, evaluations=1, max_length=32, train_length=32, sub_groups=3,
)  # fmt: skip
NONE = Closures(learnt=(), newest=(), since=None, left_out={}, export="")


def closure(row: Row, **changes: object) -> Row:
    told = {"source": SOURCE, "basis": "analyst", "licence": CLOSED.licence, "split": "train"}
    return msgspec.structs.replace(row, **(told | changes))


@pytest.fixture(scope="module")
def base(tiny: Corpora) -> Dataset:
    return dataset.build(tiny)


def test_a_left_out_row_that_repeats_a_closure_measures_nothing(base: Dataset) -> None:
    held = next(row for row in base.rows if row.split == "dev")
    copy = closure(held, text=held.text, fingerprint="f" * 64)

    found = combined(base, [copy])

    assert copy in found.of("train")
    assert held not in found.rows
    assert len(found.rows) <= len(base.rows)


def test_the_same_event_in_both_is_one_row_that_says_what_both_say(base: Dataset) -> None:
    attack = next(row for row in base.of("train") if row.malicious and row.basis == "executed-test")

    agreeing = combined(base, [closure(attack, techniques=("T1112",))])
    contradicting = combined(base, [closure(attack, malicious=False)])

    (one,), (open_row,) = (
        [row for row in found.rows if row.fingerprint == attack.fingerprint] for found in (agreeing, contradicting)
    )
    assert set(one.techniques) == {*attack.techniques, "T1112"}
    assert open_row.malicious is None


def test_the_facts_are_of_the_rows_together(base: Dataset) -> None:
    new = closure(base.rows[0], text="something else entirely", fingerprint="e" * 64)

    found = combined(base, [new])

    assert found.facts.sources[SOURCE] == 1
    assert found.facts.digest != base.facts.digest
    assert sum(found.facts.rows.values()) == len(found.rows)


def triaged(*arguments: object) -> None:
    command = [sys.executable, "-m", "connector.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


def exported(folder: Path, said: Sequence[tuple[dict, str]]) -> Path:
    """An export of closures, an hour apart."""
    folder.mkdir()
    house = House(folder)
    for number, (document, disposition) in enumerate(said):
        event = scored(f"e{number}", document)
        house.score(event)
        house.clock.advance(timedelta(hours=1).total_seconds())
        house.said(f"A-{number}", [event.id], disposition=disposition, tags=("administration",))
    house.export().run()
    house.close()
    return house.folder


@pytest.fixture(scope="module")
def house(tiny: Corpora, tiny_pins: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a text bundle in ``store``, the only one, and its ``base``."""
    folder = tmp_path_factory.mktemp("house")
    encoder.write(folder / "base")
    given = ("--corpora", tiny.folder, "--pins", tiny_pins, "--base", folder / "base")
    brief = ("--wide-epochs", 3, "--letter-epochs", 0, "--epochs", 0, "--sub-groups", 3)
    triaged("train", "text", *given, "--output", folder / "store", *brief)
    return folder


def test_without_recordings_there_is_nothing_to_weigh_several_members_by(base: Dataset, tmp_path: Path) -> None:
    lay_rules_member(tmp_path / "tiny" / "1" / "rules")
    lay_bundle(tmp_path, members=[rules_spec()])
    order = Order(store=tmp_path, bundle="tiny/1", export=tmp_path, version="2", newest=0.2, full=True)

    with pytest.raises(ConfigError, match=r"has several members.*--corpora"):
        full.train(order, base, NONE, {})

    assert Store(tmp_path).list() == ["tiny/1"]


def test_a_pre_trained_bundle_is_pre_trained_anew_on_the_training_rows_alone_and_that_is_said(
    base: Dataset, tiny_pins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder.write(tmp_path / "base", "[MASK]")
    dataset_file.write(base, tmp_path / "rows")
    events = [wrap.process(f"newtool.exe --job {name}", wrap.seeded(name)) for name in ("alpha", "bravo")]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(map(msgspec.json.encode, events)))
    given = {"rows": tmp_path / "rows", "pins": tiny_pins, "base": tmp_path / "base"}
    train_text(
        TextOrder(
            output=tmp_path / "store", version="1", recipe=BRIEF, unlabelled=(tmp_path / "events.jsonl",), **given
        )
    )
    asked = Order(
        store=tmp_path / "store", bundle="triaged/1", export=tmp_path, version="2", newest=0.2, full=True, **given
    )

    full.train(asked, base, NONE, {})

    store = Store(tmp_path / "store")
    told = [store.manifest(ref).metrics for ref in ("triaged/1", "triaged/2")]
    assert [UNLABELLED in metrics["training"] for metrics in told] == [True, False]
    assert told[1]["retrained"]["pre_trained_on"] == "the training rows alone"
    assert "pre-training reads the training rows alone" in capsys.readouterr().out
    card = (store.directory("triaged/2") / "README.md").read_text("utf-8")
    assert "| pre trained on | the training rows alone |" in card


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:.*:sqlalchemy.exc.SADeprecationWarning")  # of mlflow's own store
def test_a_text_bundle_is_trained_anew_with_the_closures(
    house: Path, tiny: Corpora, tiny_pins: Path, tmp_path: Path
) -> None:
    store = Path(shutil.copytree(house / "store", tmp_path / "store"))
    words = [
        "alpha",
        "bravo",
        "charlie",
        "delta",
        "echo",
        "foxtrot",
        "golf",
        "hotel",
        "india",
        "juliet",
        "kilo",
        "lima",
    ]
    folder = exported(tmp_path / "site", [(process(1, f"mender {word} --now"), "false_positive") for word in words])

    given = ("--corpora", tiny.folder, "--pins", tiny_pins, "--base", house / "base")
    module = ("connector.learn.training.retrain", "--store", store, "--export", folder, "--full", "--track", *given)
    done = subprocess.run(
        [sys.executable, "-m", *map(str, module)], cwd=ROOT, capture_output=True, text=True, timeout=900
    )

    assert done.returncode == 0, done.stdout + done.stderr
    opened = Store(store)
    manifest = opened.manifest("triaged/0.1.0-r1")
    assert opened.verify("triaged/0.1.0-r1") == ()
    assert opened.production() == "triaged/0.1.0"
    assert {source.name: source.rows for source in manifest.dataset.sources}[SOURCE] == 9
    assert manifest.metrics["retrained"]["path"] == "full"
    assert manifest.metrics["retrained"]["newest"].keys() == {
        "rightly judged at suspicious", "rightly judged at malicious", "rightly judged at trigger",
    }  # fmt: skip
    assert next_version(opened, "triaged", "0.1.0") == "0.1.0-r2"
    uri = tracking.beside(store)
    aliases = MlflowClient(tracking_uri=uri, registry_uri=uri).get_registered_model("triaged").aliases
    assert {alias: int(version) for alias, version in aliases.items()} == {"champion": 1, "challenger": 2}


@pytest.mark.full
def test_the_full_path_can_be_tried_on_an_analyst_who_lies(
    house: Path, base: Dataset, tiny_pins: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(house / "store", tmp_path / "store"))
    told = [row for row in base.of("dev") if row.malicious is not None]
    shown = [closure(row, malicious=not row.malicious, techniques=()) for row in told[:2]]
    rest = [row for row in base.rows if row.split != "train" and row not in told[:2]]
    found = poisoning.Parts(base=base.of("train"), shown=shown, newest=[], gate=rest, unseen=rest)

    retrain = poisoning.fully(folder, found, base.facts, tiny_pins)
    outcome = poisoning.attempted(Store(folder), poisoning.Plan("lies", shown, 2), found, "lied-to", retrain)

    manifest = Store(folder).manifest("triaged/lied-to")
    assert manifest.metrics["retrained"]["path"] == "full"
    assert {source.name: source.rows for source in manifest.dataset.sources}[SOURCE] == 2
    assert outcome.report.challenger == "triaged/lied-to"
    assert outcome.harm


@pytest.mark.full
@pytest.mark.parametrize("path", ["quick", "full"])
def test_a_phishing_bundle_is_retrained_by_the_same_command_on_mails_alone(tmp_path: Path, path: str) -> None:
    encoder.write(tmp_path / "base")
    labelled, store = mails(tmp_path), tmp_path / "store"
    small = ("--layers", "0", "--epochs", 1, "--max-length", 32)
    triaged("train", "phishing", "--mails", labelled, "--output", store, "--base", tmp_path / "base", *small)
    closed = [
        (
            {
                "event": {"kind": "event", "category": ["email"]},
                "email": {"subject": f"note {number}"},
                "message": text,
            },
            said,
        )
        for number in range(12)
        for text, said in (
            (f"{BAD} {'abcdefghijkl'[number]}", "true_positive"),
            (f"{GOOD} {'abcdefghijkl'[number]}", "false_positive"),
        )
    ]
    folder = exported(tmp_path / "site", [*closed, (process(1), "false_positive")])

    more = ("--full", "--base", tmp_path / "base") if path == "full" else ()
    triaged("retrain", "--store", store, "--bundle", "phishing/0.1.0", "--mails", labelled, "--export", folder, *more)

    opened = Store(store)
    manifest = opened.manifest("phishing/0.1.0-r1")
    assert opened.verify("phishing/0.1.0-r1") == ()
    assert manifest.members[0].kind == "phishing"
    assert manifest.metrics["retrained"]["left_out"] == {"no mail": 1}
    assert opened.open("phishing/0.1.0-r1", 1).members.keys() == {"phishing"}
