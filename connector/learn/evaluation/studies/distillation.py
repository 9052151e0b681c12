"""Does distillation pay: a network of the same size, taught by the averaged answers of several, beside the same recipe without.

The teachers are fitted on the same rows with other seeds. The student's targets are the labels and, by a share, what the
teachers say on average; cells without a label stay without. Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a
Neural Network, arXiv:1503.02531. Beside each network, the same with its heads fitted once more (:mod:`.refit`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np

from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation.studies.ranks import RANKS, SPLITS, Rates, cells, rarely, rated
from connector.learn.training.fit import Recipe
from connector.learn.training.labels import Floats, Targets
from connector.learn.training.text import FittedRows, fit_rows
from connector.models.calibration import sigmoid

FEW = {"wide_epochs": 3.0, "wide_evaluations": 3, "letter_epochs": 2.0}
"""Passes of each network, as many as a quick evaluation makes: four are fitted."""

SEEDS = (1, 2, 3)
SHARE = 0.5

Said = tuple[Floats, Floats]
"""Logits of techniques (n, labels) and of malice (n,)."""


class Study(msgspec.Struct, frozen=True):
    """By network, the rates on each split that fitted no weight; dev chose the epoch."""

    dataset: str
    rows: int
    networks: Mapping[str, Mapping[str, Rates]]


def study(dataset: Dataset, recipe: Recipe, step: int = 1) -> Study:
    """Fits the teachers and the student, on one training row in ``step``."""
    train, dev = dataset.of("train")[::step], dataset.of("dev")
    plain = msgspec.structs.replace(recipe, refit=0.0)
    teachers = [fit_rows(train, dev, msgspec.structs.replace(plain, seed=seed)) for seed in SEEDS]
    told = averaged(teachers, [row.text for row in train])
    student = fit_rows(train, dev, plain, labels=teachers[0].labels, teach=lambda goal: taught(goal, told, SHARE))
    asked = {"alone": teachers[:1], f"{len(SEEDS)} averaged": teachers, "student": [student]}
    rare = rarely(train)
    networks = {name: _judged(ones, dataset, rare) for name, ones in asked.items()}
    for one in (*teachers, student):
        one.refit(train, recipe.refit)
    networks |= {f"{name}, heads refitted": _judged(ones, dataset, rare) for name, ones in asked.items()}
    return Study(dataset.facts.digest, len(train), networks)


def averaged(networks: Sequence[FittedRows], texts: Sequence[str]) -> Said:
    """The mean of what several networks with the same labels say."""
    techniques, malicious = zip(*(one.logits(texts) for one in networks), strict=True)
    return np.mean(techniques, axis=0, dtype=np.float32), np.mean(malicious, axis=0, dtype=np.float32)


def taught(goal: Targets, told: Said, share: float) -> Targets:
    """Targets of which a ``share`` is what teachers said of the same rows; what nobody labelled stays open."""
    techniques, malicious = (sigmoid(part.astype(np.float64)).astype(np.float32) for part in told)
    return msgspec.structs.replace(
        goal,
        techniques=(1 - share) * goal.techniques + share * techniques,
        malicious=(1 - share) * goal.malicious + share * malicious,
    )


def lines(found: Study) -> Iterator[str]:
    """The study as a table."""
    yield f"dataset {found.dataset[:12]}, {found.rows} training rows, half of the student's targets from its teachers"
    yield ""
    yield f"| network | split | {RANKS} | mean AUC |"
    yield "|---|---|---|---|---|---|---|"
    for name, splits in found.networks.items():
        for split, seen in splits.items():
            yield f"| {name} | {split} | {cells(seen)} | {seen.auc:.3f} |"


def _judged(networks: Sequence[FittedRows], dataset: Dataset, rare: frozenset[str]) -> Mapping[str, Rates]:
    return {split: _rates(networks, dataset.of(split), rare) for split in SPLITS}


def _rates(networks: Sequence[FittedRows], rows: Sequence[Row], rare: frozenset[str]) -> Rates:
    return rated(averaged(networks, [row.text for row in rows]), rows, networks[0].labels, rare)
