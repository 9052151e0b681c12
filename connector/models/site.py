"""The site layer: what is ordinary here, learnt from the site's own stream, on top of the text member's frozen scores.

A layer is a folder of a manifest and two files of numbers. It changes one thing: the text member's vote p_malicious.
Two findings move its logit: a small head over the member's scores, and how often the event recurs here. Then the logit is
stretched so that each level of that member costs, on this site's stream, what the bundle says it costs: thresholds stay the
bundle's own, and mean the same everywhere (docs/site.md).

Everything that a layer says of an event is a function of its canonical form, so predictions are cached as before.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models import integrity
from connector.models.calibration import logit, sigmoid
from connector.models.manifest import NAME, Manifest, Part
from connector.types import Event, Pairs, Scores

FORMAT: Final = 1
HEAD, SEEN = "head.bin", "seen.bin"
HALF: Final = 0.5
"""How far the head's log-odds move the member's: the two look at the same event, so each counts for half."""

EXACT, UNDER = 0.8, 0.4
"""What recurrence takes off a logit, times ln(1 + further hosts and days): of this very event, and of its program under
its parent in such events."""

MOST: Final = 4.0
"""What recurrence takes off at most: from 1% to 0.02%. An attack that came back every day is still the model's to see."""

LOGIT_SCALE: Final = 3.0
_ROW: Final = np.dtype([("key", ">u8"), ("events", ">u4"), ("hosts", ">u2"), ("days", ">u2")])
_FLOAT: Final = np.dtype("<f4")
_PROGRAMS: Final = ("process.executable", "target.process", "dll.path", "file.path")
_PARENTS: Final = ("process.parent.executable", "process.executable")

Floats = NDArray[np.float64]


class Guards(Part, frozen=True):
    """Distinct events that were left out of what is ordinary, by the guard that did it; an event may be in several."""

    rules: int = 0
    tail: int = 0
    lone: int = 0


class Learnt(Part, frozen=True):
    """What a layer was learnt from. ``novelty``: the share of the last events whose like had not been seen before."""

    events: int
    distinct: int
    ordinary: int
    hosts: int
    days: int
    first: str
    last: str
    novelty: float
    forgotten: int = 0


class Level(Part, frozen=True):
    """One threshold of what the text member says alone: what it is set to cost, and the site's logits that stand for it.

    Of 10,000 events, ``per_10000`` alarms are wanted and ``before`` were made without the layer; ``after`` are made with
    it, by heads that learnt from the other half of the stream. ``here`` is the site's logit that becomes ``bundle``, the bundle's own.
    """

    per_10000: float
    before: float
    after: float
    here: float
    bundle: float


class SiteManifest(Part, frozen=True):
    """One version of a layer. ``bundle_digest`` is the SHA-256 of the manifest of the bundle that it belongs to."""

    version: str
    created: datetime
    bundle: str
    bundle_digest: str
    labels: tuple[str, ...]
    learnt: Learnt
    guards: Guards
    levels: Mapping[str, Level]
    stands: bool
    reasons: tuple[str, ...] = ()
    head: bool = True
    files: Mapping[str, str] = {}
    format: int = FORMAT


class Recurrence(msgspec.Struct, frozen=True):
    """How often something was seen, on how many hosts and days."""

    events: int = 0
    hosts: int = 0
    days: int = 0

    @property
    def further(self) -> int:
        """Hosts and days beyond the first: what one host shows on one day recurs nowhere."""
        return max(self.hosts - 1, 0) + max(self.days - 1, 0)


class SiteLayer:
    """One version, ready to adjust scores. Raises ``ConfigError`` for files that are not what the manifest says."""

    def __init__(self, directory: Path, manifest: SiteManifest, *, shadow: bool = False) -> None:
        self.manifest = manifest
        self.shadow = shadow
        self._weights = _read_head(directory / HEAD, len(manifest.labels) if manifest.head else None)
        self._keys, self._rows = _read_seen(directory / SEEN)
        levels = sorted(manifest.levels.values(), key=lambda level: level.here)
        self._here = np.array([level.here for level in levels])
        self._bundle = np.array([level.bundle for level in levels])

    @property
    def version(self) -> str:
        """The version, as `triaged baseline status` lists it."""
        return self.manifest.version

    def adjusted(self, events: Sequence[Event], scores: Scores) -> Scores:
        """The text member's scores with p_malicious as it is here, and why where the layer changed an alarm.

        In shadow the probability stays, and only the reason is told.
        """
        before = logit(scores.p_malicious)
        seen = [self.recurrence(event.kind, event.canonical, event.fingerprint) for event in events]
        after = self.stretched(before + self.moved(scores, seen))
        told = np.maximum(before, after) >= self._bundle[0]
        notes = tuple(
            (*note, self._said(seen[row][0], before[row], after[row])) if told[row] else note
            for row, note in enumerate(scores.notes)
        )
        p = scores.p_malicious if self.shadow else sigmoid(after).astype(np.float32)
        return Scores(techniques=scores.techniques, p_malicious=p, notes=notes)

    def moved(self, scores: Scores, seen: Sequence[tuple[Recurrence, Recurrence]]) -> Floats:
        """What head and recurrence add to the logits, (n,); nan where the member has no view."""
        moved = -np.array([lowered(*pair) for pair in seen])
        if self._weights is not None:
            moved += HALF * (features(scores) @ self._weights[:-1] + self._weights[-1])
        return moved

    def stretched(self, logits: Floats) -> Floats:
        """Site logits as bundle logits: straight between the levels, shifted beyond them; monotone."""
        inside = np.interp(logits, self._here, self._bundle)
        below, above = logits - self._here[0], logits - self._here[-1]
        found: Floats = np.where(
            below < 0, self._bundle[0] + below, np.where(above > 0, self._bundle[-1] + above, inside)
        )
        return found

    def recurrence(self, kind: str, pairs: Pairs, fingerprint: str) -> tuple[Recurrence, Recurrence]:
        """How often this very event, and its program under its parent in such events, was seen here."""
        return self._of(exact_key(fingerprint)), self._of(under_key(kind, pairs))

    def _of(self, key: int) -> Recurrence:
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        if place == len(self._keys) or int(self._keys[place]) != key:
            return Recurrence()
        row = self._rows[place]
        return Recurrence(int(row["events"]), int(row["hosts"]), int(row["days"]))

    def _said(self, seen: Recurrence, before: float, after: float) -> str:
        known = (
            f"seen {seen.events} times on {seen.hosts} hosts and {seen.days} days" if seen.events else "not seen here"
        )
        shadow = " (shadow: not applied)" if self.shadow else ""
        return f"site layer {self.version}{shadow}: {known}; log-odds {after - before:+.2f}"


