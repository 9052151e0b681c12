"""``triaged train text``: corpora to bundle in one command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file, held_out
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.learn.dataset import Row
from connector.learn.training import checkpoint, pretrain, tracking
from connector.learn.training.bundle import Trained, assemble
from connector.learn.training.fit import DEFAULT, Fit, Recipe, Teach, fit
from connector.learn.training.labels import Floats, label_space, shares, targets
from connector.learn.training.model import Read, check_base
from connector.learn.training.provenance import check_rows, default_base
from connector.learn.training.refit import refit
from connector.learn.training.rows import padded
from connector.learn.training.served import following, free
from connector.models.graph import spelling

BATCH = 64
"""Texts that are read at once when a fitted network is measured."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to train on, from what, and where to. One of ``corpora`` and ``rows`` (a built dataset) is given.

    Without a ``version`` it is the one after the highest that ``output`` has of the name.
    ``unlabelled`` are files of events that an encoder is pre-trained on, beside the training rows. ``keep`` is where the
    fitted network is saved, and ``resume`` goes on from what a run that was broken off left there; ``fitted`` is where one was
    saved, to be exported and calibrated again, with another ``window`` and ``letter_window`` where they are given, 0 too, and
    with its heads ``refit`` where they were not. ``track`` is the MLflow store that the run is told to, empty for one beside
    ``output``.
    """

    output: Path
    corpora: Path | None = None
    rows: Path | None = None
    pins: Path = PINS
    base: Path | None = None
    name: str = "triaged"
    version: str | None = None
    only: tuple[str, ...] | None = None
    recipe: Recipe = DEFAULT
    unlabelled: tuple[Path, ...] = ()
    keep: Path | None = None
    resume: bool = False
    fitted: Path | None = None
    window: int | None = None
    letter_window: int | None = None
    refit: float | None = None
    track: str | None = None


class FittedRows(msgspec.Struct, frozen=True):
    """A network fitted on rows, for measuring and for other heads: what it says of texts, before calibration."""

    made: Fit
    labels: tuple[str, ...]
    recipe: Recipe

    def logits(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Raw logits of techniques (n, labels) and of malice (n,)."""
        techniques, malicious, _ = self._read(texts)
        return techniques, malicious

    def embed(self, texts: Sequence[str]) -> Floats:
        """The features (n, d) that both heads read."""
        return self._read(texts)[2]

    def refit(self, train: Sequence[Row], share: float, replay: Floats | None = None) -> None:
        """Fits the technique heads once more on the training rows, and mixes a share of that in."""
        weight = shares(train, self.recipe.group_power) * (1.0 if replay is None else replay)
        goal = targets(train, self.labels)
        refit(self.made.model, self.embed([row.text for row in train]), goal, self.labels, weight, share)

    def _read(self, texts: Sequence[str]) -> tuple[Floats, ...]:
        """Texts of like length share a batch; a padded place says nothing."""
        tokenizer = self.made.tokenizer
        tokenizer.enable_truncation(self.recipe.max_length)
        encoded = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
        tokenizer.no_truncation()
        letters = self.recipe.network.letters
        order = sorted(range(len(texts)), key=lambda place: len(encoded[place]))
        parts: list[tuple[torch.Tensor, ...]] = []
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                places = order[start : start + BATCH]
                spelt = padded([spelling(texts[place], letters) for place in places]) if letters else ()
                parts.append(self.made.model.read(Read(*padded([encoded[place] for place in places]), *spelt)))
        back = np.argsort(order)
        return tuple(torch.cat(part).numpy().astype(np.float32)[back] for part in zip(*parts, strict=True))


def fit_rows(
    train: Sequence[Row],
    dev: Sequence[Row],
    recipe: Recipe = DEFAULT,
    *,
    labels: tuple[str, ...] | None = None,
    base: Path | None = None,
    work: Path | None = None,
    replay: Floats | None = None,
    teach: Teach | None = None,
    unlabelled: Sequence[str] = (),
) -> FittedRows:
    """Fits the network on ``train``, chosen by ``dev``. ``labels`` None: those that training rows are enough for.

    ``base`` None: the packaged one, where the recipe needs one; ``replay`` (n,) multiplies the weights of training rows;
    ``teach`` changes their targets; ``unlabelled`` are more texts that an encoder is pre-trained on.
    Raises ``ConfigError`` where nothing can be learnt.
    """
    names = label_space(train, recipe.parent_groups, recipe.sub_groups) if labels is None else labels
    if not names or not dev:
        raise ConfigError(f"too few rows to train on: {len(train)} and {len(dev)}, {len(names)} techniques")
    given = base_of(recipe, base)
    fitted = fit(train, dev, names, given, recipe, work=work, replay=replay, teach=teach, unlabelled=unlabelled)
    made = FittedRows(fitted, names, recipe)
    if recipe.refit > 0:
        made.refit(train, recipe.refit, replay)
    return made


