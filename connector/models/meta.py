"""The meta-classifier: what all members say of an event, as one probability. Techniques it leaves to them.

It reads no event text. A row of its features is what each member says (its logit of malice, the entropy of its techniques,
its likeliest technique), how common the fingerprint is in training, and the family of the event's kind. A member without a
view is missing values, which the trees take as they are. Source: Wolpert, Stacked generalization, 1992.

Where none of the members that it was trained with has a view, it has none. What a bundle's other members say is added to
what it says (:mod:`connector.models.ensemble`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from connector.errors import ConfigError
from connector.models import commons
from connector.models.calibration import logit, scaled, sigmoid
from connector.models.manifest import Platt
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

MODEL: Final = "model.onnx"
INPUT: Final = "features"

PER_MEMBER: Final = 3
"""Columns that one member fills."""

EXPLAIN_FROM: Final = 0.5
"""p_malicious at the training prevalence from which it is told what each member added."""

TOLD: Final = 0.1
"""Log-odds below which a member's part is not worth telling."""

MOST_LOGIT: Final = 7.0
"""Logits of techniques are kept within this: a rule that does not name a technique does not rule it out."""

FAMILIES: Final[Mapping[str, frozenset[str]]] = {
    "process": frozenset({"sysmon-1", "security-4688", "macos-exec", "auditd", "cim-process", "crowdstrike"}),
    "script": frozenset({"powershell-400", "powershell-600", "powershell-800", "powershell-4103", "powershell-4104"}),
    "access": frozenset({"sysmon-8", "sysmon-10", "security-4656", "security-4663", "security-4673", "security-4703"}),
    "registry": frozenset({"sysmon-12", "sysmon-13", "sysmon-14", "security-4657", "cim-registry"}),
    "file": frozenset({"sysmon-2", "sysmon-11", "sysmon-15", "sysmon-23", "sysmon-26", "security-5145", "cim-file"}),
    "library": frozenset({"sysmon-6", "sysmon-7"}),
    "network": frozenset({"sysmon-3", "sysmon-22", "security-5156", "zeek-connection", "zeek-dns", "cim-traffic"}),
    "logon": frozenset({"security-4624", "security-4625", "security-4648", "security-4672", "security-4776"}),
}
"""Kinds of event by what they tell of; all others are of none."""

