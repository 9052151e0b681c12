"""What the sequence member says of every event of a recording, by a network that never saw the recording's site.

The windows are those that serving would have, of the fold's own text scores; the network of a fold is fitted on the windows
of the others, by the recipe of ``triaged train sequence``. Events whose side is unclear get no score: nothing reads them; nor do
events that name no host, of which the member has no view when it serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.training.calibrate import platt
from connector.learn.training.ensemble.opinions import SEQUENCE, TEXT, Fold
from connector.learn.training.ensemble.recorded import UNCLEAR, Recorded
from connector.learn.training.sequence import fit, windows
from connector.learn.training.sequence.fit import Recipe
from connector.learn.training.sequence.network import Kind, Network
from connector.learn.training.sequence.recorded import Recorded as Windowed, sides
from connector.learn.training.sequence.windows import Maker, Most, Rows, Said, Speak
from connector.models.calibration import scaled, sigmoid
from connector.models.manifest import HeadCalibration
from connector.types import Scores

EVERY: Final = Most(attack=1 << 40, background=1 << 40)


def remembered(recorded: Recorded, folds: Sequence[Fold], read: Windowed, kind: Kind) -> list[Fold]:
    """The folds with what the sequence member says of their events; ``read`` are the same recordings as windows need them."""
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
    heads = _heads(networks, left_out)
    wholes = [Maker(read, vocabulary, labels, EVERY) for vocabulary in vocabularies]
    return [
        _with(
            recorded,
            fold,
            labels,
            [(read.parts[one].name, sides(read, read.parts[one]), whole.rows([one], speak)) for one in chosen],
            network,
            head,
        )
        for fold, chosen, speak, whole, network, head in zip(
            folds, streams, speaks, wholes, networks, heads, strict=True
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


def _heads(networks: Sequence[Network], rows: Sequence[Rows]) -> list[HeadCalibration]:
    """For each fold the Platt scaling that the other folds' out-of-fold logits ask for, as the trainer's is of all folds'."""
    said = [fit.logits(network, part) for network, part in zip(networks, rows, strict=True)]
    found = []
    for number in range(len(rows)):
        others = [other for other in range(len(rows)) if other != number]
        attack, part, wanted = (
            np.concatenate([getattr(rows[other], name) for other in others])
            for name in ("attack", "part", "techniques")
        )
        shown, malicious = (np.concatenate([said[other][head] for other in others]) for head in (0, 1))
        weight = fit.weights(attack, part).astype(np.float32)
        found.append(
            HeadCalibration(
                malicious=platt(malicious, attack.astype(np.float32), weight),
                techniques=platt(shown.ravel(), wanted.ravel(), np.repeat(weight, shown.shape[1])),
            )
        )
    return found


def _with(  # noqa: PLR0917 (one caller, above)
    recorded: Recorded,
    fold: Fold,
    labels: tuple[str, ...],
    streams: Sequence[tuple[str, NDArray[np.uint8], Rows]],
    network: Network,
    heads: HeadCalibration,
) -> Fold:
    techniques = np.full((len(fold.events), len(labels)), np.nan, np.float32)
    votes = np.full(len(fold.events), np.nan, np.float32)
    start = {recorded.parts[part].name: recorded.parts[part].start for part in fold.parts}
    first = {int(event): place for place, event in enumerate(fold.events.tolist())}
    for name, side, rows in streams:
        told = np.flatnonzero(side != UNCLEAR) + first[start[name]]
        shown, malicious = fit.logits(network, rows)
        techniques[told] = sigmoid(scaled(shown.astype(np.float64), heads.techniques))
        votes[told] = sigmoid(scaled(malicious.astype(np.float64), heads.malicious))
    said = Scores(techniques=techniques, p_malicious=votes, notes=())
    return msgspec.structs.replace(
        fold, labels={**fold.labels, SEQUENCE: labels}, remembered={**fold.remembered, SEQUENCE: said}
    )
