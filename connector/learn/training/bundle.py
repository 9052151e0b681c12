"""A trained text member as a bundle of the model store: graph, tokenizer, manifest, model card, training fingerprints."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from connector.learn import site_reference
from connector.learn.corpora.source import Source as Upstream
from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation import operating, points
from connector.learn.training import examples, second_stage
from connector.learn.training.calibrate import calibrate, probabilities
from connector.learn.training.card import card
from connector.learn.training.export import export
from connector.learn.training.fit import Fit, Recipe
from connector.learn.training.labels import targets
from connector.learn.training.model import LETTERS
from connector.learn.training.provenance import check_rows, described, sources
from connector.learn.training.served import embeddings, free, logits, measured, reference
from connector.models import fingerprints
from connector.models.manifest import Dataset as DatasetPart, Manifest, seal
from connector.models.promotions import PRODUCTION
from connector.models.store import Store
from connector.ports import MemberSpec

MEMBER = "text"


class Trained(msgspec.Struct, frozen=True):
    """A fitted network and what it was fitted on."""

    made: Fit
    labels: tuple[str, ...]
    base: Path | None
    dataset: Dataset
    recipe: Recipe


def assemble(trained: Trained, upstreams: Mapping[str, Upstream], store: Path, name: str, version: str) -> Path:
    """Writes the bundle ``name/version`` and returns its folder. Raises ``ConfigError`` where it exists already."""
    check_rows(trained.dataset, upstreams)
    folder = free(store, name, version)
    try:
        export(trained.made.model, trained.made.tokenizer, folder / MEMBER)
        held_out = trained.dataset.of("calibration")
        spec = _spec(trained, {})
        _filter(folder / MEMBER, spec, trained.dataset.of("train"))
        techniques, malicious = logits(folder / MEMBER, spec, held_out)
        calibrated = calibrate(techniques, malicious, held_out, targets(held_out, trained.labels))
        attacks = np.array([row.malicious is True for row in held_out])
        site_reference.write(folder, techniques[attacks], malicious[attacks], trained.labels, calibrated.heads)
        metrics: dict[str, Any] = {"calibration": measured(techniques, malicious, held_out, trained.labels, calibrated)}
        dev = trained.dataset.of("dev")
        unseen = logits(folder / MEMBER, spec, dev)
        metrics["dev"] = measured(*unseen, dev, trained.labels, calibrated)
        metrics[points.METRIC] = operating.measured(probabilities(unseen[1], calibrated), dev)
        seen = (row.fingerprint for row in trained.dataset.rows)  # dev chose the weights, calibration the thresholds
        fingerprints.write(folder / fingerprints.FILE, seen)
        if chosen := examples.choose(trained.dataset.of("train")):  # of a user's own rows none may be given away
            examples.write_examples(folder, embeddings(folder / MEMBER, spec, chosen), chosen)
        manifest = Manifest(
            name=name,
            version=version,
            created=datetime.now(UTC).replace(microsecond=0),
            attack_version=trained.dataset.facts.attack_version,
            labels=trained.labels,
            canonical_versions=trained_kinds(trained.dataset),
            members=(_spec(trained, msgspec.to_builtins(calibrated.heads)),),
            dataset=_dataset(trained.dataset, upstreams),
            base=None if trained.base is None else described(trained.base),
            calibration=calibrated.bundle,
            thresholds=calibrated.thresholds,
            metrics={**metrics, "training": {**trained.made.history, "recipe": msgspec.to_builtins(trained.recipe)}},
            reference=reference(techniques, malicious, held_out, trained.labels, calibrated),
            train_fingerprints=fingerprints.FILE,
        )
        shown = Counter(row.source for row in chosen)
        (folder / "README.md").write_text(card(manifest, trained.dataset.facts, shown), "utf-8")
        seal(folder, manifest)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not (store / PRODUCTION).exists():
        Store(store).promote(f"{name}/{version}")
    return folder


def _filter(member: Path, spec: MemberSpec, rows: Sequence[Row]) -> None:
    """Writes the second stage where rows explain false positives. What follows is calibrated for both stages."""
    if any(row.cause is not None for row in rows):
        made = second_stage.fit(rows, embeddings(member, spec, rows), logits(member, spec, rows)[1])
        if made is not None:
            made.write(member)


def trained_kinds(dataset: Dataset) -> dict[str, str]:
    """The canonical digest of each kind that training saw: other kinds count as untrained."""
    kinds = {row.kind for row in dataset.of("train")}
    return {kind: digest for kind, digest in sorted(dataset.facts.canonical_versions.items()) if kind in kinds}


def _spec(trained: Trained, calibration: Mapping[str, Any]) -> MemberSpec:
    letters = trained.recipe.network.letters if LETTERS in trained.made.model.on else 0
    options: dict[str, Any] = {"max_length": trained.recipe.max_length, "letters": letters, "batch_size": 1}
    if calibration:
        options["calibration"] = calibration
    return MemberSpec(name=MEMBER, kind="text", directory=MEMBER, labels=trained.labels, options=options)


def _dataset(dataset: Dataset, upstreams: Mapping[str, Upstream]) -> DatasetPart:
    facts = dataset.facts
    return DatasetPart(
        digest=facts.digest,
        sources=sources(dataset, upstreams),
        split=facts.split,
        rows=facts.rows,
        seed=facts.seed,
    )
