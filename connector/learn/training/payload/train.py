"""From corpora to the member's folder: measured in folds by group, then fitted once more on all values.

Raw payloads are measured and not learnt: nearly all come from attacks, so nothing could say what ordinary ones look like.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.learn.corpora import http_params, ordinary_values
from connector.learn.corpora.http_params import NORMAL, TEST, TRAIN
from connector.learn.corpora.source import Corpora
from connector.learn.training.members import Report, write_member
from connector.learn.training.payload import measure, network_payloads
from connector.learn.training.payload.baseline import baseline
from connector.learn.training.payload.fit import Recipe
from connector.learn.training.payload.fitted import Fitted, fitted
from connector.learn.training.payload.measure import Readers, Said
from connector.learn.training.payload.rows import (
    FOLDS,
    MOST_ORDINARY,
    SEEN,
    Row,
    ordinary_rows,
    parameter_rows,
    split,
)
from connector.models.manifest import Source

UNVERIFIED: Final = "unverified tree"

T = TypeVar("T")


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to read and where to write. ``folds`` are as many of the :data:`~rows.FOLDS` folds as are measured.

    ``keep`` is a folder for what was measured: the same command goes on from there if it was broken off.
    """

    corpora: Path
    output: Path
    recipe: Recipe = Recipe()
    folds: int = FOLDS
    keep: Path | None = None


class Fold(msgspec.Struct, frozen=True):
    """What models said of rows that they never saw: as they are, by encoding, and (p_malicious, group) of ordinary values."""

    plain: dict[str, list[Said]]
    encoded: dict[str, dict[str, list[Said]]]
    ordinary: list[tuple[float, str]]


class Material(msgspec.Struct, frozen=True):
    """All rows: parameters, ordinary values of another corpus, and raw payloads."""

    parameters: list[Row]
    ordinary: list[Row]
    raw: list[Row]


def train(order: Order) -> Path:
    """Measures, fits and writes the member; returns its folder. Raises ``ConfigError`` where a corpus is missing."""
    if order.output.exists():
        raise ConfigError(f"{order.output} exists already: name a folder that does not")
    corpora = Corpora(order.corpora)
    material = read(corpora)
    name = _name(material, order.recipe)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        study = partial(network_payloads.left_out_by_tool, material.raw, order.recipe, work)
        metrics: dict[str, Any] = {"raw payloads": _kept(order.keep, f"{name}-raw", dict[str, Any], study)}
        parts = [split(rows, None, order.recipe.seed) for rows in (material.parameters, material.ordinary)]
        kept = {name: [row for part in parts for row in part[name]] for name in ("train", "calibration")}
        folder = work / "member"
        with fitted(folder, kept["train"], kept["calibration"], (), order.recipe) as made:
            metrics["alarms elsewhere"] = _elsewhere(made, corpora)
            spec = made.spec
        print("fitted on all rows", flush=True)
        metrics["published split"] = _published(material, order.recipe, work / "published")
        metrics |= _measured(material, order, name, work)
        order.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(folder, order.output)
    rows = [*material.parameters, *material.ordinary]
    report = Report(
        recipe=msgspec.to_builtins(order.recipe),
        dataset=digest_of(rows),
        sources=sources(corpora, rows),
        rows={name: len(part) for name, part in kept.items()},
        metrics=metrics,
    )
    write_member(order.output, spec, report)
    return order.output


def read(corpora: Corpora) -> Material:
    """The rows of all sources."""
    parameters = parameter_rows(corpora)
    ordinary = [row for name in ordinary_values.LEARNT for row in ordinary_rows(corpora, name, MOST_ORDINARY)]
    raw = network_payloads.capture_rows(corpora)
    found = Counter(row.kind for row in parameters)
    print(f"parameters {dict(found)} in {len({row.group for row in parameters})} groups of near-copies", flush=True)
    print(f"ordinary values of other origin {len(ordinary)}, raw payloads {len(raw)}", flush=True)
    return Material(parameters, ordinary, raw)


def _name(material: Material, recipe: Recipe) -> str:
    """What is kept bears this name: other rows or another recipe find nothing."""
    rows = digest_of([*material.parameters, *material.ordinary, *material.raw])
    return hashlib.sha256(rows.encode() + msgspec.json.encode(recipe, order="sorted")).hexdigest()[:12]


def _measured(material: Material, order: Order, name: str, work: Path) -> dict[str, Any]:
    """Each fold's groups read by models that never saw them."""
    folds = []
    for number in range(order.folds):
        folds.append(_kept(order.keep, f"{name}-{number}", Fold, partial(measured_fold, material, order, number, work)))
        print(f"fold {number + 1} of {order.folds} done", flush=True)
    return _told(folds)


