"""``python -m connector.learn.evaluation.gate.poisoning STORE ROWS``: what an analyst who lies can do to a retraining.

Left-out rows of the base dataset are closed by simulated analysts; one of them turns labels round, or closes one cluster
over and over. Every plan is retrained by the quick path, or with ``--full`` by the full one, and judged by the gate on rows
that it was not shown. What passes is then measured on rows that the gate did not see either. ``--only`` names plans by how
their names begin.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec

from connector.learn import dataset_file
from connector.learn.corpora.source import PINS
from connector.learn.dataset import Dataset, Facts, Row
from connector.learn.evaluation.gate import checks
from connector.learn.evaluation.gate.judge import Material, judge
from connector.learn.evaluation.gate.report import Report
from connector.learn.evaluation.gate.said import said
from connector.learn.evaluation.truth import group_of
from connector.learn.export.training import SOURCE
from connector.learn.training.provenance import CLOSED
from connector.learn.training.retrain import quick, replay
from connector.learn.training.retrain.closures import Closures
from connector.learn.training.retrain.order import Order
from connector.models.store import Store

ANALYSTS: Final = 4
FLIPS: Final = (0.05, 0.10, 0.20)
FLOOD: Final = 300
"""Closures of one cluster in a flood."""

CLOSURES: Final = 1_000
NEWEST: Final = 0.2


class Plan(NamedTuple):
    """Closures that are learnt from, and how many of them lie."""

    name: str
    shown: Sequence[Row]
    lies: int


class Parts(NamedTuple):
    """Base rows that hold, closures that are learnt from, the newest ones, what the gate judges by, and what nobody saw."""

    base: Sequence[Row]
    shown: Sequence[Row]
    newest: Sequence[Row]
    gate: Sequence[Row]
    unseen: Sequence[Row]


class Outcome(NamedTuple):
    """The gate's report, and by check how much worse the challenger is on rows that nobody saw."""

    plan: Plan
    report: Report
    harm: dict[str, float]

    @property
    def worst(self) -> tuple[str, float]:
        """The check that lost most."""
        return max(self.harm.items(), key=lambda item: item[1])


def parts(rows: Sequence[Row], closures: int = CLOSURES) -> Parts:
    """A dataset's rows by use; whole groups, told apart by a hash of their names. Analysts close groups of the split ``dev``."""
    closed = sorted((row for row in rows if row.split == "dev" and row.malicious is not None), key=_order)[:closures]
    labels = [_closure(row) for row in closed]
    cut = round(len(labels) * (1 - NEWEST))
    names = {row.group for row in labels[:cut]}
    taken = {group_of(row) for row in closed}
    left = [row for row in rows if row.split != "train" and group_of(row) not in taken]
    return Parts(
        base=[row for row in rows if row.split == "train"],
        shown=[row for row in labels if row.group in names],
        newest=[row for row in labels if row.group not in names],
        gate=[row for row in left if _draw(row) % 2],
        unseen=[row for row in left if not _draw(row) % 2],
    )


def plans(shown: Sequence[Row]) -> Iterator[Plan]:
    """The clean control, one analyst's labels turned round, and two floods."""
    yield Plan("clean", shown, 0)
    mine = sorted((row for row in shown if _draw(row) % ANALYSTS == 0), key=lambda row: row.fingerprint)
    for share in FLIPS:
        lies = {row.fingerprint for row in Random(1).sample(mine, round(share * len(mine)))}  # noqa: S311
        turned = [_turned(row) if row.fingerprint in lies else row for row in shown]
        yield Plan(f"{share:.0%} of one analyst's labels turned round", turned, len(lies))
    for malicious, name in ((True, "an attack closed as harmless"), (False, "a harmless command closed as an attack")):
        victim = next(row for row in shown if row.malicious is malicious)
        yield Plan(f"{name}, {FLOOD} times", [*shown, *_copies(_turned(victim))], FLOOD)


Retrain = Callable[[Plan, str], str]
"""Makes a bundle of a plan, under a version, and returns its name."""


def quickly(store: Store, found: Parts, cache: Path | None = None) -> Retrain:
    """Retraining by the quick path; ``cache`` is a folder for features."""

    def retrain(plan: Plan, version: str) -> str:
        rows = [*plan.shown, *found.base]
        return quick.refit(_incumbent(store), store, rows, replay.weights(rows), version, cache=cache)

    return retrain


