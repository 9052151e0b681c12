"""Operating points: what a threshold of p_malicious finds, what it costs, and how often it is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from connector.errors import ConfigError
from connector.models.manifest import Manifest

METRIC = "operating_points"
"""The key among a manifest's metrics, and in ``evaluation.json``. There they are of the member that reads texts."""

ENSEMBLE = "ensemble"
"""The key of a manifest's metrics under which several members' measures together stand, :data:`METRIC` among them."""

PER = 10_000


class Point(msgspec.Struct, frozen=True):
    """A threshold: the share of held-out attack groups' rows at or above it, and harmless events per 10,000.

    ``counted`` false: fewer than five harmless rows lie above it, so the alarms are extrapolated.
    """

    cut: float
    recall: float
    alarms: float
    counted: bool

    def precision(self, prevalence: float) -> float:
        """The share of what is flagged that is an attack, where such a share of all events is."""
        right, wrong = self.recall * prevalence, self.alarms / PER * (1 - prevalence)
        return right / (right + wrong) if right + wrong > 0 else 0.0


def of(manifest: Manifest, evaluation: Path | None) -> Sequence[Point]:
    """The points of a bundle: those that an evaluation of it found, else those of its manifest.

    Of several members they are of what these say together, which no evaluation of texts measures. Raises ``ConfigError``.
    """
    if len(manifest.members) > 1:
        table = _together(manifest, evaluation)
    elif evaluation is None:
        table = manifest.metrics.get(METRIC)
        if table is None:
            raise ConfigError(
                f"the manifest of {manifest.ref} has no operating points; name its evaluation.json with --evaluation"
            )
    else:
        document = _read(evaluation)
        if document.get("bundle") != manifest.ref:
            raise ConfigError(f"{evaluation} is of bundle {document.get('bundle')}, not of {manifest.ref}")
        table = document.get(METRIC)
    try:
        return rising(msgspec.convert(table, tuple[Point, ...]))
    except msgspec.ValidationError as error:
        raise ConfigError(f"the operating points of {manifest.ref} cannot be read: {error}") from error


def rising(points: Iterable[Point]) -> tuple[Point, ...]:
    """The points by falling alarms, each at a higher threshold than the one before.

    Where one threshold keeps to several rates, the lowest rate is what it costs. Where the continued tail falls below what was
    counted, the rows say no more.
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda point: -point.alarms):
        if found and point.cut < found[-1].cut:
            break
        if found and point.cut == found[-1].cut:
            found.pop()
        found.append(point)
    return tuple(found)


def reaching(points: Iterable[Point], precision: float, prevalence: float) -> Point | None:
    """The lowest threshold from which on every counted or extrapolated point is as precise as that; None: there is none."""
    chosen = None
    for point in sorted(points, key=lambda point: -point.cut):
        if point.precision(prevalence) < precision:
            break
        chosen = point
    return chosen


def _together(manifest: Manifest, evaluation: Path | None) -> Any:
    if evaluation is not None:
        raise ConfigError(f"{evaluation} measures the text member alone, and {manifest.ref} has several members")
    told = manifest.metrics.get(ENSEMBLE, {})
    if METRIC not in told:
        raise ConfigError(
            f"the manifest of {manifest.ref} has no operating points of what its members say together: "
            "`triaged train ensemble` measures them"
        )
    return told[METRIC]


def _read(path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is no evaluation: {error}") from error