def _kept(keep: Path | None, name: str, kind: type[T], make: Callable[[], T]) -> T:
    """What an earlier run left under this name, else what is made now, and left."""
    path = None if keep is None else keep / f"{name}.json"
    if path is not None and path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=kind)
    made = make()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_bytes(msgspec.json.encode(made))
        path.with_suffix(".part").replace(path)
    return made


def measured_fold(material: Material, order: Order, number: int, work: Path) -> Fold:
    """One fold's groups, left out of network and baselines alike."""
    seed = order.recipe.seed
    parameters, ordinary = (split(rows, number, seed) for rows in (material.parameters, material.ordinary))
    learnt, held = ([*parameters[name], *ordinary[name]] for name in ("train", "calibration"))
    with fitted(work / f"fold{number}", learnt, held, (), order.recipe) as network:
        readers = Readers(network, baseline(learnt, decoded=True), baseline(learnt, decoded=False))
        scores = network.read([row.data for row in ordinary["test"]]).malicious
        return Fold(
            plain=measure.plainly(readers, parameters["test"]),
            encoded=measure.encoded(readers, parameters["test"], seed),
            ordinary=[(float(score), row.group) for score, row in zip(scores, ordinary["test"], strict=True)],
        )


def _told(folds: Sequence[Fold]) -> dict[str, Any]:
    plain = {name: [said for fold in folds for said in fold.plain[name]] for name in folds[0].plain}
    dressed = {
        name: {encoding: [said for fold in folds for said in fold.encoded[name][encoding]] for encoding in found}
        for name, found in folds[0].encoded.items()
    }
    alarms = [told for fold in folds for told in fold.ordinary]
    norm = [each for each in plain[measure.NETWORK] if each.row.kind == NORMAL]
    fresh = {name: [said for fold in folds[SEEN:] for said in fold.plain[name]] for name in plain}
    return {
        "classes": {name: measure.by_class(said) for name, said in plain.items()},
        "classes in folds not looked at": {name: measure.by_class(said) for name, said in fresh.items() if said},
        "encodings": {
            name: {encoding: measure.by_class(said, intervals=False)["macro"] for encoding, said in found.items()}
            for name, found in dressed.items()
        },
        "length": measure.by_length(plain[measure.NETWORK]),
        "alarms on parameters": measure.alarms(
            np.array([each.score for each in norm], np.float64), [each.row.group for each in norm]
        ),
        "alarms on tldr pages": measure.alarms(
            np.array([score for score, _ in alarms]), [group for _, group in alarms]
        ),
    }


def _published(material: Material, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """The upstream's own test file, read by a network of its own training file; empty where the corpus lacks one of them.

    Near-copies stand in both files.
    """
    parts = {part: [row for row in material.parameters if row.part == part] for part in (TRAIN, TEST)}
    if not all(parts.values()):
        return {}
    learnt = split(parts[TRAIN], None, recipe.seed)
    with fitted(folder, [*learnt["train"], *material.ordinary], learnt["calibration"], (), recipe) as network:
        data = [row.data for row in parts[TEST]]
        classes = network.classes(network.read(data))
    said = [Said(row, predicted, None) for row, predicted in zip(parts[TEST], classes, strict=True)]
    return measure.by_class(said)


def _elsewhere(made: Fitted, corpora: Corpora) -> dict[str, Any]:
    """False alarms on corpora that no training read."""
    told = {}
    for source in ordinary_values.LEFT_OUT:
        rows = ordinary_rows(corpora, source)
        read = made.read([row.data for row in rows])
        told[source] = measure.alarms(read.malicious, [row.group for row in rows])
    return told


def digest_of(rows: Iterable[Row]) -> str:
    """SHA-256 over all rows, whatever their order."""
    lines = sorted(hashlib.sha256(msgspec.json.encode(row)).digest() for row in rows)
    return hashlib.sha256(b"".join(lines)).hexdigest()


def sources(corpora: Corpora, rows: Sequence[Row]) -> tuple[Source, ...]:
    """The corpora that rows came from, with what their licences ask to be named."""
    counts = Counter(row.source for row in rows)
    pins = [corpora.sources[name] for name in (http_params.NAME, *ordinary_values.LEARNT)]
    return tuple(
        Source(
            name=pin.name,
            upstream=pin.upstream,
            commit=pin.commit if pin.name in corpora.verified else UNVERIFIED,
            licence=pin.licence,
            rows=counts[pin.name],
            sha256=corpora.verified.get(pin.name, ""),
            authors=pin.credit,
        )
        for pin in pins
        if counts[pin.name]
    )
