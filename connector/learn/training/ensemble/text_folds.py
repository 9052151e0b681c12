"""Text networks that never saw what they are asked about: one a fold, kept on disk, since each takes minutes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
import torch

from connector.errors import ConfigError
from connector.learn.evaluation.calibration import at_half
from connector.learn.evaluation.fitting import Predicted, joined, load, parted
from connector.learn.evaluation.folds import Fit
from connector.learn.evaluation.recordings import Streams
from connector.learn.evaluation.run import left_out_marks
from connector.learn.training import checkpoint
from connector.learn.training.calibrate import calibrate
from connector.learn.training.fit import Recipe
from connector.learn.training.labels import Floats, targets
from connector.learn.training.text import FittedRows, base_of, fit_rows
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.manifest import HeadCalibration

HEADS = "heads.json"
"""The calibration of a fold's network, beside its weights."""


class Says(Protocol):
    """What is asked about texts that it never saw."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its techniques."""
        ...

    def said(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Probabilities of techniques (n, labels), and of malice (n,) at the training prevalence."""
        ...


class FoldText(msgspec.Struct, frozen=True):
    """A fold's network, calibrated on rows of its own: what it says is on the scale of the text member that serves."""

    fitted: FittedRows
    heads: HeadCalibration

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its techniques."""
        return self.fitted.labels

    def said(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Probabilities of techniques (n, labels), and of malice (n,) at the training prevalence."""
        if not texts:
            return np.empty((0, len(self.labels)), np.float32), np.empty(0, np.float32)
        techniques, malicious = self.fitted.logits(texts)
        slope, intercept = technique_scale(self.heads, self.labels)
        found = sigmoid(techniques * slope + intercept).astype(np.float32)
        return found, sigmoid(scaled(malicious.astype(np.float64), self.heads.malicious)).astype(np.float32)


class Recalled:
    """A fold of an earlier ``triaged evaluate``, by what it was asked; ``network`` is fitted only where it was not asked all.

    What is recalled is of parent techniques alone: the evaluation keeps no others.
    """

    def __init__(self, said: Mapping[str, int], found: Predicted, network: Callable[[], FoldText]) -> None:
        self.labels = found.names
        self._said, self._found, self._network = said, found, network

    def said(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Probabilities of techniques (n, labels), and of malice (n,) at the training prevalence."""
        places = [self._said.get(text, -1) for text in texts]
        techniques = self._found.techniques[places]
        malicious = at_half(self._found.malicious[places], self._found.prevalence).astype(np.float32)
        strange = [number for number, place in enumerate(places) if place < 0]
        if strange:
            network = self._network()
            fresh, votes = network.said([texts[number] for number in strange])
            column = {label: place for place, label in enumerate(network.labels)}
            own = [column.get(label, -1) for label in self.labels]
            techniques[strange] = np.where(np.array(own) >= 0, fresh[:, own], np.nan)
            malicious[strange] = votes
        return techniques, malicious


def recalled(fit: Fit, streams: Streams, folder: Path, network: Callable[[], FoldText]) -> Recalled | None:
    """What the folder of an evaluation, of the same rows and folds, keeps of a fold; None where it keeps nothing of it."""
    places = sorted(folder.glob(f"text-{fit.name}-*.npz".replace(" ", "-")))
    if not places:
        return None
    parts = parted(load(places[-1]), len(fit.test))
    marks = left_out_marks(fit, streams)
    if len(parts.rows.malicious) != len(fit.test) or len(parts.more.malicious) != len(marks):
        raise ConfigError(f"{places[-1]} is not of these rows and folds: {len(marks)} events were to be asked about")
    texts = [*(row.text for row in fit.test), *(streams.texts[mark].text for mark in marks)]
    return Recalled({text: number for number, text in enumerate(texts)}, joined([parts.rows, parts.more]), network)


def fold_text(fit: Fit, recipe: Recipe, folder: Path) -> FoldText:
    """The network of one fold, read back where the same rows and recipe left one in ``folder``, else fitted and kept there."""
    digest = _digest(fit, recipe)
    place = folder / f"text {fit.name} {digest[:16]}".replace(" ", "-")
    torch.set_num_threads(1)
    if not (place / HEADS).is_file():
        made = fit_rows(fit.train, fit.dev, recipe)
        seen = made.logits([row.text for row in fit.calibration])
        heads = calibrate(*seen, fit.calibration, targets(fit.calibration, made.labels)).heads
        checkpoint.save(place, made.made, checkpoint.of(made.made, digest, made.labels, recipe))
        (place / HEADS).write_bytes(msgspec.json.encode(heads))
    facts = checkpoint.facts(place)
    loaded = FittedRows(checkpoint.load(place, base_of(recipe, None)), facts.labels, recipe)
    return FoldText(loaded, msgspec.json.decode((place / HEADS).read_bytes(), type=HeadCalibration))


def _digest(fit: Fit, recipe: Recipe) -> str:
    digest = hashlib.sha256(msgspec.json.encode((fit.name, recipe)))
    for part in (fit.train, fit.dev, fit.calibration):
        digest.update(b"\0")
        for row in part:
            digest.update(msgspec.json.encode((row.fingerprint, row.text, row.techniques, row.malicious)))
    return digest.hexdigest()
