"""Text networks that never saw what they are asked about: one a fold, kept on disk, since each takes minutes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch

from connector.learn.evaluation.folds import Fit
from connector.learn.training import checkpoint
from connector.learn.training.calibrate import calibrate
from connector.learn.training.fit import Recipe
from connector.learn.training.labels import Floats, targets
from connector.learn.training.text import FittedRows, base_of, fit_rows
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.manifest import HeadCalibration

HEADS = "heads.json"
"""The calibration of a fold's network, beside its weights."""


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
