"""From corpora to a trained sequence member: every fold's windows, the networks compared on what each left out, then one on all.

Folds leave out whole sites: recordings that share a domain or a lone host, campaigns too. A fold's windows hold scores of a
text network that never saw the site, in training as in measuring.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.corpora import otrf
from connector.learn.corpora.source import Source
from connector.learn.streams import CAMPAIGNS, trains
from connector.learn.training.calibrate import platt
from connector.learn.training.labels import Floats
from connector.learn.training.members import RECORDINGS, Report, write_member
from connector.learn.training.provenance import source_of
from connector.learn.training.sequence import fit, measure, network, windows
from connector.learn.training.sequence.fit import Recipe
from connector.learn.training.sequence.measure import Measured, Named
from connector.learn.training.sequence.network import KINDS, Kind, Network
from connector.learn.training.sequence.recorded import Part, Recorded
from connector.learn.training.sequence.windows import Most, Rows, Speak
from connector.models.manifest import HeadCalibration, Platt
from connector.models.sequence.member import MODEL
from connector.models.sequence.vocabulary import FILE, Vocabulary
from connector.ports import MemberSpec

NAME = KIND = "sequence"


class Texts(msgspec.Struct, frozen=True):
    """The text networks by fold: ``labels`` are their columns, of which all know ``shared``; ``of`` gives that of a fold."""

    labels: tuple[str, ...]
    shared: frozenset[str]
    of: Callable[[int], Speak]
    sites: Sequence[frozenset[str]]
    """The sites that each fold leaves out."""


class Compared(msgspec.Struct, frozen=True):
    """What one kind of network showed on what its folds left out, as logits of all windows, and how long it took."""

    kind: Kind
    techniques: Floats
    malicious: Floats
    seconds: float


def trained(
    read: Recorded,
    texts: Texts,
    output: Path,
    *,
    pins: Mapping[str, Source],
    recipe: Recipe,
    split_seed: int,
    ship: Kind = "lstm",
) -> str:
    """Trains, compares and writes the member's folder; gives the tables that were measured.

    ``split_seed`` is the dataset's: what ships is fitted without the recordings by which a promotion judges it.
    """
    folds = [
        (chosen, windows.once(texts.of(number)))
        for number, chosen in enumerate(dealt(read.parts, texts.sites))
        if chosen
    ]
    if len(folds) < 2:
        raise ConfigError("the recordings are of one site: nothing can be left out")
    taught = fitted_on(read.parts, split_seed)
    vocabulary = windows.vocabulary(read, texts.labels, texts.shared, taught)
    labels = windows.labels(read, vocabulary.techniques, taught)
    own = windows.vocabularies(read, texts.labels, texts.shared, [chosen for chosen, _ in folds])
    compared = _compared(read, folds, own, labels, recipe)
    rows = _rows(read, folds, vocabulary, labels)
    every = windows.joined(rows)
    found, named = _measured(compared, every, rows, read.parts)
    chosen = next(one for one in compared if one.kind == ship)
    kept = windows.taken(every, np.flatnonzero(np.isin(every.part, taught)))
    final = fit.fitted(ship, kept, fit.shape_of(vocabulary, labels, recipe.hidden), recipe)
    calibration = HeadCalibration(
        malicious=_platt(chosen.malicious, every),
        techniques=_technique_platt(chosen.techniques, every),
    )
    _write(output, final, every, vocabulary)
    text = f"{measure.table(found)}\n\n{measure.techniques_table(named)}"
    spec = MemberSpec(
        name=NAME,
        kind=KIND,
        directory=NAME,
        labels=labels,
        options={"calibration": msgspec.to_builtins(calibration)},
    )
    report = Report(
        recipe={**msgspec.to_builtins(recipe), "network": ship, "most": msgspec.to_builtins(Most())},
        dataset=_digest(read),
        sources=tuple(source_of(pins[name], count, read.verified) for name, count in _counts(read, taught).items()),
        rows={**windows.counted(read), "windows": len(kept)},
        metrics={
            "measured": msgspec.to_builtins(found),
            "techniques": msgspec.to_builtins(named),
            "seconds": {one.kind: round(one.seconds) for one in compared},
            RECORDINGS: [read.parts[number].name for number in taught],
            "unknown": dict(read.unknown),
        },
    )
    write_member(output, spec, report)
    return text


def dealt(parts: Sequence[Part], sites: Sequence[frozenset[str]]) -> list[list[int]]:
    """The recordings that each fold leaves out. A site that no fold names taught no text network: the first takes it."""
    named = frozenset().union(*sites)
    return [
        [number for number, part in enumerate(parts) if part.site in own or (not fold and part.site not in named)]
        for fold, own in enumerate(sites)
    ]


def fitted_on(parts: Sequence[Part], split_seed: int) -> list[int]:
    """The recordings that what ships is fitted on: those by which no promotion judges it.

    Raises ``ConfigError`` where there are none.
    """
    found = [number for number, part in enumerate(parts) if trains(part.name, part.set, split_seed)]
    if not found:
        raise ConfigError("every recording is left to judge promotions by: there is nothing to train on")
    return found


def _rows(
    read: Recorded, folds: Sequence[tuple[Sequence[int], Speak]], vocabulary: Vocabulary, labels: Sequence[str]
) -> list[Rows]:
    """The windows of each fold's recordings by one vocabulary."""
    maker = windows.Maker(read, vocabulary, labels, Most())
    return [maker.rows(chosen, speak) for chosen, speak in folds]


