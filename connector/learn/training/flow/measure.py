"""How well flows are told apart: within a testbed, of attacks that were left out, and on networks that were never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from connector.learn.training.flow.fit import Floats, Flows, Recipe, Whole, copies, fit, raw
from connector.models.flow.classes import BENIGN, Options, logits, probabilities

FOLDS: Final = 4
FEWEST: Final = 5
"""Rows of either side without which a figure is not given."""

LEVELS: Final = (0.5, 0.8, 0.9)
"""Levels of p_malicious at a prevalence of one half."""

ABSENT: Final = -30.0
"""The raw score of a class that no row of a fold's training part was of."""


def group_folds(flows: Flows, seed: int) -> Iterator[tuple[Whole, Whole]]:
    """Training and held-out places; no two rows with the same features on both sides."""
    yield from StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(
        flows.features, flows.kinds, flows.groups
    )


def attack_folds(flows: Flows, seed: int) -> Iterator[tuple[Whole, Whole]]:
    """The same, and every attack (by the data set's own name) is in one fold alone, so that each is once unknown.

    The commonest attack of each class is in no fold: without it the class would be gone.
    """
    names, counts = np.unique(flows.attacks[flows.malicious], return_counts=True)
    kind = {name: flows.kinds[flows.attacks == name][0] for name in names}
    ranked = sorted(names, key=lambda name: -counts[list(names).index(name)])
    first = {kind[name]: name for name in reversed(ranked)}
    out = {name: place % FOLDS for place, name in enumerate(ranked) if first[kind[name]] != name}
    for fold, (rest, held) in enumerate(group_folds(flows, seed)):
        unknown = np.isin(flows.attacks, [name for name, place in out.items() if place == fold])
        benign_held = np.isin(np.arange(len(flows)), held) & ~flows.malicious
        yield rest[~unknown[rest]], np.flatnonzero(unknown | benign_held)


def unseen(
    flows: Flows, folds: Iterator[tuple[Whole, Whole]], classes: Sequence[str], recipe: Recipe
) -> tuple[Whole, Floats]:
    """Places of held-out rows, and their raw scores by trees that saw none of their fold."""
    places, scores = [], []
    for rest, held in folds:
        there = [name for name in classes if name in set(flows.kinds[rest])]
        found = np.full((len(held), len(classes)), ABSENT)
        columns = [list(classes).index(name) for name in there]
        found[:, columns] = _columns(raw(fit(flows.at(rest), there, recipe), flows.at(held)))
        places.append(held)
        scores.append(found)
    return np.concatenate(places), np.concatenate(scores)


def _columns(scores: Floats) -> Floats:
    """Of two classes scikit-learn gives the second one's alone."""
    return np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores


def told(flows: Flows, scores: Floats, options: Options) -> Mapping[str, Any]:
    """p_malicious against the labels, each technique against its classes, and the share of each attack that is likelier bad."""
    labels = sorted({label for shown in options.techniques.values() for label in shown})
    malicious, _ = probabilities(scores, options, labels)
    _, techniques = logits(scores, options, labels)
    weight = copies(flows)
    found: dict[str, Any] = {
        "rows": len(flows),
        "groups": len(np.unique(flows.groups)),
        "p_malicious": _figures(malicious, flows.malicious, weight),
    }
    shown = {label: [name for name in options.classes if label in options.techniques.get(name, ())] for label in labels}
    found["techniques"] = {
        label: _figures(techniques[:, column], np.isin(flows.kinds, shown[label]), weight)
        for column, label in enumerate(labels)
        if np.isin(flows.kinds, shown[label]).sum() >= FEWEST
    }
    found["above one half"] = {
        str(name): {"rows": int(own.sum()), "share": round(float((malicious[own] >= 0.5).mean()), 4)}
        for name in np.unique(flows.attacks)
        if (own := flows.attacks == name).any()
    }
    return found


def _figures(scores: Floats, truth: NDArray[np.bool_], weight: Floats) -> Mapping[str, Any]:
    """Area under the ROC and average precision, over rows and with copies weighed down."""
    if min(truth.sum(), (~truth).sum()) < FEWEST:
        return {"rows": int(truth.sum())}
    return {
        "rows": int(truth.sum()),
        "auc": round(float(roc_auc_score(truth, scores)), 4),
        "auc by groups": round(float(roc_auc_score(truth, scores, sample_weight=weight)), 4),
        "average precision": round(float(average_precision_score(truth, scores)), 4),
        "prevalence": round(float(truth.mean()), 4),
    }


def by_name(flows: Flows, scores: Floats, options: Options) -> Mapping[str, Any]:
    """For a data set with other classes: each technique's ranking of each of its attacks among the benign flows, as AUC."""
    labels = sorted({label for shown in options.techniques.values() for label in shown})
    malicious, _ = probabilities(scores, options, labels)
    _, techniques = logits(scores, options, labels)
    columns = {"p_malicious": malicious, **{label: techniques[:, place] for place, label in enumerate(labels)}}
    benign = flows.kinds == BENIGN
    return {
        str(name): {
            column: round(float(roc_auc_score(own[benign | own], values[benign | own])), 4)
            for column, values in columns.items()
        }
        for name in np.unique(flows.attacks[~benign])
        if (own := flows.attacks == name).sum() >= FEWEST
    }


def alarms(flows: Flows, scores: Floats, options: Options) -> Mapping[str, Any]:
    """Of flows without labels: the share above each level of p_malicious, and for how many each technique is likelier than not."""
    labels = sorted({label for shown in options.techniques.values() for label in shown})
    malicious, techniques = probabilities(scores, options, labels)
    return {
        "rows": len(flows),
        "share above": {str(level): round(float((malicious >= level).mean()), 4) for level in LEVELS},
        "techniques": {label: int((techniques[:, column] >= 0.5).sum()) for column, label in enumerate(labels)},
    }
