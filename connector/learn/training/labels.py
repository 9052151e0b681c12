"""The label space of a text member, and rows as targets in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.corpora.sample import Basis
from connector.learn.dataset import Row

Floats = NDArray[np.float32]

TRUST: Mapping[Basis, float] = {
    "file-name": 0.8,
    "outside-tree": 0.5,
    "rule-test": 0.7,
    "rule-pattern": 0.7,
    "rule-filter": 0.7,
    "rule-match": 0.4,
    "report-sentence": 0.4,
    "procedure": 0.4,
}
"""Weight of a row in the losses by label basis, 1 where not listed: a file's label is not every event's label."""


class Targets(msgspec.Struct, frozen=True, eq=False):
    """Targets of n rows: techniques (n, labels) and malicious (n,), nan where unknown; weight (n,).

    ``parents`` (labels,) marks the columns that are no sub-technique.
    """

    techniques: Floats
    malicious: Floats
    weight: Floats
    parents: NDArray[np.bool_]


def parent_of(technique: str) -> str:
    """The parent technique's id; a parent is its own."""
    return technique.partition(".")[0]


def label_space(rows: Iterable[Row], parent_groups: int, sub_groups: int) -> tuple[str, ...]:
    """Parents and sub-techniques that occur in enough independent groups to be learnt, sorted."""
    groups: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        for technique in row.techniques:
            groups[technique].add((row.source, row.group))
            groups[parent_of(technique)].add((row.source, row.group))
    return tuple(
        sorted(name for name, found in groups.items() if len(found) >= (sub_groups if "." in name else parent_groups))
    )


def targets(rows: Sequence[Row], labels: Sequence[str]) -> Targets:
    """Rows as targets.

    A row without a technique is unknown in every column. A row that names only a parent is unknown in that
    parent's sub-techniques: nobody said which.
    """
    place = {name: index for index, name in enumerate(labels)}
    children: dict[str, list[int]] = defaultdict(list)
    for name, index in place.items():
        if "." in name:
            children[parent_of(name)].append(index)
    techniques = np.full((len(rows), len(labels)), np.nan, np.float32)
    for number, row in enumerate(rows):
        if row.techniques:
            techniques[number] = 0.0
            for parent in {parent_of(technique) for technique in row.techniques}:
                if not any(technique.startswith(f"{parent}.") for technique in row.techniques):
                    techniques[number, children[parent]] = np.nan
            for technique in row.techniques:
                for name in (technique, parent_of(technique)):
                    if name in place:
                        techniques[number, place[name]] = 1.0
    malicious = np.array([np.nan if row.malicious is None else float(row.malicious) for row in rows], np.float32)
    weight = np.array([TRUST.get(row.basis, 1.0) for row in rows], np.float32)
    return Targets(techniques, malicious, weight, np.array(["." not in name for name in labels], bool))


def shares(rows: Sequence[Row], power: float) -> Floats:
    """Weights (n,) of rows in the technique loss: trust, over the size of the row's group to ``power``; their mean is 1.

    0 counts rows, 1 counts files: a long recording does not teach its one technique more often than a short one.
    """
    sizes = Counter((row.source, row.group) for row in rows)
    weight = np.array([TRUST.get(row.basis, 1.0) * sizes[row.source, row.group] ** -power for row in rows], np.float64)
    found: Floats = (weight / max(weight.mean(), 1e-12)).astype(np.float32)
    return found


def repeats(techniques: Floats, threshold: float) -> NDArray[np.intp]:
    """Places of rows, those of rare techniques several times: oversampling, instead of weights by class.

    A row occurs √(threshold / share of its rarest technique) times, at least once. Source: repeat-factor sampling,
    Gupta, Dollár, Girshick, LVIS, arXiv:1908.03195.
    """
    marked = np.nan_to_num(techniques) > 0
    share = marked.sum(0) / max(len(techniques), 1)
    rarest = np.where(marked, share[None, :], 1.0).min(1, initial=1.0)
    times = np.maximum(1, np.rint(np.sqrt(threshold / np.maximum(rarest, 1e-9)))).astype(np.intp)
    return np.repeat(np.arange(len(techniques)), times)


def positive_weights(techniques: Floats, most: float) -> Floats:
    """Class weights of the technique loss: the square root of negatives per positive, at most ``most``."""
    positives = np.nansum(techniques, axis=0)
    known = np.sum(~np.isnan(techniques), axis=0)
    weights: Floats = np.clip(np.sqrt((known - positives) / np.maximum(positives, 1.0)), 1.0, most).astype(np.float32)
    return weights