def fully(folder: Path, found: Parts, facts: Facts, pins: Path = PINS) -> Retrain:
    """Retraining by the full path, in the store ``folder``, on rows of the sources that ``pins`` names.

    As in use, all rows that fit no weight choose the epoch, calibrate and set levels: the gate's and those that nobody saw.
    """
    from connector.learn.training.retrain import full  # noqa: PLC0415 - imports torch, which the quick path does not need

    base, incumbent = Dataset((*found.base, *found.gate, *found.unseen), facts), _incumbent(Store(folder))

    def retrain(plan: Plan, version: str) -> str:
        closed = Closures(learnt=plan.shown, newest=found.newest, since=None, left_out={}, export="simulated analysts")
        order = Order(
            store=folder, bundle=incumbent, export=folder, version=version, newest=NEWEST, full=True, pins=pins
        )
        return full.train(order, base, closed, {})

    return retrain


def attempted(store: Store, plan: Plan, found: Parts, version: str, retrain: Retrain) -> Outcome:
    """Retrains what is in production as ``version``, lets the gate judge, and measures on what nobody saw."""
    incumbent, made = _incumbent(store), retrain(plan, version)
    report = judge(store, made, incumbent, Material(left_out=found.gate, newest=found.newest, shown=plan.shown))
    texts = [row.text for row in found.unseen]
    both = (said(store, made, texts), said(store, incumbent, texts))
    listed = [
        *checks.techniques(found.unseen, *both),
        *checks.malice(found.unseen, *both),
        *checks.calibrated(found.unseen, *both),
    ]
    whole = (check for check in listed if check.rule == "proven no worse" and check.harm is not None)
    return Outcome(plan, report, {check.name: float(check.harm or 0.0) for check in whole})


def _incumbent(store: Store) -> str:
    found = store.production()
    assert found is not None  # noqa: S101 - a store to try this on has one
    return found


def _closure(row: Row) -> Row:
    """The row as an export of closed alerts gives it."""
    told = {"source": SOURCE, "basis": "analyst", "licence": CLOSED.licence, "split": "train"}
    return msgspec.structs.replace(row, group="/".join(group_of(row)), **told)


def _turned(row: Row) -> Row:
    """The other label, with the cause that teaches the second stage where it is now a false positive."""
    harmless = row.malicious is True
    return msgspec.structs.replace(
        row, malicious=not harmless, techniques=(), cause="benign_software" if harmless else None
    )


def _copies(row: Row) -> Iterator[Row]:
    """Near copies of one cluster, each another fingerprint."""
    for number in range(FLOOD):
        mark = hashlib.sha256(f"{row.fingerprint} {number}".encode()).hexdigest()
        yield msgspec.structs.replace(row, text=f"{row.text} {number}", fingerprint=mark)


def _draw(row: Row) -> int:
    return int.from_bytes(hashlib.sha256("\0".join(group_of(row)).encode("utf-8", "replace")).digest()[:8], "big")


def _order(row: Row) -> tuple[int, str]:
    return _draw(row), row.fingerprint


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one line a plan. Bundles are written to a copy of the store, which is thrown away; the store stays as it is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="a model store: its bundle in production is the incumbent")
    parser.add_argument("rows", type=Path, help="a built dataset")
    parser.add_argument("--full", action="store_true", help="retrain by the full path, minutes a plan")
    parser.add_argument("--only", nargs="+", default=[""], help="how the names of the plans begin; default: all")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as place:
        folder = Path(shutil.copytree(options.store, Path(place) / "store"))
        store, base = Store(folder), dataset_file.read(options.rows)
        found = parts(base.rows)
        retrain = fully(folder, found, base.facts) if options.full else quickly(store, found, Path(place) / "features")
        _told(store, found, retrain, tuple(options.only))


def _told(store: Store, found: Parts, retrain: Retrain, only: tuple[str, ...]) -> None:
    print(
        f"{len(found.shown)} closures shown, {len(found.newest)} newest, {len(found.gate)} rows of the gate's, ", end=""
    )
    print(f"{len(found.unseen)} that nobody saw", flush=True)
    for number, plan in enumerate(plan for plan in plans(found.shown) if plan.name.startswith(only)):
        outcome = attempted(store, plan, found, f"poisoned-{number}", retrain)
        failed = "; ".join(f"{check.name} {check.harm or 0.0:+.4f}" for check in outcome.report.failed)
        verdict = "passed" if outcome.report.passed else f"refused ({failed})"
        name, worst = outcome.worst
        print(f"{plan.name} ({plan.lies} lies): {verdict}; unseen, worst: {name} {worst:+.4f}", flush=True)


if __name__ == "__main__":
    main()
