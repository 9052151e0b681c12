"""From logits of many recordings to p_malicious and its levels, by the rules of the text member's own calibration.

Platt scaling at a prevalence of one half, where each recording counts once; then levels by false alarms per 10,000 benign
events, of a stream in which one event in twenty is administration and the rest is what the recordings logged beside
their attacks, as often as it was logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.training.calibrate import (
    ADMINISTRATION_SHARE,
    FALSE_ALARMS,
    REFERENCE_PREVALENCE,
    cut_at,
    platt,
)
from connector.learn.training.ensemble.combiners import balanced
from connector.models.calibration import prior_shift, scaled, sigmoid
from connector.models.manifest import Calibration, Platt

BUNDLE = Calibration(train_prevalence=0.5, reference_prevalence=REFERENCE_PREVALENCE)


class Said(msgspec.Struct, frozen=True, eq=False):
    """Logits of a fold's events (n,), nan without a view, and of its rows of administration (a,)."""

    logits: NDArray[np.float64]
    administration: NDArray[np.float64]


class Operating(msgspec.Struct, frozen=True):
    """How logits become p_malicious at the reference prevalence, and the levels of it by name."""

    platt: Platt
    levels: Mapping[str, float]

    def p_malicious(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """As a verdict has it; nan stays nan."""
        return sigmoid(scaled(logits, self.platt) + prior_shift(BUNDLE))


def operating(
    said: Sequence[Said], truth: Sequence[NDArray[np.float32]], groups: Sequence[NDArray[np.integer]]
) -> Operating:
    """The operating point that these folds' events ask for; ``groups`` number the recording of each event.

    Raises ``ConfigError`` where no benign event is among them.
    """
    logits = np.concatenate([one.logits for one in said])
    seen, names = np.concatenate(list(truth)), np.concatenate(list(groups))
    known = ~np.isnan(logits) & ~np.isnan(seen)
    logits, seen, names = logits[known], seen[known], names[known]
    if not (seen == 0).any():
        raise ConfigError("no benign event is left to set levels by")
    weight = balanced(seen, names).astype(np.float32)
    fitted = platt(logits.astype(np.float32), seen, weight)
    administration = np.concatenate([one.administration for one in said])
    administration = administration[~np.isnan(administration)]
    share = ADMINISTRATION_SHARE if len(administration) else 0.0
    benign = logits[seen == 0]
    parts = np.concatenate([benign, administration])
    weights = np.concatenate(
        [
            np.full(len(benign), (1 - share) / len(benign)),
            np.full(len(administration), share / max(len(administration), 1)),
        ]
    )
    moved = scaled(parts, fitted) + prior_shift(BUNDLE)
    cuts = {
        level: float(sigmoid(np.array(cut_at(moved, weights, rate / 10_000)))) for level, rate in FALSE_ALARMS.items()
    }
    suspicious = cuts["suspicious"]
    malicious = max(cuts["malicious"], suspicious)
    levels = {"suspicious": suspicious, "malicious": malicious, "trigger": max(cuts["trigger"], malicious)}
    return Operating(fitted, levels)
