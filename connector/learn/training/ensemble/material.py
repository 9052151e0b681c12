"""What the ensemble is trained and measured on: the recordings, their folds, and what every member says out of fold."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from connector.learn import dataset_file
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.learn.evaluation import folds as parts, recordings
from connector.learn.evaluation.folds import Fit
from connector.learn.evaluation.run import quick
from connector.learn.rule_weights import Kept
from connector.learn.training.ensemble import recorded as recordings_of, sequence_folds
from connector.learn.training.ensemble.assemble import text_alone
from connector.learn.training.ensemble.opinions import RULES, SEQUENCE, TEXT, Fold, left_out, opinions
from connector.learn.training.ensemble.recorded import Recorded
from connector.learn.training.ensemble.text_folds import Says, fold_text, recalled
from connector.learn.training.fit import Recipe
from connector.learn.training.sequence import recorded as sequences
from connector.learn.training.sequence.network import Kind
from connector.models.manifest import Manifest
from connector.models.store import Store

READ: Final = "recorded.npz"
"""As ``triaged train sequence --keep`` names it: one folder serves both commands."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to read and where to keep what takes long.

    ``rows`` is the built dataset of the ``base``, a bundle of ``store``; ``work`` keeps recordings and networks;
    ``pins`` is the table of sources; ``evaluated`` is the folder of an evaluation of the same rows and folds, whose text networks are not fitted again;
    ``sequence`` asks for the sequence member, of this kind of ``network``.
    """

    corpora: Path
    rows: Path
    store: Path
    base: str
    work: Path
    pins: Path = PINS
    folds: int = 5
    evaluated: Path | None = None
    sequence: bool = True
    network: Kind = "lstm"

    def read(self) -> Corpora:
        """The corpora, with their pins."""
        return Corpora(self.corpora, pinned(self.pins))


class Material(msgspec.Struct, frozen=True, eq=False):
    """The recordings, the folds with what members say of them, and these members' names in the order of the features."""

    recorded: Recorded
    folds: Sequence[Fold]
    members: tuple[str, ...]
    before: Manifest


def gathered(order: Order) -> Material:
    """Reads the recordings and asks every member, each by what never saw the site. Raises ``ConfigError``."""
    before = text_alone(Store(order.store).manifest(order.base))
    text = before.members[0]
    corpora = order.read()
    found = recordings_of.kept(corpora, order.work)
    fits = parts.by_group(dataset_file.read(order.rows).rows, found.sites, order.folds)
    told = recordings_of.witnesses(found)
    chosen = []
    for fit, streams in left_out(found, fits):
        if any(found.parts[number].known for number in streams):
            weights = told.weights(_outside({found.parts[number].group for number in streams}))
            says = _says(order, fit, before)
            chosen.append(opinions(found, fit, streams, text=says, weights=weights, labels=text.labels))
            print(f"{fit.name}: {len(chosen[-1].events)} events of {', '.join(sorted(fit.sites))}", flush=True)
    members: tuple[str, ...] = (TEXT, RULES)
    if order.sequence:
        chosen = sequence_folds.remembered(found, chosen, sequences.kept(corpora, order.work / READ), order.network)
        members = (*members, SEQUENCE)
    return Material(found, chosen, members, before)


def _outside(groups: Collection[str]) -> Kept:
    return lambda _, group: group not in groups


def _says(order: Order, fit: Fit, before: Manifest) -> Says:
    recipe = msgspec.convert(before.metrics.get("training", {}).get("recipe", {}), Recipe)
    network = partial(fold_text, fit, quick(recipe), order.work)
    if order.evaluated is not None:
        streams = sorted(order.evaluated.glob("recordings-*.msgpack"))
        known = msgspec.msgpack.decode(streams[-1].read_bytes(), type=recordings.Streams) if streams else None
        kept = None if known is None else recalled(fit, known, order.evaluated, network)
        if kept is not None:
            return kept
    return network()
