"""A bundle that learns from answers by the quick path of retraining, over texts whose features are computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.evaluation.shipped import Bundle
from connector.learn.export.training import SOURCE
from connector.learn.training import second_stage
from connector.learn.training.calibrate import Calibrated, probabilities
from connector.learn.training.retrain import correction, replay
from connector.learn.training.retrain.frozen import Frozen, Said
from connector.models.manifest import HeadCalibration
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
        spec, folder = bundle.member
        heads = msgspec.convert(spec.options.get("calibration", {}), HeadCalibration)
        self._calibrated = Calibrated(heads, bundle.manifest.calibration, bundle.manifest.thresholds)
        self._groups, self._base = groups, base
        network = Frozen(folder, spec)
        try:
            self._site = network.read(texts)
            self._held = network.read([row.text for row in base])
            self._elsewhere = network.read([row.text for row in elsewhere])
        finally:
            network.close()
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
        closures = [self._row(answer) for answer in answers]
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

    def _row(self, answer: Answer) -> Row:
        """An answer as the closed alert that it becomes."""
        return Row(
            text="",
            kind="",
            fingerprint=str(answer.place),
            techniques=(),
            malicious=answer.malicious,
            basis="analyst",
            source=SOURCE,
            group=self._groups[answer.place],
            record="",
            licence="",
            split="train",
            cause=answer.cause,
        )
