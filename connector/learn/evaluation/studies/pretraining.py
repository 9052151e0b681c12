"""Does pre-training on events pay: the encoder upon the bag with and without it, and the bag alone, on rows that fitted no weight.

Before it is fine-tuned on rows with labels the encoder guesses masked tokens (:mod:`connector.learn.training.pretrain`) of the
same rows and of as many again whose labels nobody reads. An encoder is measured also where by its dev score it would be left
out. The bag is of word pieces, and the same in all three: they share a seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from connector.learn.dataset import Dataset, Row, Split
from connector.learn.evaluation.studies.ranks import RANKS, SPLITS, Rates, cells, rarely, rated
from connector.learn.training.fit import DEFAULT, Recipe
from connector.learn.training.pretrain import MASKED
from connector.learn.training.text import FittedRows, fit_rows

QUICK, QUICK_SEEN = 16, 2
"""A quick study fits on one training row in so many, and is chosen and measured by one row of the other splits in so many."""

SHORT = msgspec.structs.replace(
    DEFAULT, wide_epochs=3.0, wide_evaluations=3, letter_epochs=0.0, epochs=1.0, evaluations=1, refit=0.0
)
"""As many passes of the bag as a quick evaluation makes, and one of the encoder, which is read at 64 tokens."""

PASSES = 1.0
"""Of masked tokens."""


class Network(msgspec.Struct, frozen=True):
    """Which phase was kept by dev score, the losses of masked tokens on texts held out, and the rates by split."""

    kept: str
    losses: tuple[float, ...]
    rates: Mapping[str, Rates]


class Study(msgspec.Struct, frozen=True):
    """By network, what it is worth on each split that fitted no weight; dev chose the epoch."""

    dataset: str
    rows: int
    unlabelled: int
    networks: Mapping[str, Network]


def study(dataset: Dataset, recipe: Recipe = SHORT, base: Path | None = None, *, step: int = 1, seen: int = 1) -> Study:
    """Fits on one training row in ``step``, and measures on one row of the other splits in ``seen``."""
    rows = dataset.of("train")
    train, others = rows[::step], rows[step // 2 :: step] if step > 1 else []
    split = {name: dataset.of(name)[::seen] for name in SPLITS}
    recipes = {
        "the bag alone": msgspec.structs.replace(recipe, epochs=0.0),
        "with the encoder": recipe,
        "with the encoder, pre-trained": msgspec.structs.replace(recipe, pretrain=PASSES),
    }
    networks = {}
    for name, one in recipes.items():
        more = [row.text for row in others] if one.pretrain else []
        made = fit_rows(train, split["dev"], one, base=base, unlabelled=more)
        networks[name] = _measured(made, split, rarely(train))
    return Study(dataset.facts.digest, len(train), len(others), networks)


def _measured(made: FittedRows, split: Mapping[Split, Sequence[Row]], rare: frozenset[str]) -> Network:
    made.made.model.deep = made.recipe.epochs > 0
    return Network(
        kept=str(made.made.history["kept"]),
        losses=tuple(float(entry["eval_loss"]) for entry in made.made.history.get(MASKED, ())),
        rates={
            name: rated(made.logits([row.text for row in rows]), rows, made.labels, rare)
            for name, rows in split.items()
        },
    )


def lines(found: Study) -> Iterator[str]:
    """The study as a table, and the losses of masked tokens under it."""
    yield (
        f"dataset {found.dataset[:12]}, {found.rows} training rows; masked tokens are of their texts and of"
        f" {found.unlabelled} others"
    )
    yield ""
    yield f"| network | kept | split | {RANKS} | mean AUC |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, network in found.networks.items():
        for split, seen in network.rates.items():
            yield f"| {name} | {network.kept} | {split} | {cells(seen)} | {seen.auc:.3f} |"
    for name, network in found.networks.items():
        if network.losses:
            yield f"{name}: loss of masked tokens {network.losses[0]:.3f} before, {network.losses[-1]:.3f} after"
