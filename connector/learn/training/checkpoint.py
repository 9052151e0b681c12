"""A fitted network on disk, so that export and calibration can be done again without training again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors.torch import load_file, save_file

from connector.errors import ConfigError
from connector.learn.training.fit import Recipe
from connector.learn.training.model import TextModel, load_encoder

WEIGHTS, FACTS = "weights.safetensors", "fitted.json"


class Fitted(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to the weights."""

    digest: str
    labels: tuple[str, ...]
    recipe: Recipe
    history: Mapping[str, Any]
    deep: bool = True


def save(folder: Path, model: TextModel, fitted: Fitted) -> None:
    """Writes weights and facts."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in model.state_dict().items()}, folder / WEIGHTS)
    (folder / FACTS).write_bytes(msgspec.json.encode(fitted))


def load(folder: Path, base: Path) -> tuple[TextModel, Fitted]:
    """The network and its facts. Raises ``ConfigError`` where the folder holds none."""
    if not (folder / FACTS).is_file():
        raise ConfigError(f"{folder} holds no fitted network: {FACTS} is missing")
    fitted = msgspec.json.decode((folder / FACTS).read_bytes(), type=Fitted)
    size = len(fitted.labels)
    model = TextModel(load_encoder(base, fitted.recipe.layers), size, torch.ones(size), fitted.recipe.shape)
    model.deep = fitted.deep
    model.load_state_dict(load_file(folder / WEIGHTS))
    return model.eval(), fitted
