"""A bundle that learns from answers by the quick path of retraining, over texts whose features are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.evaluation import simulated
from connector.learn.evaluation.shipped import Bundle
from connector.learn.training import second_stage
from connector.learn.training.calibrate import probabilities
from connector.learn.training.retrain import correction, replay
from connector.learn.training.retrain.frozen import Said
from connector.types import Cause

Floats = NDArray[np.floating]


class Answer(NamedTuple):
    """What the analyst said of the site's distinct event at ``place``; ``cause`` where it was a false positive."""

    place: int
    malicious: bool
    cause: Cause | None


class Judged(NamedTuple):
    """p_malicious of the site's distinct events (n,), and of the left-out rows of the corpora (m,)."""

    site: Floats
    elsewhere: Floats


class Learner:
    """The heads of a bundle over frozen features. ``base`` rows hold them in place, ``elsewhere`` rows are only judged."""

    def __init__(
        self,
        bundle: Bundle,
        texts: Sequence[str],
        groups: Sequence[str],
        base: Sequence[Row],
        elsewhere: Sequence[Row],
    ) -> None:
        self._calibrated = bundle.calibrated
        self._groups, self._base = groups, base
        self._site, self._held, self._elsewhere = simulated.said(
            bundle, texts, [row.text for row in base], [row.text for row in elsewhere]
        )
        self._wide = correction.widened(self._held.features)

    @property
    def features(self) -> NDArray[np.float32]:
        """The features (n, d) of the site's distinct events."""
        return self._site.features

    def untaught(self) -> Judged:
        """What the bundle says before anybody answered."""
        return Judged(self._probabilities(self._site.malicious), self._probabilities(self._elsewhere.malicious))

    def taught(self, answers: Sequence[Answer]) -> Judged:
        """What it says once it has learnt from all answers."""
        closures = [
            simulated.closure(place, self._groups[place], malicious=malicious, cause=cause)
            for place, malicious, cause in answers
        ]
        rows, places = [*closures, *self._base], [answer.place for answer in answers]
        weights = replay.weights(rows)
        shown, held = correction.widened(self._site.features[places]), self._wide
        truth = np.array([float(answer.malicious) for answer in answers])
        logits = self._site.malicious[places]
        inertia = correction.inertia(held, weights[len(answers) :])
        head = correction.fitted(
            shown, logits, truth, weights[: len(answers)], self._calibrated.heads.malicious, inertia
        )
        stage = second_stage.fit(
            rows,
            np.concatenate([self._site.features[places], self._held.features]),
            np.concatenate([logits + shown @ head, self._held.malicious + held @ head]),
        )

        def said(part: Said) -> Floats:
            corrected = part.malicious + correction.widened(part.features) @ head
            return self._probabilities(corrected if stage is None else stage.lowered(part.features, corrected))

        return Judged(said(self._site), said(self._elsewhere))

    def _probabilities(self, logits: Floats) -> Floats:
        return np.asarray(probabilities(np.asarray(logits, np.float32), self._calibrated))
