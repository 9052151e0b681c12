"""``triaged train ensemble``: rule weights, the meta-classifier and the levels, from scores out of fold; then the bundle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.learn.corpora import otrf
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.ensemble.compared import point_of
from connector.learn.evaluation.points import METRIC
from connector.learn.evaluation.sigma import SOURCE as SIGMA
from connector.learn.streams import CAMPAIGNS
from connector.learn.training.calibrate import FALSE_ALARMS
from connector.learn.training.ensemble import combiners
from connector.learn.training.ensemble.assemble import Bundled, assemble
from connector.learn.training.ensemble.crossfit import SEED, Tried, fitted, joined, rows_of, tried
from connector.learn.training.ensemble.material import Material, Order, gathered
from connector.learn.training.ensemble.operate import BUNDLE, Operating, costs
from connector.learn.training.ensemble.opinions import PREVALENCE, RULES, SEQUENCE, TEXT, rule_labels, truth
from connector.learn.training.ensemble.recorded import Recorded, taught, witnesses
from connector.learn.training.members import RECORDINGS, Report, TrainedMember, write_member
from connector.learn.training.provenance import source_of
from connector.models import commons
from connector.models.ensemble import META
from connector.models.manifest import Source
from connector.models.meta import MODEL
from connector.models.rules.weights import FILE as WEIGHTS
from connector.ports import MemberSpec


class Base(NamedTuple):
    """The bundle of a store whose text member is taken."""

    store: Path
    ref: str


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Where the bundle goes, and what it is called."""

    store: Path
    name: str
    version: str


def train(order: Order, given: Sequence[TrainedMember], output: Output) -> Path:
    """Trains what combines text, rules and the members ``given``, and returns the bundle's folder.

    Raises ``ConfigError`` for a member that is missing, and as ``assemble`` does.
    """
    for member in given:
        if member.spec.name == SEQUENCE and order.sequence and member.report.recipe.get("network") != order.network:
            found = member.report.recipe.get("network")
            raise ConfigError(f"the sequence member is a {found}: what it says out of fold needs --network {found}")
    material = gathered(order)
    lacking = set(material.members) - {TEXT, RULES} - {member.spec.name for member in given}
    if lacking:
        raise ConfigError(f"the meta-classifier reads {', '.join(sorted(lacking))}: name its folder with --member")
    return bundle_of(material, order.read(), given, Base(order.store, order.base), output)


def bundle_of(material: Material, corpora: Corpora, given: Sequence[TrainedMember], base: Base, output: Output) -> Path:
    """Chooses how members are combined, and writes the bundle of the base, the rules' weights and the members given.

    Nothing of it is fitted on a recording that the promotion gate judges by.
    """
    material = msgspec.structs.replace(material, recorded=taught(material.recorded, material.before.dataset.seed))
    found = tried(material.recorded, material.folds, material.members)
    best = found[0]
    print("; ".join(f"{one.name}: average precision {one.score:.3f}" for one in found), flush=True)
    point = point_of(material.recorded, material.folds, best.said)
    asked = (
        [best.said[fold.name] for fold in material.folds],
        [truth(material.recorded, fold) for fold in material.folds],
        [material.recorded.part[fold.events] for fold in material.folds],
    )
    chosen = best.name != combiners.SUM
    bundled = Bundled(
        name=output.name,
        version=output.version,
        calibration=BUNDLE if chosen else msgspec.structs.replace(BUNDLE, malicious=point.platt),
        thresholds=msgspec.structs.replace(material.before.thresholds, **point.levels, false_alarms=dict(FALSE_ALARMS)),
        metrics={
            "combiners": {one.name: round(one.score, 4) for one in found},
            "chosen": best.name,
            "folds": [fold.name for fold in material.folds],
            METRIC: costs(*asked, point),
            RECORDINGS: fitted_on(material.recorded),
        },
    )
    with TemporaryDirectory() as place:
        sources = _sources(material.recorded, corpora)
        members = [write_rules(material.recorded, corpora, sources, Path(place) / RULES), *given]
        if chosen:
            text = {spec.name: spec.labels for spec in material.before.members}
            labels = {**text, **{member.spec.name: member.spec.labels for member in members}}
            members.append(write_meta(material, best, point, labels, sources, Path(place) / META))
        return assemble(base.store, base.ref, members, bundled, output=output.store, pins=corpora.sources)


