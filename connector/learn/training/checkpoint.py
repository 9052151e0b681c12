"""A fitted network on disk, so that export and calibration can be done again without training again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from connector.errors import ConfigError
from connector.learn.training.fit import Fit, Recipe
from connector.learn.training.model import PIECES, TextModel, load_encoder

WEIGHTS, TOKENIZER, FACTS = "weights.safetensors", "tokenizer.json", "fitted.json"
WORK, BEGAN = "work", "began.json"


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to the weights."""

    digest: str
    labels: tuple[str, ...]
    recipe: Recipe
    history: Mapping[str, Any]
    deep: bool = False
    on: tuple[str, ...] = (PIECES,)


def of(made: Fit, digest: str, labels: tuple[str, ...], recipe: Recipe) -> Fitted:
    """The facts of a network that was just fitted."""
    return Fitted(
        digest=digest, labels=labels, recipe=recipe, history=made.history, deep=made.model.deep, on=made.model.on
    )


def save(folder: Path, made: Fit, fitted: Fitted) -> None:
    """Writes weights, tokenizer and facts."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in made.model.state_dict().items()}, folder / WEIGHTS)
    made.tokenizer.save(str(folder / TOKENIZER))
    (folder / FACTS).write_bytes(msgspec.json.encode(fitted))


def facts(folder: Path) -> Fitted:
    """What belongs to the network saved in a folder. Raises ``ConfigError`` where there is none."""
    if not (folder / FACTS).is_file():
        raise ConfigError(f"{folder} holds no fitted network: {FACTS} is missing")
    return msgspec.json.decode((folder / FACTS).read_bytes(), type=Fitted)


def load(folder: Path, base: Path | None) -> Fit:
    """The network with its tokenizer. Raises ``ConfigError`` where the folder holds none."""
    fitted = facts(folder)
    size = len(fitted.labels)
    encoder = load_encoder(base, fitted.recipe.layers) if base is not None and fitted.recipe.epochs > 0 else None
    model = TextModel(encoder, size, torch.ones(size), fitted.recipe.network)
    model.deep, model.on = fitted.deep, fitted.on
    model.load_state_dict(load_file(folder / WEIGHTS))
    return Fit(model.eval(), Tokenizer.from_file(str(folder / TOKENIZER)), fitted.history)


def work(folder: Path, digest: str, recipe: Recipe, resume: bool) -> Path:
    """The folder in which training leaves what a run that was broken off goes on from; empty unless it is resumed.

    Raises ``ConfigError`` where ``resume`` finds the work of other rows or another recipe.
    """
    place = folder / WORK
    began = msgspec.json.encode({"digest": digest, "recipe": recipe})
    if resume and (place / BEGAN).is_file() and (place / BEGAN).read_bytes() != began:
        raise ConfigError(f"{place} is work on other rows or by another recipe: train without --resume")
    if not resume:
        shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    (place / BEGAN).write_bytes(began)
    return place
