"""What the sequence member says of every event of a recording, by a network that never saw the recording's site.

The windows are those that serving would have, of the fold's own text scores; the network of a fold is fitted on the windows
of the others, by the recipe of ``triaged train sequence``. Events whose side is unclear get no score: nothing reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from connector.learn.corpora.source import Corpora
from connector.learn.training.calibrate import platt
from connector.learn.training.ensemble.opinions import SEQUENCE, TEXT, Fold
from connector.learn.training.ensemble.recorded import UNCLEAR, Recorded
from connector.learn.training.sequence import fit, recorded as sequences, windows
from connector.learn.training.sequence.fit import Recipe
from connector.learn.training.sequence.network import Kind, Network
from connector.learn.training.sequence.windows import Maker, Most, Rows, Said, Speak
from connector.models.calibration import scaled, sigmoid
from connector.models.manifest import Platt
from connector.types import Scores

READ: Final = "recorded.npz"
"""As ``triaged train sequence --keep`` names it: one folder serves both commands."""

EVERY: Final = Most(attack=1 << 40, background=1 << 40)


def remembered(recorded: Recorded, folds: Sequence[Fold], corpora: Corpora, folder: Path, kind: Kind) -> list[Fold]:
    """The folds with what the sequence member says of their events."""
    read = sequences.kept(corpora, folder / READ)
    text = folds[0].labels[TEXT]
    shared = frozenset(text).intersection(*(_known(fold) for fold in folds))
    recipe = Recipe()
    place = {part.name: number for number, part in enumerate(read.parts)}
    streams = [
        [place[recorded.parts[part].name] for part in fold.parts if recorded.parts[part].known] for fold in folds
    ]
    speaks = [_speak(recorded, fold) for fold in folds]
    vocabularies = windows.vocabularies(read, text, shared, streams)
    labels = windows.labels(read, vocabularies[0].techniques, [one for chosen in streams for one in chosen])
    networks, left_out = [], []
    for number, vocabulary in enumerate(vocabularies):
        sampled = Maker(read, vocabulary, labels, Most())
        rows = [sampled.rows(chosen, speak) for chosen, speak in zip(streams, speaks, strict=True)]
        left_out.append(rows.pop(number))
        shape = fit.shape_of(vocabulary, labels, recipe.hidden)
        networks.append(fit.fitted(kind, windows.joined(rows), shape, recipe))
        print(f"sequence: network {number + 1} of {len(folds)}", flush=True)
    scales = _scales(networks, left_out)
    wholes = [Maker(read, vocabulary, labels, EVERY) for vocabulary in vocabularies]
    return [
        _with(
            recorded, fold, labels, [(read.parts[one].name, whole.rows([one], speak)) for one in chosen], network, scale
        )
        for fold, chosen, speak, whole, network, scale in zip(
            folds, streams, speaks, wholes, networks, scales, strict=True
        )
    ]


def _known(fold: Fold) -> frozenset[str]:
    """The techniques that the fold's text network has a column for."""
    seen = np.flatnonzero((~np.isnan(fold.views[TEXT].techniques)).any(axis=0))
    return frozenset(fold.labels[TEXT][place] for place in seen.tolist())


def _speak(recorded: Recorded, fold: Fold) -> Speak:
    """The fold's text network, by what it said already."""
    row = {recorded.marks[mark].text: number for number, mark in enumerate(fold.marks.tolist())}
    view = fold.views[TEXT]

    def said(texts: Sequence[str]) -> Said:
        places = [row[text] for text in texts]
        return np.nan_to_num(view.techniques[places]), view.p_malicious[places]

    return said


def _scales(networks: Sequence[Network], rows: Sequence[Rows]) -> list[Platt]:
    """For each fold the Platt scaling that the other folds' out-of-fold logits ask for, at a prevalence of one half."""
    logits = [fit.logits(network, part)[1] for network, part in zip(networks, rows, strict=True)]
    found = []
    for number in range(len(rows)):
        others = [other for other in range(len(rows)) if other != number]
        truth = np.concatenate([rows[other].attack for other in others])
        part = np.concatenate([rows[other].part for other in others])
        weight = fit.weights(truth, part).astype(np.float32)
        found.append(platt(np.concatenate([logits[other] for other in others]), truth.astype(np.float32), weight))
    return found


def _with(  # noqa: PLR0917 (one caller, above)
    recorded: Recorded,
    fold: Fold,
    labels: tuple[str, ...],
    streams: Sequence[tuple[str, Rows]],
    network: Network,
    scale: Platt,
) -> Fold:
    techniques = np.full((len(fold.events), len(labels)), np.nan, np.float32)
    votes = np.full(len(fold.events), np.nan, np.float32)
    start = {recorded.parts[part].name: recorded.parts[part].start for part in fold.parts}
    first = {int(event): place for place, event in enumerate(fold.events.tolist())}
    for name, rows in streams:
        stop = next(part.stop for part in recorded.parts if part.name == name)
        told = np.flatnonzero(recorded.label[start[name] : stop] != UNCLEAR) + first[start[name]]
        shown, malicious = fit.logits(network, rows)
        techniques[told] = sigmoid(shown.astype(np.float64))
        votes[told] = sigmoid(scaled(malicious.astype(np.float64), scale))
    said = Scores(techniques=techniques, p_malicious=votes, notes=())
    return msgspec.structs.replace(
        fold, labels={**fold.labels, SEQUENCE: labels}, remembered={**fold.remembered, SEQUENCE: said}
    )
