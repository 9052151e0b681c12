"""The classes that the trees tell apart, as the two parts of a prediction: p_malicious, and techniques."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.models.calibration import scaled, sigmoid
from connector.models.manifest import HeadCalibration

BENIGN: Final = "benign"

Floats = NDArray[np.float64]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest says of a flow member.

    ``features`` are the columns that it was trained on; ``classes`` those that its trees tell apart, ``benign`` among
    them; ``techniques`` says of a class which techniques it shows.
    """

    features: tuple[str, ...]
    classes: tuple[str, ...]
    techniques: Mapping[str, tuple[str, ...]]
    calibration: HeadCalibration = HeadCalibration()


def probabilities(raw: Floats, options: Options, labels: Sequence[str]) -> tuple[Floats, Floats]:
    """p_malicious (n,) and techniques (n, labels), calibrated, of the trees' scores (n, classes)."""
    malicious, techniques = logits(raw, options, labels)
    calibration = options.calibration
    scales = [calibration.labels.get(label, calibration.techniques) for label in labels]
    slopes, intercepts = np.array([scale.a for scale in scales]), np.array([scale.b for scale in scales])
    return sigmoid(scaled(malicious, calibration.malicious)), sigmoid(slopes * techniques + intercepts)


def logits(raw: Floats, options: Options, labels: Sequence[str]) -> tuple[Floats, Floats]:
    """Log odds by the softmax over the classes: of any but benign (n,), and of those that show each technique (n, labels)."""
    benign = np.array([name == BENIGN for name in options.classes])
    found = np.empty((len(raw), len(labels)))
    for column, label in enumerate(labels):
        found[:, column] = _odds(raw, np.array([label in options.techniques.get(name, ()) for name in options.classes]))
    return _odds(raw, ~benign), found


def _odds(raw: Floats, own: NDArray[np.bool_]) -> Floats:
    return _log_sum(raw[:, own]) - _log_sum(raw[:, ~own])


def _log_sum(raw: Floats) -> Floats:
    """log(sum(exp)) of each row, without overflow."""
    highest = raw.max(axis=1)
    found: Floats = highest + np.log(np.exp(raw - highest[:, None]).sum(axis=1))
    return found
