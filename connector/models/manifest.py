"""A bundle's manifest: what the bundle is, what it was made from, how it was measured, and the digest of every file.

Training writes it with these structs and serving reads it with the same ones, so neither can drift from the other.
The layout of a bundle is ``<bundle>/<version>/{manifest.json, README.md, <member>/model.onnx, …}``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from connector.errors import ConfigError
from connector.models.integrity import MANIFEST, digests
from connector.ports import MemberSpec

FORMAT = 1
"""Grows when a reader of today could misread a manifest of tomorrow."""

_TEXT: Final = "text"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
"""Bundle names, versions and member directories: one path segment that cannot climb out of the store."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the manifest's structs: an unknown key is an error, not a silent loss."""


class Platt(Part, frozen=True):
    """Platt scaling: ``p = sigmoid(a · logit + b)``. ``a = 1 / temperature, b = 0`` is temperature scaling.

    Source: Platt, Probabilistic outputs for support vector machines, 1999; Guo et al., arXiv:1706.04599.
    """

    a: float = 1.0
    b: float = 0.0


class HeadCalibration(Part, frozen=True):
    """How one member's raw logits become probabilities; ``labels`` overrides ``techniques`` for single labels.

    A member reads it from its options (key ``calibration``).
    """

    malicious: Platt = Platt()
    techniques: Platt = Platt()
    labels: Mapping[str, Platt] = {}


class Calibration(Part, frozen=True):
    """What is done to the combination of the members, whose own scores are calibrated already.

    ``malicious`` scales the combined logit at ``train_prevalence`` (the share of malicious rows that the members'
    calibration saw); then the prior is shifted to ``reference_prevalence``.
    """

    train_prevalence: float
    reference_prevalence: float = 1e-4
    malicious: Platt = Platt()


class TechniqueThresholds(Part, frozen=True):
    """The probability from which a technique is written as found."""

    default: float
    labels: Mapping[str, float] = {}

    def of(self, technique: str) -> float:
        """The threshold of a technique or sub-technique id."""
        return self.labels.get(technique, self.default)


class Thresholds(Part, frozen=True):
    """Levels of ``p_malicious`` at the reference prevalence, and what each costs.

    ``false_alarms`` gives, by level name, the false alarms per 10,000 benign events that the level was set by.
    """

    suspicious: float
    malicious: float
    trigger: float
    techniques: TechniqueThresholds
    false_alarms: Mapping[str, float]

    def levels(self) -> dict[str, float]:
        """The three levels by name."""
        return {"suspicious": self.suspicious, "malicious": self.malicious, "trigger": self.trigger}


class Abstention(Part, frozen=True):
    """When the ensemble says nothing: members further apart than ``spread`` in calibrated probability."""

    spread: float | None = None


class Source(Part, frozen=True):
    """One corpus that rows came from. ``authors`` is what its licence asks to be named.

    ``sha256`` is of the archive that was read; it is empty, and ``commit`` says so, where an unpacked tree was.
    """

    name: str
    upstream: str
    commit: str
    licence: str
    rows: int
    sha256: str
    authors: str = ""


class Base(Part, frozen=True):
    """The pretrained model that training started from. ``sha256`` is of its weights; empty texts are not known."""

    name: str
    upstream: str = ""
    licence: str = ""
    credit: str = ""
    sha256: str = ""


class Dataset(Part, frozen=True):
    """What the members were trained on. ``rows`` counts by split (``train``, ``validation``, ``test``)."""

    digest: str
    sources: tuple[Source, ...]
    split: str
    rows: Mapping[str, int]
    seed: int


class Histogram(Part, frozen=True):
    """A reference distribution: n + 1 ascending edges and n counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


class Reference(Part, frozen=True):
    """What drift is measured against: scores, kinds of event and technique rates on held-out rows.

    They are of the member that reads texts, by itself: rows have texts alone.
    """

    p_malicious: Histogram
    kinds: Mapping[str, float] = {}
    techniques: Mapping[str, float] = {}


class Manifest(Part, frozen=True):
    """One bundle. ``canonical_versions`` is the digest of each kind of event that it was trained on.

    ``thresholds`` are of what all members say together. Of several, ``text_thresholds`` are those of what the text member
    says alone; a bundle of one member has none of its own.
    ``train_fingerprints`` names a file of sorted 8-byte fingerprint prefixes. ``files`` holds the SHA-256 of every
    file but the manifest, by path relative to it. ``metrics`` is free-form JSON, documented in the README beside it.
    """

    name: str
    version: str
    created: datetime
    attack_version: str
    labels: tuple[str, ...]
    canonical_versions: Mapping[str, str]
    members: tuple[MemberSpec, ...]
    dataset: Dataset
    calibration: Calibration
    thresholds: Thresholds
    text_thresholds: Thresholds | msgspec.UnsetType = msgspec.UNSET
    base: Base | None = None
    abstention: Abstention = Abstention()
    metrics: Mapping[str, Any] = {}
    reference: Reference | None = None
    train_fingerprints: str | None = None
    files: Mapping[str, str] = {}
    format: int = FORMAT

    @property
    def ref(self) -> str:
        """``name/version``, as commands and settings write it."""
        return f"{self.name}/{self.version}"

    @property
    def calibration_alone(self) -> Calibration:
        """For what one member says by itself: among several, the bundle's Platt scaling is of what they say together."""
        several = len(self.members) > 1
        return msgspec.structs.replace(self.calibration, malicious=Platt()) if several else self.calibration

    @property
    def sources_alone(self) -> tuple[Source, ...]:
        """What the text member learnt from: all sources, where no other member has some of its own."""
        told = self.metrics.get("members", {}).get(_TEXT, {}).get("sources")
        return tuple(source for source in self.dataset.sources if told is None or source.name in told)

    @property
    def thresholds_alone(self) -> Thresholds:
        """The levels of what the text member says by itself, and what each costs."""
        return self.thresholds if self.text_thresholds is msgspec.UNSET else self.text_thresholds


