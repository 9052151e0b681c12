"""A retrained bundle's own manifest, measures, card and fingerprints, once its member's folder holds the new weights."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import compress
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.learn import site_reference
from connector.learn.dataset import Row
from connector.learn.evaluation import operating, points
from connector.learn.training import served
from connector.learn.training.calibrate import Calibrated, probabilities
from connector.learn.training.provenance import CLOSED
from connector.learn.training.retrain.card import card
from connector.learn.training.retrain.frozen import RETRAINED
from connector.learn.training.retrain.replay import is_closure
from connector.models import fingerprints
from connector.models.manifest import Manifest, Reference, Source, seal
from connector.models.store import Store
from connector.models.text import Options
from connector.ports import MemberSpec

WORK: Final = ".work"
README: Final = "README.md"
_PREFIX: Final = 8

BESIDE: Final = ("members", "ensemble")
"""Measures of a bundle of several members that the closures do not change: what stands beside the text member stays."""

Reader: TypeAlias = tuple[Path, MemberSpec, Calibrated]
"""A member's folder, what the manifest says of it, and how its logits become probabilities."""


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """What a retrained bundle is made of: the incumbent, the rows, and what is told of the retraining."""

    before: Manifest
    source: Path
    spec: MemberSpec
    version: str
    rows: Sequence[Row]
    newest: Sequence[Row]
    facts: Mapping[str, Any]


@contextmanager
def workplace(store: Store, name: str, version: str) -> Iterator[Path]:
    """A store of its own to make ``name/version`` in, which is moved to its place in one step where nothing went wrong.

    What a killed run left there is removed. Raises ``ConfigError`` where the version exists, or another process makes it.
    """
    target = served.free(store, name, version)
    place = target.parents[1] / WORK / f"{name}-{version}"
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with place.with_name(f"{place.name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"another process makes {name}/{version} now: name another --version") from None
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir(mode=0o700)  # what lies here for a while may hold closed alerts
            yield place
            _published(place / name / version, target)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _published(made: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made.replace(target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}") from error


def finish(work: Path, renewal: Renewal) -> None:
    """Measures the bundle in ``work``, and writes what follows from that; seals it."""
    before, spec = renewal.before, renewal.spec
    member = work / spec.directory
    heads = msgspec.convert(spec.options, Options).calibration
    calibrated = Calibrated(heads, before.calibration_alone, before.thresholds_alone)
    closures = list(compress(renewal.rows, is_closure(renewal.rows)))
    readers = ((renewal.source / spec.directory, spec, calibrated), (member, spec, calibrated))
    metrics, reference = _measured(work, renewal, calibrated, {row.fingerprint for row in closures})
    metrics[RETRAINED] = {
        **renewal.facts,
        "second_stage_on_newest": served.filtered(member, spec, renewal.newest, calibrated),
        "newest": compared(*readers, renewal.newest),
    }
    made = msgspec.structs.replace(
        before,
        version=renewal.version,
        created=datetime.now(UTC).replace(microsecond=0),
        dataset=msgspec.structs.replace(before.dataset, sources=_sources(before, len(closures))),
        metrics=metrics,
        reference=reference or before.reference,
    )
    _remember(work, before, closures)
    below = (renewal.source / README).read_text("utf-8")
    (work / README).write_text(card(made, before, below), "utf-8")
    seal(work, made)


def _measured(
    work: Path, renewal: Renewal, calibrated: Calibrated, shown: Container[str]
) -> tuple[dict[str, Any], Reference | None]:
    """Metrics on the base rows that the weights were not fitted on, and what drift is measured against.

    The latter, and the attack reference, are of the split ``calibration``; without such rows the incumbent's own stay.
    """
    spec = renewal.spec
    told = renewal.before.metrics
    metrics: dict[str, Any] = {"training": told.get("training", {})} | {
        name: told[name] for name in BESIDE if name in told
    }
    reference = None
    for split in ("dev", "calibration"):
        part = [row for row in renewal.rows if row.split == split and row.fingerprint not in shown]
        if not part:
            continue
        techniques, malicious = served.logits(work / spec.directory, spec, part)
        metrics[split] = served.measured(techniques, malicious, part, spec.labels, calibrated)
        if split == "dev":
            metrics[points.METRIC] = operating.measured(probabilities(malicious, calibrated), part)
            continue
        reference = served.reference(techniques, malicious, part, spec.labels, calibrated)
        if (attacks := np.array([row.malicious is True for row in part])).any():
            site_reference.write(work, techniques[attacks], malicious[attacks], spec.labels, calibrated.heads)
    return metrics, reference


def _judged(member: Path, spec: MemberSpec, calibrated: Calibrated, rows: Sequence[Row]) -> dict[str, float]:
    """Of closures with a label, the share that is on the right side of each level."""
    labelled = [row for row in rows if row.malicious is not None]
    if not labelled:
        return {}
    truth = np.array([row.malicious is True for row in labelled])
    scores = probabilities(served.logits(member, spec, labelled)[1], calibrated)
    cuts = calibrated.thresholds.levels().items()
    return {f"rightly judged at {level}": float(np.mean((scores >= cut) == truth)) for level, cut in cuts}


def compared(before: Reader, made: Reader, rows: Sequence[Row]) -> dict[str, list[float]]:
    """The same by the incumbent and by the bundle."""
    then, now = _judged(*before, rows), _judged(*made, rows)
    return {name: [value, now[name]] for name, value in then.items()}


def _sources(before: Manifest, closures: int) -> tuple[Source, ...]:
    others = (source for source in before.dataset.sources if source.name != CLOSED.name)
    own = Source(
        name=CLOSED.name,
        upstream=CLOSED.upstream,
        commit=CLOSED.commit,
        licence=CLOSED.licence,
        rows=closures,
        sha256=CLOSED.sha256,
        authors=CLOSED.credit,
    )
    return (*others, own)


def _remember(work: Path, before: Manifest, closures: Sequence[Row]) -> None:
    """Adds the closures to what the bundle was trained on."""
    if before.train_fingerprints is not None:
        path = work / before.train_fingerprints
        data = path.read_bytes()
        known = (data[place : place + _PREFIX].hex() for place in range(0, len(data), _PREFIX))
        fingerprints.write(path, [*known, *(row.fingerprint for row in closures)])