def _compared(
    read: Recorded,
    folds: Sequence[tuple[Sequence[int], Speak]],
    vocabularies: Sequence[Vocabulary],
    labels: Sequence[str],
    recipe: Recipe,
) -> list[Compared]:
    """Each kind of network on what every fold leaves out, by a vocabulary of the other folds."""
    found: dict[Kind, list[tuple[Floats, Floats]]] = {kind: [] for kind in KINDS}
    seconds = dict.fromkeys(KINDS, 0.0)
    for number, vocabulary in enumerate(vocabularies):
        rows = _rows(read, folds, vocabulary, labels)
        others = windows.joined([part for place, part in enumerate(rows) if place != number])
        shape = fit.shape_of(vocabulary, labels, recipe.hidden)
        for kind in KINDS:
            start = time.monotonic()
            found[kind].append(fit.logits(fit.fitted(kind, others, shape, recipe), rows[number]))
            seconds[kind] += time.monotonic() - start
            print(f"fold {number + 1} of {len(folds)}: {kind}, {seconds[kind]:.0f} s", flush=True)
    return [
        Compared(
            kind,
            np.concatenate([techniques for techniques, _ in found[kind]]),
            np.concatenate([malicious for _, malicious in found[kind]]),
            seconds[kind],
        )
        for kind in KINDS
    ]


def _measured(
    compared: Sequence[Compared], every: Rows, rows: Sequence[Rows], parts: Sequence[Part]
) -> tuple[list[Measured], list[Named]]:
    """Everything left out together, then by set and by fold, each model on the same events."""
    fold = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    sets = np.array([parts[number].set for number in every.part.tolist()])
    wanted = {
        "everything": np.ones(len(every), bool),
        "single techniques": sets == "single-technique",
        "campaigns": sets == "campaign",
    }
    for number in np.unique(every.part).tolist():
        if parts[number].set == "campaign":
            wanted[parts[number].group] = every.part == number
    wanted |= {f"fold {number + 1}": fold == number for number in range(len(rows))}
    found: list[Measured] = []
    named: list[Named] = []
    text = every.told.astype(np.float64)
    for name, marks in wanted.items():
        places = np.flatnonzero(marks)
        part = windows.taken(every, places)
        if not part.attack.any() or part.attack.all():
            continue
        scores: dict[str, NDArray[np.float64]] = {"text alone": text}
        scores |= {one.kind: one.malicious.astype(np.float64) for one in compared}
        found += [measure.measured(model, name, score[places], part, parts) for model, score in scores.items()]
        if part.techniques.any() and not name.startswith("fold"):
            shown: dict[str, Floats] = {"text alone": every.named}
            shown |= {one.kind: one.techniques for one in compared}
            named += [measure.named(model, name, score[places], part, parts) for model, score in shown.items()]
    return found, named


def _platt(logits: Floats, rows: Rows) -> Platt:
    """At a prevalence of one half, on windows that the networks did not train on."""
    weight = fit.weights(rows.attack, rows.part).astype(np.float32)
    return platt(logits, rows.attack.astype(np.float32), weight)


def _technique_platt(logits: Floats, rows: Rows) -> Platt:
    weight = np.repeat(fit.weights(rows.attack, rows.part), logits.shape[1]).astype(np.float32)
    return platt(logits.ravel(), rows.techniques.ravel(), weight)


def _write(output: Path, final: Network, rows: Rows, vocabulary: Vocabulary) -> None:
    output.mkdir(parents=True, exist_ok=True)
    network.export(final, windows.wide(rows.windows.part(slice(0, 2))), output / MODEL)
    (output / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(vocabulary), indent=1) + b"\n")


def _counts(read: Recorded, taught: Sequence[int]) -> dict[str, int]:
    """Events by source of the recordings that are fitted on."""
    sides = {otrf.NAME: "single-technique", CAMPAIGNS: "campaign"}
    return {
        name: sum(part.stop - part.start for part in (read.parts[number] for number in taught) if part.set == side)
        for name, side in sides.items()
    }


def _digest(read: Recorded) -> str:
    """Of every event's fingerprint and label, recording after recording."""
    digest = hashlib.sha256(msgspec.json.encode([mark.fingerprint for mark in read.marks]))
    digest.update(msgspec.json.encode([(part.name, part.start, part.stop) for part in read.parts]))
    digest.update(read.mark.tobytes())
    digest.update(read.label.tobytes())
    return digest.hexdigest()
