"""The text networks of the folds, each fitted without the sites that it is asked about, and kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from connector.learn.dataset import Dataset
from connector.learn.evaluation import folds, recordings
from connector.learn.evaluation.folds import Fit
from connector.learn.evaluation.run import quick
from connector.learn.training.ensemble.text_folds import Says, fold_text, recalled
from connector.learn.training.fit import Recipe
from connector.learn.training.sequence.recorded import Recorded
from connector.learn.training.sequence.train import Texts
from connector.learn.training.sequence.windows import Said, Speak


class Kept(msgspec.Struct, frozen=True):
    """By which recipe networks are fitted, where they are kept, and an evaluation's of the same rows that are not fitted again."""

    recipe: Recipe
    folder: Path
    evaluated: Path | None = None


def texts(read: Recorded, dataset: Dataset, kept: Kept, *, labels: Sequence[str], count: int) -> Texts:
    """The folds by site of the recordings, and their text networks: quick ones, of three passes, where none is recalled.

    ``labels`` are the columns of the text member that will serve. What a fold's network has no column for, it gives 0.
    """
    fits = folds.by_group(dataset.rows, read.sites, count)
    networks = [_says(fit, kept) for fit in fits]
    shared = set.intersection(*(set(network.labels) for network in networks))
    return Texts(
        tuple(labels), frozenset(shared), lambda number: _spoken(networks[number], labels), [fit.sites for fit in fits]
    )


def _says(fit: Fit, kept: Kept) -> Says:
    network = partial(fold_text, fit, quick(kept.recipe), kept.folder)
    if kept.evaluated is not None:
        for place in sorted(kept.evaluated.glob("recordings-*.msgpack"))[-1:]:
            known = msgspec.msgpack.decode(place.read_bytes(), type=recordings.Streams)
            found = recalled(fit, known, kept.evaluated, network)
            if found is not None:
                return found
    return network()


def _spoken(network: Says, labels: Sequence[str]) -> Speak:
    place = {label: column for column, label in enumerate(network.labels)}
    known = [number for number, label in enumerate(labels) if label in place]
    columns = [place[labels[number]] for number in known]

    def said(texts: Sequence[str]) -> Said:
        techniques, malicious = network.said(texts)
        found = np.zeros((len(texts), len(labels)), np.float32)
        found[:, known] = np.nan_to_num(techniques[:, columns])
        return found, malicious

    return said
