"""``triaged train text``: corpora to bundle in one command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file, held_out
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.learn.dataset import Row
from connector.learn.training import checkpoint
from connector.learn.training.bundle import Trained, assemble, free
from connector.learn.training.checkpoint import Fitted
from connector.learn.training.fit import Recipe, fit
from connector.learn.training.labels import Floats, label_space
from connector.learn.training.model import TextModel, check_base, load_tokenizer
from connector.learn.training.provenance import check_rows, default_base

RECIPE = Recipe()


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
    recipe: Recipe = RECIPE
    keep: Path | None = None
    fitted: Path | None = None


class FittedRows(msgspec.Struct, frozen=True):
    """A network fitted on rows, for measuring and for other heads: what it says of texts, before calibration."""

    model: TextModel
    labels: tuple[str, ...]
    base: Path
    recipe: Recipe
    history: Mapping[str, Any]

    def logits(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Raw logits of techniques (n, labels) and of malice (n,)."""
        techniques, malicious, _ = self._read(texts)
        return techniques, malicious

    def embed(self, texts: Sequence[str]) -> Floats:
        """The features (n, d) that both heads read."""
        return self._read(texts)[2]

    def _read(self, texts: Sequence[str]) -> tuple[Floats, ...]:
        tokenizer = load_tokenizer(self.base)
        tokenizer.enable_truncation(self.recipe.max_length)
        found: list[tuple[torch.Tensor, ...]] = []
        with torch.inference_mode():
            for encoding in tokenizer.encode_batch_fast(list(texts)):
                ids = torch.tensor([encoding.ids])
                found.append(self.model.read(ids, torch.ones_like(ids)))
        return tuple(torch.cat(part).numpy().astype(np.float32) for part in zip(*found, strict=True))


def fit_rows(
    train: Sequence[Row],
    dev: Sequence[Row],
    recipe: Recipe = RECIPE,
    *,
    labels: tuple[str, ...] | None = None,
    base: Path | None = None,
) -> FittedRows:
    """Fits the network on ``train``, chosen by ``dev``. ``labels`` None: those that training rows are enough for.

    Raises ``ConfigError`` where nothing can be learnt from the rows.
    """
    names = label_space(train, recipe.parent_groups, recipe.sub_groups) if labels is None else labels
    if not names or not dev:
        raise ConfigError(f"too few rows to train on: {len(train)} and {len(dev)}, {len(names)} techniques")
    folder = base or default_base()
    model, history = fit(train, dev, names, folder, recipe)
    return FittedRows(model, names, folder, recipe, history)


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
    if not found.of("calibration"):
        raise ConfigError(f"too few rows to calibrate on: {found.facts.rows}")
    print(f"rows {dict(found.facts.rows)}, digest {found.facts.digest[:12]}", flush=True)
    made = fit_rows(train, dev, order.recipe, base=base)
    if order.keep is not None:
        fitted = Fitted(
            digest=found.facts.digest,
            labels=made.labels,
            recipe=order.recipe,
            history=made.history,
            deep=made.model.deep,
        )
        checkpoint.save(order.keep, made.model, fitted)
    return assemble(
        Trained(made.model, made.labels, base, found, order.recipe, made.history),
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