_FAMILY: Final = {kind: column for column, kinds in enumerate(FAMILIES.values()) for kind in kinds}
_ERRORS: Final = tuple(
    getattr(ort_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)

Floats = NDArray[np.float64]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest may say of a meta-classifier.

    ``trained`` are the members whose outputs its graph reads, in the order of its columns. ``labels`` are the technique
    columns of each. ``malicious`` calibrates the graph's logit.
    """

    trained: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]]
    malicious: Platt = Platt()


class MetaMember:
    """Scores events by what the other members say of them."""

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        del threads
        self.name = spec.name
        self.labels = spec.labels
        try:
            self._options = msgspec.convert(spec.options, Options)
        except msgspec.ValidationError as error:
            raise ConfigError(f"member {spec.name!r}: {error}") from error
        self.needs = self._options.trained
        if missing := sorted(set(self.needs) - self._options.labels.keys()):
            raise ConfigError(f"member {spec.name!r} does not say the labels of {', '.join(missing)}")
        self._commons = commons.read(directory / commons.FILE)
        self._graph = _Graph(directory / MODEL, width(self._options.trained))

    def key(self, event: Event) -> str | None:
        """Beside what the members say, it reads the fingerprint, of which the kind is a part."""
        return event.fingerprint

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """None: what came before is the sequence member's to remember."""
        del events
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """Probabilities at the training prevalence; nan where no member has a view of malice."""
        del state
        votes = np.full(len(events), np.nan, np.float32)
        techniques = np.full((len(events), len(self.labels)), np.nan, np.float32)
        notes: list[tuple[str, ...]] = [()] * len(events)
        said = np.stack([np.asarray(views[name].p_malicious) for name in self.needs])
        seen = np.flatnonzero((~np.isnan(said)).any(axis=0))
        if len(seen):
            rows = features(
                self._options.trained,
                [events[place] for place in seen.tolist()],
                views,
                self._commons,
                self._options.labels,
                places=seen,
            )
            own = self._logits(rows)
            votes[seen] = sigmoid(own)
            for row in np.flatnonzero(votes[seen] >= EXPLAIN_FROM):
                notes[seen[row]] = self._note(rows[row], float(own[row]))
        return Scores(techniques=techniques, p_malicious=votes, notes=tuple(notes)), StateChange()

    def _logits(self, rows: NDArray[np.float32]) -> Floats:
        """Calibrated logits; nan where no member that it was trained with has a view."""
        found = scaled(self._graph.run(rows), self._options.malicious)
        blind = np.isnan(rows[:, 0 : PER_MEMBER * len(self._options.trained) : PER_MEMBER]).all(axis=1)
        return np.where(blind, np.nan, found)

    def _note(self, row: NDArray[np.float32], whole: float) -> tuple[str, ...]:
        """What the answer would lack without each member, in log-odds."""
        without = np.repeat(row[None], len(self._options.trained), axis=0)
        for place in range(len(without)):
            without[place, PER_MEMBER * place : PER_MEMBER * (place + 1)] = np.nan
        parts = whole - self._logits(without)
        told = [f"{n} {part:+.1f}" for n, part in zip(self._options.trained, parts, strict=True) if abs(part) >= TOLD]
        return (f"{self.name}: {', '.join(told)}; log-odds",) if told else ()


def width(trained: Sequence[str]) -> int:
    """How many features there are for so many members."""
    return PER_MEMBER * len(trained) + 1 + len(FAMILIES)


def features(
    trained: Sequence[str],
    events: Sequence[Event],
    views: Mapping[str, Scores],
    known: commons.Commons,
    labels: Mapping[str, Sequence[str]],
    *,
    places: NDArray[np.intp] | None = None,
) -> NDArray[np.float32]:
    """The features (n, width) of n events; ``views`` have them at ``places``, and ``labels`` name their techniques.

    nan where a member has no view.
    """
    found = np.zeros((len(events), width(trained)), np.float32)
    for number, name in enumerate(trained):
        view = views[name]
        part = view if places is None else Scores(view.techniques[places], view.p_malicious[places], ())
        found[:, PER_MEMBER * number : PER_MEMBER * (number + 1)] = of_member(
            part.p_malicious, part.techniques, labels[name]
        )
    rest = PER_MEMBER * len(trained)
    found[:, rest] = rarity([known.groups(event.fingerprint) for event in events])
    for row, event in enumerate(events):
        if (column := _FAMILY.get(event.kind)) is not None:
            found[row, rest + 1 + column] = 1.0
    return found


def of_member(
    p_malicious: NDArray[np.floating], techniques: NDArray[np.floating], labels: Sequence[str]
) -> NDArray[np.float32]:
    """What one member says of n events: (n, 3) logit of malice, entropy of its techniques in nats, likeliest technique's logit.

    ``techniques`` (n, labels). Parents alone count: what was kept of a network may have no column for their parts. The
    entropy is of the probabilities as shares of their sum: 0 where one technique alone is likely.
    """
    techniques = techniques[:, ["." not in label for label in labels]]
    found = np.full((len(p_malicious), PER_MEMBER), np.nan, np.float32)
    found[:, 0] = logit(p_malicious)
    if techniques.shape[1]:
        seen = np.flatnonzero(~np.isnan(techniques).all(axis=1))
        columns = np.nan_to_num(techniques[seen].astype(np.float64))
        total = columns.sum(axis=1, keepdims=True)
        shares = columns / np.maximum(total, np.finfo(np.float64).tiny)
        found[seen, 1] = -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
        found[seen, 2] = technique_logits(columns.max(axis=1))
    return found


def rarity(groups: Sequence[int]) -> NDArray[np.float32]:
    """Counts of groups as doublings: 0 for none, 1 for one, 2 for three."""
    return np.log2(1.0 + np.asarray(groups, np.float64)).astype(np.float32)


def family(kind: str) -> int | None:
    """The column of a kind's family among the families; None where it is of none."""
    return _FAMILY.get(kind)


def technique_logits(probabilities: NDArray[np.floating]) -> Floats:
    """Logits of techniques, within :data:`MOST_LOGIT`; nan stays nan."""
    return np.clip(logit(probabilities), -MOST_LOGIT, MOST_LOGIT)


class _Graph:
    """Features (n, width) to logits (n,). The graph is proven when it is loaded."""

    def __init__(self, path: Path, features_wide: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
            found = self.run(np.full((2, features_wide), np.nan, np.float32))
        except (OSError, ValueError, *_ERRORS) as error:
            raise ConfigError(f"{path} is no graph of {features_wide} features that can be run: {error}") from error
        if found.shape != (2,) or not np.isfinite(found).all():
            raise ConfigError(f"{path}: for two events of which nothing is known the graph gives {found}")

    def run(self, rows: NDArray[np.float32]) -> Floats:
        """The raw logits of n rows."""
        found: Floats = np.asarray(self._session.run(None, {INPUT: rows})[0], np.float64).reshape(len(rows))
        return found


plugin = MemberPlugin(member=MetaMember, testbed="connector.models.meta_testbed:MetaTestbed")
