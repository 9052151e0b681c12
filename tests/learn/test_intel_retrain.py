"""New intelligence, from a handful of rules and one export to a bundle that the gate has judged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import typer

from connector.cli import learn
from connector.cli.app import app
from connector.cli.learn import Bounds, commands
from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.corpora.source import pinned
from connector.learn.dataset import SPLIT_RULE
from connector.learn.evaluation.gate import __main__ as gate, report
from connector.learn.training import __main__ as training
from connector.learn.training.ensemble import __main__ as ensemble
from connector.learn.training.model import Shape
from connector.learn.training.text import train_text
from connector.models import Store, fingerprints
from connector.models.manifest import Dataset
from connector.models.testbed import lay_bundle
from tests.learn import corpus
from tests.learn.test_intel import MISP, RULE
from tests.models.whole import whole_store

ROOT = Path(__file__).parents[2]
SMALL = Bounds(
    only="atomic,tldr,chocolatey,otrf,sigma",
    quick=True,
    recipe=("--vocabulary", "300", "--wide-epochs", "1", "--wide-evaluations", "2", "--letter-epochs", "0"),
)
INCUMBENT = "triaged/0.9.0"


def laid(folder: Path) -> Path:
    """Corpora as unpacked trees, two rules, an export, and a store with a bundle in production."""
    pins = pinned()
    for name, content in corpus.files().items():
        for path, data in content.items():
            place = folder / "corpora" / pins[name].root / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    (folder / "misp.json").write_text(json.dumps(MISP))
    (folder / "rules").mkdir()
    (folder / "rules" / "a.yml").write_text(RULE)
    (folder / "rules" / "b.yml").write_text(RULE.replace("sekurlsa::logon", "lsadump::sam").replace("1111", "2222"))
    told = Dataset(digest="0" * 64, sources=(), split=SPLIT_RULE, rows={}, seed=1)
    lay_bundle(folder / "store", name="triaged", version="0.9.0", dataset=told)
    Store(folder / "store").promote(INCUMBENT)
    return folder


def asked(folder: Path) -> list[str]:
    given = {
        "--output": folder / "new",
        "--sigma": folder / "rules",
        "--misp": folder / "misp.json",
        "--licence": "CC0-1.0",
    }
    return ["learn", "intel", *(str(part) for pair in given.items() for part in pair)]


def triaged(order: list[str]) -> None:
    """Runs a command here. A CliRunner would close the stream that libraries of the training are logged to."""
    typer.main.get_command(app).main(order, standalone_mode=False)


def check(folder: Path) -> None:
    """The bundle names what it learnt and from where, the gate compared it, and production stays."""
    store, rows = Store(folder / "store"), dataset_file.read(folder / "new" / "rows").rows
    made = store.manifest("triaged/1.0.0")
    mine = [row for row in rows if row.source.startswith("intel-")]
    sources = {source.name: source for source in made.dataset.sources}
    known = fingerprints.read(store.directory("triaged/1.0.0") / fingerprints.FILE)

    assert {(row.upstream, row.licence) for row in mine} == {("misp.json", "CC0-1.0"), ("rules", "DRL-1.1")}
    assert {row.source: sources[row.source].upstream for row in mine} == {row.source: row.upstream for row in mine}
    assert sum(sources[name].rows for name in {row.source for row in mine}) == len(mine)
    assert all(row.fingerprint in known for row in mine)
    assert set(SMALL.only.split(",") if SMALL.only else ()) < set(sources)
    assert store.production() == INCUMBENT
    judged = report.standing(store, "triaged/1.0.0", INCUMBENT)
    assert judged is not None
    assert judged[0].rows["left out"] == sum(row.split != "train" for row in rows)
    assert "groups of left-out attacks" in {one.name for one in judged[0].failed}  # so few prove nothing


def test_new_rules_and_an_export_become_a_bundle_that_the_gate_compares_with_the_one_in_production(
    tmp_path: Path,
) -> None:
    folder = laid(tmp_path)
    triaged(asked(folder))
    build, train, _ = commands(folder / "new", folder / "corpora", folder / "store", "1.0.0", SMALL)

    triaged(build)
    order = training.order_of(training._parser().parse_args(train[1:]))
    small = msgspec.structs.replace(order.recipe, shape=Shape(buckets=512, bag_width=8))
    train_text(msgspec.structs.replace(order, recipe=small))
    named = ("--store", folder / "store", "--rows", folder / "new" / "rows")
    assert gate.main([*map(str, named), "--challenger", "triaged/1.0.0", "--incumbent", INCUMBENT]) == 0

    check(folder)


def test_where_several_members_are_in_production_the_others_stand_beside_the_new_text_member(tmp_path: Path) -> None:
    store = whole_store(tmp_path / "store")
    several = learn._several(store)

    _, train, beside, evaluate = commands(
        tmp_path / "new", tmp_path / "corpora", store, "1.0.0", SMALL, several=several
    )

    text = training.order_of(training._parser().parse_args(train[1:]))
    asked = ensemble.parser().parse_args(beside[2:])
    assert (asked.again, asked.base, asked.store) == ("tiny/1", f"{text.name}/{text.version}", text.output)
    assert (asked.rows, asked.output, asked.version) == (text.rows, store, "1.0.0")
    assert text.output != store
    assert evaluate[evaluate.index("--store") + 1] == str(store)
    assert learn._several(laid(tmp_path / "alone") / "store") is None
    (store / "tiny" / "1" / "payload" / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(ConfigError, match="cannot stand in another bundle"):
        learn._several(store)


@pytest.mark.full
def test_one_command_learns_retrains_evaluates_and_is_judged(tmp_path: Path) -> None:
    folder = laid(tmp_path)
    bounds = (
        "--corpora",
        folder / "corpora",
        "--retrain",
        folder / "store",
        "--version",
        "1.0.0",
        "--only",
        SMALL.only,
    )
    order = [*asked(folder), *map(str, bounds), "--quick", "--", *SMALL.recipe]

    done = subprocess.run(
        [sys.executable, "-m", "connector.cli", *order],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    check(folder)
    assert (folder / "new" / "evaluation" / "evaluation.json").is_file()
    assert "gate: failed: groups of left-out attacks: " in done.stdout
    assert f"{INCUMBENT} stays in production: the gate refuses triaged/1.0.0" in done.stdout
    assert done.returncode == 1
