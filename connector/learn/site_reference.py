"""Gives a bundle its attack reference: the text member's scores of the dataset's calibration rows that are attacks.

``python -m connector.learn.site_reference BUNDLE ROWS`` does it for a bundle that was written without one, and seals it
again; a bundle that is in production anywhere should get a new version instead.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.models import manifest as manifests, reference
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.ensemble import TEXT
from connector.models.manifest import HeadCalibration
from connector.models.text import Options, TextMember
from connector.types import Scores


def write(
    bundle: Path,
    techniques: NDArray[np.floating],
    malicious: NDArray[np.floating],
    labels: tuple[str, ...],
    calibration: HeadCalibration,
) -> int:
    """Writes the reference from the raw logits (n, labels) and (n,) of attack rows. Returns how many were written."""
    slope, intercept = technique_scale(calibration, labels)
    scores = Scores(
        techniques=sigmoid(techniques.astype(np.float64) * slope + intercept).astype(np.float32),
        p_malicious=sigmoid(scaled(malicious.astype(np.float64), calibration.malicious)).astype(np.float32),
        notes=((),) * len(malicious),
    )
    return reference.write(bundle, scores)


def main(bundle: Path, rows: Path) -> None:
    """Scores the calibration rows of a built dataset with the bundle's own text member."""
    from connector.learn import dataset_file  # noqa: PLC0415 - needs pyarrow

    manifest = manifests.read(bundle)
    spec = next(member for member in manifest.members if member.name == TEXT)
    held_out = [row for row in dataset_file.read(rows).of("calibration") if row.malicious]
    member = TextMember(spec, bundle / spec.directory, 0)
    try:
        techniques, malicious = member.logits([row.text for row in held_out])
    finally:
        member.close()
    options = msgspec.convert(spec.options, Options)
    count = write(bundle, techniques, malicious, spec.labels, options.calibration)
    manifests.seal(bundle, manifest)
    print(f"{bundle}: {count} rows of attack reference")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