def write_rules(recorded: Recorded, corpora: Corpora, sources: Sequence[Source], folder: Path) -> TrainedMember:
    """What the rules are worth by every recording. The rules themselves are SigmaHQ's, and a site's to name."""
    weights = witnesses(recorded).weights(lambda *_: True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(msgspec.json.encode(weights, order="sorted") + b"\n")
    spec = MemberSpec(
        name=RULES,
        kind=RULES,
        directory=RULES,
        labels=rule_labels(recorded),
        options={"weights": WEIGHTS, "prevalence": PREVALENCE},
    )
    rules = sorted(match.id for match in recorded.rules)
    report = Report(
        recipe={"rules": len(rules), "rules_digest": hashlib.sha256(msgspec.json.encode(rules)).hexdigest()},
        dataset=digest_of(recorded),
        sources=(*sources, source_of(corpora.sources[SIGMA], len(rules), recorded.verified)),
        rows={"recordings": len(fitted_on(recorded))},
        metrics={"matched": len(weights.malicious), "labels": list(weights.labels), RECORDINGS: fitted_on(recorded)},
    )
    return write_member(folder, spec, report)


def write_meta(  # noqa: PLR0917 (one caller, above)
    material: Material,
    best: Tried,
    point: Operating,
    labels: Mapping[str, tuple[str, ...]],
    sources: tuple[Source, ...],
    folder: Path,
) -> TrainedMember:
    """The meta-classifier that was chosen, fitted on every fold, with the calibration that its out-of-fold logits asked for."""
    recorded, trained = material.recorded, material.members
    rows = joined([rows_of(recorded, fold, trained) for fold in material.folds])
    made = fitted(best.name, rows, len(trained))
    if made.graph is None:
        raise ConfigError(f"{best.name} has no graph")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL).write_bytes(made.graph)
    commons.write(
        folder / commons.FILE, recorded.groups_of([number for number, part in enumerate(recorded.parts) if part.known])
    )
    options = {
        "trained": list(trained),
        "labels": {name: list(columns) for name, columns in labels.items()},
        "malicious": msgspec.to_builtins(point.platt),
    }
    spec = MemberSpec(
        name=META,
        kind=META,
        directory=META,
        labels=tuple(sorted({label for columns in labels.values() for label in columns})),
        options=options,
    )
    report = Report(
        recipe={"combiner": best.name, "seed": SEED, "trees": dict(combiners.TREE_OPTIONS), "slope": combiners.SLOPE},
        dataset=digest_of(recorded),
        sources=sources,
        rows={"events": len(rows.truth), "attack": int((rows.truth > 0).sum())},
        metrics={"average_precision": round(best.score, 4), RECORDINGS: fitted_on(recorded)},
    )
    return write_member(folder, spec, report)


def fitted_on(recorded: Recorded) -> list[str]:
    """The recordings whose attack is known and not left out."""
    return sorted(part.name for part in recorded.parts if part.known)


def digest_of(recorded: Recorded) -> str:
    """SHA-256 of every event's fingerprint, stream and label, and of which streams are fitted on."""
    digest = hashlib.sha256(msgspec.json.encode([mark.fingerprint for mark in recorded.marks]))
    digest.update(msgspec.json.encode([(part.name, part.start, part.stop, part.known) for part in recorded.parts]))
    for column in (recorded.mark, recorded.label):
        digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _sources(recorded: Recorded, corpora: Corpora) -> tuple[Source, ...]:
    counts = {
        name: sum(
            part.stop - part.start
            for part in recorded.parts
            if part.known and (part.set == "campaign") is (name == CAMPAIGNS)
        )
        for name in (otrf.NAME, CAMPAIGNS)
    }
    return tuple(source_of(corpora.sources[name], count, recorded.verified) for name, count in counts.items())