def features(scores: Scores) -> Floats:
    """What the head reads, (n, labels + 1): the member's technique probabilities and its malicious logit.

    They are the member's scores as they are cached; nothing of the event itself, and no host, user or time.
    """
    return np.concatenate(
        [scores.techniques.astype(np.float64), logit(scores.p_malicious)[:, None] / LOGIT_SCALE], axis=1
    )


def lowered(exact: Recurrence, under: Recurrence) -> float:
    """What recurrence takes off a logit: never more than :data:`MOST`, and nothing for what one host shows on one day."""
    return min(MOST, EXACT * math.log1p(exact.further) + UNDER * math.log1p(under.further))


def bundle_digest(manifest: Manifest) -> str:
    """What a layer is bound to: SHA-256 over the bundle's manifest, its files' hashes and canonical versions among them."""
    return hashlib.sha256(msgspec.json.encode(manifest, order="sorted")).hexdigest()


def exact_key(fingerprint: str) -> int:
    """The first eight bytes of a fingerprint."""
    return int(fingerprint[:16], 16)


def under_key(kind: str, pairs: Pairs) -> int:
    """A key of the kind of event, its program and its parent: what is left of an event without its arguments."""
    values = dict(pairs)
    program = next((values[name] for name in _PROGRAMS if name in values), "")
    parent = next((values[name] for name in _PARENTS if values.get(name, program) != program), "")
    digest = hashlib.sha256(f"{kind}\x00{program}\x00{parent}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big")


def write_numbers(directory: Path, weights: Floats | None, seen: Mapping[int, Recurrence]) -> None:
    """Writes the two files of a layer."""
    if weights is None:
        weights = np.empty(0)
    (directory / HEAD).write_bytes(weights.astype(_FLOAT).tobytes())
    rows = np.zeros(len(seen), _ROW)
    for place, key in enumerate(sorted(seen)):
        found = seen[key]
        rows[place] = (key, min(found.events, 2**32 - 1), min(found.hosts, 65_535), min(found.days, 65_535))
    (directory / SEEN).write_bytes(rows.tobytes())


def read_manifest(directory: Path) -> SiteManifest:
    """The manifest of a layer's folder. Raises ``ConfigError`` that says what is wrong with it."""
    path = directory / integrity.MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=SiteManifest)
    except OSError as error:
        raise ConfigError(f"{directory} is no site layer: {path} cannot be read: {error.strerror}") from error
    except (RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is no manifest of a site layer: {error}") from error
    if manifest.format != FORMAT or not NAME.fullmatch(manifest.version):
        raise ConfigError(
            f"{path}: format {manifest.format}, version {manifest.version!r}: not a layer of this release"
        )
    levels = sorted(manifest.levels.values(), key=lambda level: level.here)
    numbers = [number for level in levels for number in (level.here, level.bundle)]
    rising = all(low.bundle <= high.bundle for low, high in itertools.pairwise(levels))
    if not levels or not rising or not all(map(math.isfinite, numbers)):
        raise ConfigError(f"{path}: the levels do not rise, or are not finite")
    return manifest


def write_manifest(directory: Path, manifest: SiteManifest) -> SiteManifest:
    """Hashes the layer's files into the manifest and writes it: the last step of making a layer."""
    sealed = msgspec.structs.replace(manifest, files=integrity.digests(directory))
    body: Any = msgspec.json.format(msgspec.json.encode(sealed, order="sorted"), indent=2)
    (directory / integrity.MANIFEST).write_bytes(body + b"\n")
    return sealed


def _read_head(path: Path, labels: int | None) -> Floats | None:
    weights = np.frombuffer(_content(path, _FLOAT), _FLOAT).astype(np.float64)
    if labels is None:
        return None
    if len(weights) != labels + 2 or not np.isfinite(weights).all():
        raise ConfigError(f"{path} does not hold {labels + 2} finite weights")
    return weights


def _read_seen(path: Path) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    rows = np.frombuffer(_content(path, _ROW), _ROW)
    keys = rows["key"].astype(np.uint64)
    if np.any(keys[1:] <= keys[:-1]):
        raise ConfigError(f"{path} is not sorted")
    return keys, rows


def _content(path: Path, kind: np.dtype[Any]) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) % kind.itemsize:
        raise ConfigError(f"{path} does not hold whole rows of {kind.itemsize} bytes")
    return data
