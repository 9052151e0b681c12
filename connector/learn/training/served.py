"""What the member that serves says of rows, and what a manifest and a card say of that. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.learn.dataset import Row
from connector.learn.training import second_stage
from connector.learn.training.calibrate import Calibrated, probabilities
from connector.learn.training.labels import Floats
from connector.learn.training.measure import flagged, parent_hits, separation, techniques_by, techniques_by_group
from connector.models.calibration import scaled, sigmoid
from connector.models.ensemble import TEXT
from connector.models.mail import PHISHING
from connector.models.manifest import Histogram, Manifest, Reference
from connector.models.second_stage import FILE
from connector.models.store import Store
from connector.models.text import TextMember
from connector.ports import MemberSpec

MAIL = "phishing"

_THREE: Final = re.compile(r"\d{1,6}(\.\d{1,6}){2}", re.ASCII)


def free(store: Path | Store, name: str, version: str) -> Path:
    """The folder that a bundle will have. Raises ``ConfigError`` where it exists already."""
    folder = (store if isinstance(store, Store) else Store(store)).directory(f"{name}/{version}")
    if folder.exists():
        raise ConfigError(f"{folder} exists: a version is written once; choose another --version")
    return folder


def following(store: Path, name: str) -> str:
    """The version after the highest of a name's that are three numbers; ``0.1.0`` where there is none."""
    found = (ref.removeprefix(f"{name}/") for ref in Store(store).list() if ref.startswith(f"{name}/"))
    numbers = (tuple(map(int, version.split("."))) for version in found if _THREE.fullmatch(version))
    first, second, third = max(numbers, default=(0, 1, -1))
    return f"{first}.{second}.{third + 1}"


def reader(manifest: Manifest) -> MemberSpec:
    """The member that reads texts, as a text member: the phishing member is one of a single label. Raises ``ConfigError``."""
    for spec in manifest.members:
        if spec.kind == TEXT:
            return spec
        if spec.kind == MAIL:
            return msgspec.structs.replace(spec, labels=(PHISHING,))
    raise ConfigError(f"bundle {manifest.ref} has no member that reads texts")


def logits(member: Path, spec: MemberSpec, rows: Sequence[Row]) -> tuple[Floats, Floats]:
    """Raw logits by the member that serves: one event a run, as the int8 scales ask for."""
    serving = TextMember(spec, member, 0)
    try:
        techniques, malicious = serving.logits([row.text for row in rows])
    finally:
        serving.close()
    return techniques.astype(np.float32), malicious.astype(np.float32)


def embeddings(member: Path, spec: MemberSpec, rows: Sequence[Row]) -> Floats:
    """The features (n, d) of rows, by the member that serves."""
    serving = TextMember(spec, member, 0)
    try:
        return serving.embed([row.text for row in rows])
    finally:
        serving.close()


def filtered(member: Path, spec: MemberSpec, rows: Sequence[Row], calibrated: Calibrated) -> dict[str, str]:
    """What the second stage alone does to rows that it did not learn from; empty where the member has none."""
    if not (member / FILE).is_file():
        return {}
    serving = TextMember(spec, member, 0)
    try:
        texts = [row.text for row in rows]
        logits = serving.read(texts).malicious, serving.logits(texts)[1]
    finally:
        serving.close()
    before, after = (probabilities(part.astype(np.float32), calibrated) for part in logits)
    return second_stage.measured(rows, before, after, calibrated.thresholds.levels())


def measured(
    techniques: Floats, malicious: Floats, rows: Sequence[Row], labels: Sequence[str], calibrated: Calibrated
) -> dict[str, Any]:
    """Everything that the manifest and the card say of one split."""
    ranks = parent_hits(techniques, rows, labels)
    cuts = calibrated.thresholds.levels()
    return {
        "rows": len(rows),
        "technique_by_source": techniques_by(lambda row: row.source, ranks, rows),
        "technique_by_basis": techniques_by(lambda row: row.basis, ranks, rows),
        "technique_by_file": {
            name: techniques_by_group(techniques, rows, labels, name) for name in ("evtx_to_mitre", "otrf")
        },
        "malicious_auc_by_kind": separation(malicious, rows),
        "flagged": flagged(probabilities(malicious, calibrated).astype(np.float64), rows, cuts),
    }


def reference(
    techniques: Floats, malicious: Floats, rows: Sequence[Row], labels: Sequence[str], calibrated: Calibrated
) -> Reference:
    """What drift is measured against: scores, kinds and technique rates of held-out rows.

    Rates are of all that is above its threshold, where a prediction tells the five likeliest.
    """
    scores = probabilities(malicious, calibrated)
    edges = np.concatenate([[0.0], np.logspace(-8, 0, 33)])
    found = sigmoid(scaled(techniques.astype(np.float64), calibrated.heads.techniques))
    passed = (found >= calibrated.thresholds.techniques.default).mean(axis=0)
    kinds = [row.kind for row in rows]
    return Reference(
        p_malicious=Histogram(
            tuple(float(edge) for edge in edges), tuple(int(n) for n in np.histogram(scores, edges)[0])
        ),
        kinds={kind: kinds.count(kind) / len(kinds) for kind in sorted(set(kinds))},
        techniques={label: round(float(rate), 6) for label, rate in zip(labels, passed, strict=True) if rate > 0},
    )
