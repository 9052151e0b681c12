"""A bundle as it serves, asked about texts; and which rows it has not been trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from connector.errors import ConfigError
from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation.fitting import Predicted, spoken
from connector.learn.training.calibrate import Calibrated
from connector.models import fingerprints
from connector.models.ensemble import TEXT
from connector.models.manifest import HeadCalibration, Manifest
from connector.models.store import Store
from connector.models.text import TextMember
from connector.ports import MemberSpec


class Bundle(msgspec.Struct, frozen=True):
    """A bundle's manifest, its folder's store, and the fingerprints that made it."""

    store: Store
    manifest: Manifest
    known: fingerprints.TrainFingerprints

    @property
    def member(self) -> tuple[MemberSpec, Path]:
        """The text member and its folder."""
        spec = next(member for member in self.manifest.members if member.kind == TEXT)
        return spec, self.store.directory(self.manifest.ref) / spec.directory

    @property
    def calibrated(self) -> Calibrated:
        """How it makes probabilities of its text member's logits."""
        spec, _ = self.member
        heads = msgspec.convert(spec.options.get("calibration", {}), HeadCalibration)
        return Calibrated(heads, self.manifest.calibration_alone, self.manifest.thresholds_alone)

    def predicted(self, texts: Sequence[str]) -> Predicted:
        """What its text member says of texts, through the quantised graph that serves."""
        spec, folder = self.member
        member = TextMember(spec, folder, 0)
        try:
            techniques, malicious = member.logits(texts)
        finally:
            member.close()
        return spoken(spec.labels, (techniques.astype("f4"), malicious.astype("f4")), self.calibrated)

    def unseen(self, dataset: Dataset) -> list[Row]:
        """Rows that its weights were not fitted on: dev and calibration of its own dataset, else what it does not know."""
        if dataset.facts.digest == self.manifest.dataset.digest:
            return [row for row in dataset.rows if row.split != "train"]
        return [row for row in dataset.rows if row.split != "train" and row.fingerprint not in self.known]


def opened(store: Store, ref: str | None) -> Bundle:
    """The bundle, verified; without a name the one in production. Raises ``ConfigError`` where it has no text member."""
    name = ref or store.production()
    if name is None:
        raise ConfigError(f"no bundle is in production; there are: {', '.join(store.list()) or 'none'}")
    manifest = store.manifest(name)
    if problems := store.verify(name):
        raise ConfigError(f"bundle {name} is refused: {'; '.join(problems)}")
    if not any(member.kind == TEXT for member in manifest.members):
        raise ConfigError(f"bundle {name} has no text member to evaluate")
    seen = manifest.train_fingerprints
    if seen is None:
        raise ConfigError(f"bundle {name} does not say what it was trained on: nothing can be called unseen")
    return Bundle(store, manifest, fingerprints.read(store.directory(name) / seen))
