"""An analyst who lies is caught by the gate, or changes what nobody saw by no more than two points; honest labels pass."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import pytest

from connector.learn.corpora import administration, routine
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Row
from connector.learn.evaluation import samples
from connector.learn.evaluation.gate import evade, poisoning
from connector.learn.evaluation.gate.judge import Material, judge
from connector.learn.evaluation.gate.poisoning import Outcome, Parts, Plan
from connector.learn.training.retrain import quick, replay
from connector.learn.training.retrain.order import carried
from connector.models import Store
from connector.resources import shipped

POINTS = 0.02
INCUMBENT = "triaged/0.4.0"


@pytest.fixture(autouse=True)
def fewer_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evade, "COMMANDS", 20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("store")
    shutil.copytree(shipped("model_store"), folder, dirs_exist_ok=True)
    return Store(folder)


@pytest.fixture(scope="module")
def parts(store: Store) -> Parts:
    """The examples that the shipped bundle carries, and generated ordinary work: real texts that need no corpora.

    The incumbent was trained on them: "unseen" here is what the retraining did not see. docs/promotion.md has the measurement.
    """
    return poisoning.parts([msgspec.structs.replace(row, split=split(row)) for row in rows(store)], closures=300)


def split(row: Row) -> str:
    """A third holds, a fifth is closed, and the rest is for the gate and for nobody."""
    place = zlib.crc32(f"{row.source}/{row.group}".encode()) % 15
    return "train" if place < 5 else "dev" if place < 8 else "calibration"


def rows(store: Store) -> Iterator[Row]:
    nowhere = Corpora(Path("nowhere"), {})
    for name, recipe in ((administration.NAME, administration.samples), (routine.NAME, routine.samples)):
        for row, _ in samples.read(islice(recipe(nowhere), None, None, 9), name, ""):
            yield msgspec.structs.replace(row, group=f"{row.group} {row.record.partition('.')[0]}")
    yield from carried(store, INCUMBENT)[::5]


def attempted(store: Store, parts: Parts, plan: Plan, version: str) -> Outcome:
    cache = store.directory(INCUMBENT).parents[1] / "features"
    return poisoning.attempted(store, plan, parts, version, poisoning.quickly(store, parts, cache))


def named(parts: Parts, word: str) -> Plan:
    return next(plan for plan in poisoning.plans(parts.shown) if word in plan.name)


def test_honest_labels_pass(store: Store, parts: Parts) -> None:
    outcome = attempted(store, parts, named(parts, "clean"), "clean")
    assert outcome.report.failed == ()
    assert outcome.worst[1] <= POINTS


@pytest.mark.parametrize(
    "word",
    [
        pytest.param("5%", marks=pytest.mark.full),
        pytest.param("10%", marks=pytest.mark.full),
        "20%",
        pytest.param("an attack closed", marks=pytest.mark.full),
        pytest.param("a harmless command closed", marks=pytest.mark.full),
    ],
)
def test_a_lie_is_refused_or_costs_no_more_than_two_points_of_anything_unseen(
    store: Store, parts: Parts, word: str
) -> None:
    plan = named(parts, word)
    assert plan.lies > 0
    outcome = attempted(store, parts, plan, word.replace(" ", "-").replace("%", ""))
    assert not outcome.report.passed or outcome.worst[1] <= POINTS


@pytest.mark.full
def test_where_closures_outvote_the_base_the_gate_catches_the_lie(store: Store, parts: Parts) -> None:
    rows = [*named(parts, "an attack closed").shown, *parts.base]
    weight = np.where(replay.is_closure(rows), 1_000.0, 1.0) * replay.weights(rows)
    made = quick.refit(INCUMBENT, store, rows, weight, "outvoted")
    assert not judge(store, made, INCUMBENT, Material(left_out=parts.gate, newest=parts.newest)).passed
