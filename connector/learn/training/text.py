"""``triaged train text``: corpora to bundle in one command."""

from __future__ import annotations

from pathlib import Path

import msgspec

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file, held_out
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.learn.training import checkpoint
from connector.learn.training.bundle import Trained, assemble, free
from connector.learn.training.checkpoint import Fitted
from connector.learn.training.fit import Recipe, fit
from connector.learn.training.labels import label_space
from connector.learn.training.model import check_base
from connector.learn.training.provenance import check_rows, default_base


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to train on, from what, and where to. One of ``corpora`` and ``rows`` (a built dataset) is given.

    ``keep`` is where the fitted network is saved; ``fitted`` is where one was, to be exported and calibrated again.
    """

    output: Path
    corpora: Path | None = None
    rows: Path | None = None
    pins: Path = PINS
    base: Path | None = None
    name: str = "triaged"
    version: str = "0.1.0"
    only: tuple[str, ...] | None = None
    recipe: Recipe = Recipe()
    keep: Path | None = None
    fitted: Path | None = None


def train_text(order: Order) -> Path:
    """Builds or reads the dataset, fine-tunes, exports, calibrates and writes the bundle; returns its folder.

    Raises ``ConfigError`` for missing corpora, a base that is none, a split without rows, or a version that exists.
    """
    free(order.output, order.name, order.version)
    base = order.base or default_base()
    check_base(base)
    found = _rows(order)
    check_rows(found, pinned(order.pins))
    train, dev = found.of("train"), found.of("dev")
    if order.fitted is not None:
        return _again(order, found, order.fitted, base)
    labels = label_space(train, order.recipe.parent_groups, order.recipe.sub_groups)
    if not labels or not dev or not found.of("calibration"):
        raise ConfigError(f"too few rows to train on: {found.facts.rows}, {len(labels)} techniques")
    print(f"rows {dict(found.facts.rows)}, {len(labels)} labels, digest {found.facts.digest[:12]}", flush=True)
    model, history = fit(train, dev, labels, base, order.recipe)
    if order.keep is not None:
        fitted = Fitted(digest=found.facts.digest, labels=labels, recipe=order.recipe, history=history, deep=model.deep)
        checkpoint.save(order.keep, model, fitted)
    return assemble(
        Trained(model, labels, base, found, order.recipe, history),
        pinned(order.pins),
        order.output,
        order.name,
        order.version,
    )


def _again(order: Order, found: dataset.Dataset, folder: Path, base: Path) -> Path:
    model, fitted = checkpoint.load(folder, base)
    if fitted.digest != found.facts.digest:
        raise ConfigError(f"{folder} was fitted on dataset {fitted.digest[:12]}, not on {found.facts.digest[:12]}")
    trained = Trained(model, fitted.labels, base, found, fitted.recipe, fitted.history)
    return assemble(trained, pinned(order.pins), order.output, order.name, order.version)


def _rows(order: Order) -> dataset.Dataset:
    if order.rows is not None:
        return dataset_file.read(order.rows)
    if order.corpora is None:
        raise ConfigError("name the corpora folder with --corpora, or a built dataset with --rows")
    return dataset.build(
        Corpora(order.corpora, pinned(order.pins)),
        seed=order.recipe.seed,
        only=order.only,
        held_out=held_out.scenario(),
    )
