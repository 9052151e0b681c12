"""The full path: the incumbent's recipe on base rows and closures, a new network with its own calibration and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.corpora.source import pinned
from connector.learn.dataset import Dataset
from connector.learn.training import served
from connector.learn.training.bundle import Trained, assemble
from connector.learn.training.calibrate import Calibrated
from connector.learn.training.ensemble.material import Order as Asked
from connector.learn.training.ensemble.renew import Incumbent, folds_of, others, renewed
from connector.learn.training.ensemble.train import Output
from connector.learn.training.fit import Recipe
from connector.learn.training.provenance import CLOSED
from connector.learn.training.retrain import mails
from connector.learn.training.retrain.card import card
from connector.learn.training.retrain.closures import Closures
from connector.learn.training.retrain.combined import apart, combined
from connector.learn.training.retrain.frozen import RETRAINED
from connector.learn.training.retrain.order import Order
from connector.learn.training.retrain.renewed import README, compared, workplace
from connector.learn.training.retrain.replay import times
from connector.learn.training.text import base_of, fit_rows
from connector.models import manifest as manifests
from connector.models.ensemble import TEXT
from connector.models.manifest import HeadCalibration, Manifest
from connector.models.store import Store


def train(order: Order, base: Dataset, closures: Closures, about: Mapping[str, Any]) -> str:
    """Trains the bundle anew as ``order.version`` and returns its name. Raises ``ConfigError`` where that exists."""
    store = Store(order.store)
    before = store.manifest(order.bundle)
    several = len(before.members) > 1
    if several and order.corpora is None:
        raise ConfigError(
            f"bundle {before.ref} has several members, which are weighed by attack recordings: "
            "name the corpora folder with --corpora"
        )
    if several:  # before hours of training, not after
        others(Incumbent(store, before.ref), pinned(order.pins))
    recipe = _recipe(before)
    about = {**_pretraining(recipe), **about}
    text = any(spec.kind == TEXT for spec in before.members)
    with workplace(store, before.name, order.version) as work:
        if several:
            folder = _ensemble(order, combined(base, closures.learnt), recipe, work, before)
        elif text:
            folder = _text(order, combined(base, closures.learnt), recipe, work, before.name)
        else:
            ref = f"{before.name}/{order.version}"
            folder = mails.train(apart(base, closures.learnt), closures.learnt, recipe, order.base, work, ref)
        _told(folder, store, before, closures, {"incumbent": order.bundle, "path": "full", **about})
    return f"{before.name}/{order.version}"


def _recipe(before: Manifest) -> Recipe:
    training = before.metrics.get("training", {})
    if "recipe" not in training:
        raise ConfigError(f"the manifest of {before.ref} does not say how it was trained: use `triaged train`")
    return msgspec.convert(training["recipe"], Recipe)


def _pretraining(recipe: Recipe) -> Mapping[str, str]:
    """What the card says of pre-training, which is printed too: a recipe does not name the files of ``--unlabelled``."""
    if recipe.pretrain <= 0:
        return {}
    print("pre-training reads the training rows alone: no recipe names the files of --unlabelled", flush=True)
    return {"pre_trained_on": "the training rows alone"}


def _text(order: Order, rows: Dataset, recipe: Recipe, place: Path, name: str) -> Path:
    train, base = rows.of("train"), base_of(recipe, order.base)
    made = fit_rows(train, rows.of("dev"), recipe, base=base, replay=times(train))
    pins = {**pinned(order.pins), CLOSED.name: CLOSED}
    return assemble(Trained(made.made, made.labels, base, rows, recipe), pins, place, name, order.version)


def _ensemble(order: Order, rows: Dataset, recipe: Recipe, place: Path, before: Manifest) -> Path:
    """A new text member, and the incumbent's other members beside it."""
    assert order.corpora is not None  # noqa: S101 - asked for above
    beside, kept = place / "text", place / "rows"
    _text(order, rows, recipe, beside, before.name)
    dataset_file.write(rows, kept)
    asked = Asked(
        corpora=order.corpora,
        rows=kept,
        store=beside,
        base=f"{before.name}/{order.version}",
        work=place / "work",
        pins=order.pins,
        folds=folds_of(before),
    )
    incumbent = Incumbent(Store(order.store), before.ref)
    return renewed(asked, incumbent, (), Output(store=place, name=before.name, version=order.version))


def _told(folder: Path, store: Store, before: Manifest, closures: Closures, facts: Mapping[str, Any]) -> None:
    """Adds to manifest and card what it was retrained from, and the difference."""
    made = manifests.read(folder)
    spec, earlier = served.reader(made), served.reader(before)
    own = _calibrated(made, spec.options), _calibrated(before, earlier.options)
    newest = compared(
        (store.directory(before.ref) / earlier.directory, earlier, own[1]),
        (folder / spec.directory, spec, own[0]),
        closures.newest,
    )
    alone = served.filtered(folder / spec.directory, spec, closures.newest, own[0])
    retrained = {**facts, "second_stage_on_newest": alone, "newest": newest}
    made = msgspec.structs.replace(made, metrics={**made.metrics, RETRAINED: retrained})
    below = (folder / README).read_text("utf-8")
    (folder / README).write_text(card(made, before, below), "utf-8")
    manifests.seal(folder, made)


def _calibrated(manifest: Manifest, options: Mapping[str, Any]) -> Calibrated:
    heads = msgspec.convert(options.get("calibration", {}), HeadCalibration)
    return Calibrated(heads, manifest.calibration_alone, manifest.thresholds_alone)