_MANIFEST: Final = msgspec.json.Decoder(Manifest)


def read(directory: Path) -> Manifest:
    """The manifest of a bundle directory. Raises ``ConfigError`` that says what is wrong with it."""
    path = directory / MANIFEST
    try:
        manifest = _MANIFEST.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{directory} is not a bundle: {path} cannot be read: {error.strerror}") from error
    except (RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is not a manifest: {error}") from error
    if problems := check(manifest):
        raise ConfigError(f"{path}: " + "; ".join(problems))
    return manifest


def write(directory: Path, manifest: Manifest) -> Path:
    """Writes the manifest in one step, so that a reader sees the old one or the new one. Raises ``ConfigError``."""
    if problems := check(manifest):
        raise ConfigError(f"manifest {manifest.ref}: " + "; ".join(problems))
    path = directory / MANIFEST
    fresh = path.with_suffix(".json.new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n")
    fresh.replace(path)
    return path


def seal(directory: Path, manifest: Manifest) -> Manifest:
    """Hashes every file of the bundle into the manifest and writes it: the last step of making a bundle."""
    sealed = msgspec.structs.replace(manifest, files=digests(directory))
    write(directory, sealed)
    return sealed


def check(manifest: Manifest) -> list[str]:
    """What is wrong with the manifest by itself, without looking at any file."""
    problems = [] if manifest.format == FORMAT else [f"format {manifest.format} is not {FORMAT}"]
    for what, name in (("name", manifest.name), ("version", manifest.version)):
        if not NAME.fullmatch(name):
            problems.append(f"{what} {name!r} is not one plain path segment")
    problems += _member_problems(manifest)
    problems += _level_problems(manifest)
    prevalences = (manifest.calibration.train_prevalence, manifest.calibration.reference_prevalence)
    if not all(0.0 < number < 1.0 for number in prevalences):
        problems.append("a prevalence lies strictly between 0 and 1")
    if not all(math.isfinite(x) for x in (manifest.calibration.malicious.a, manifest.calibration.malicious.b)):
        problems.append("the calibration is not finite")
    if manifest.train_fingerprints is not None and manifest.train_fingerprints not in manifest.files:
        problems.append(f"train_fingerprints {manifest.train_fingerprints!r} is not among the files")
    return problems


def _level_problems(manifest: Manifest) -> list[str]:
    problems = []
    names = {member.name for member in manifest.members}
    several = len(names) > 1
    alone = manifest.text_thresholds is not msgspec.UNSET
    if alone and not several:
        problems.append("text_thresholds are for a bundle of several members: a lone one's are its thresholds")
    if several and not alone and _TEXT in names:
        problems.append("it has several members, and no text_thresholds for what the text member says alone")
    for limits in (manifest.thresholds, manifest.thresholds_alone) if alone else (manifest.thresholds,):
        numbers = (*limits.levels().values(), limits.techniques.default, *limits.techniques.labels.values())
        if not all(0.0 <= number <= 1.0 for number in numbers):
            problems.append("a threshold is not a probability")
        elif not limits.suspicious <= limits.malicious <= limits.trigger:
            problems.append("thresholds must rise: suspicious <= malicious <= trigger")
    return problems


def _member_problems(manifest: Manifest) -> list[str]:
    problems = [] if manifest.members else ["it lists no member"]
    names = [member.name for member in manifest.members]
    problems += [f"member {name!r} is listed twice" for name in sorted(set(names)) if names.count(name) > 1]
    known = frozenset(manifest.labels)
    if len(known) != len(manifest.labels):
        problems.append("a label is listed twice")
    for member in manifest.members:
        if not NAME.fullmatch(member.directory):
            problems.append(f"member {member.name!r}: directory {member.directory!r} is not one plain path segment")
        if missing := [label for label in member.labels if label not in known]:
            problems.append(f"member {member.name!r}: labels {', '.join(missing[:5])} are not among the bundle's")
    return problems