def base_of(recipe: Recipe, named: Path | None) -> Path | None:
    """The folder of the base that a recipe reads by or trains; None where it does neither. Raises ``ConfigError``."""
    if recipe.pretrain > 0 and recipe.epochs <= 0:
        raise ConfigError("--pretrain is of an encoder, and none is trained: say with --epochs for how long")
    if recipe.epochs <= 0 and recipe.vocabulary > 0:
        return None
    base = named or default_base()
    check_base(base)
    return base


def train_text(order: Order) -> Path:
    """Builds or reads the dataset, fine-tunes, exports, calibrates and writes the bundle; returns its folder.

    Raises ``ConfigError`` for missing corpora, a base that is none, a split without rows, or a version that exists.
    """
    version = order.version or following(order.output, order.name)
    free(order.output, order.name, version)
    if order.resume and order.keep is None:
        raise ConfigError("--resume goes on from the folder that --keep named: name it")
    if order.unlabelled and order.fitted is not None:
        raise ConfigError("--unlabelled is what --pretrain reads, and --fitted trains nothing: leave one of them out")
    if order.unlabelled and order.recipe.pretrain <= 0:
        raise ConfigError("--unlabelled is what --pretrain reads: say with --pretrain how many times")
    base = base_of(order.recipe, order.base)
    found = _rows(order)
    check_rows(found, pinned(order.pins))
    if not found.of("calibration"):
        raise ConfigError(f"too few rows to calibrate on: {found.facts.rows}")
    trained = _fitted(order, found, base) if order.fitted is None else _again(order, found, order.fitted)
    folder = assemble(trained, pinned(order.pins), order.output, order.name, version)
    if order.track is not None:
        tracking.record(order.track or tracking.beside(order.output), folder)
    return folder


def _fitted(order: Order, found: dataset.Dataset, base: Path | None) -> Trained:
    print(f"rows {dict(found.facts.rows)}, digest {found.facts.digest[:12]}", flush=True)
    more = pretrain.unlabelled(order.unlabelled, found)
    digest = found.facts.digest + (pretrain.digest_of(more) if more else "")
    work = None if order.keep is None else checkpoint.work(order.keep, digest, order.recipe, order.resume)
    made = fit_rows(found.of("train"), found.of("dev"), order.recipe, base=base, work=work, unlabelled=more)
    if order.keep is not None:
        checkpoint.save(order.keep, made.made, checkpoint.of(made.made, found.facts.digest, made.labels, order.recipe))
    return Trained(made.made, made.labels, base, found, order.recipe)


def _again(order: Order, found: dataset.Dataset, folder: Path) -> Trained:
    fitted = checkpoint.facts(folder)
    if fitted.digest != found.facts.digest:
        raise ConfigError(f"{folder} was fitted on dataset {fitted.digest[:12]}, not on {found.facts.digest[:12]}")
    given = {"window": order.window, "letter_window": order.letter_window}
    windows = {name: size for name, size in given.items() if size is not None}
    recipe = msgspec.structs.replace(fitted.recipe, **windows)
    base = base_of(recipe, order.base)
    made = checkpoint.load(folder, base)
    made.model.finish(recipe.window, recipe.letter_window)
    if order.refit is not None and order.refit != recipe.refit:
        if recipe.refit > 0:
            raise ConfigError(
                f"the heads of {folder} were refitted with --refit {recipe.refit:g}: that cannot be taken back"
            )
        recipe = msgspec.structs.replace(recipe, refit=order.refit)
        FittedRows(made, fitted.labels, recipe).refit(found.of("train"), order.refit)
    return Trained(made, fitted.labels, base, found, recipe)


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
