"""Measures of a text member on rows of groups that training never saw: by source and label basis, never pooled."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from connector.learn.dataset import Row
from connector.learn.training.labels import Floats, parent_of
from connector.models.calibration import sigmoid

COMMAND_KINDS = ("sysmon-1", "security-4688", "powershell-4104", "generic")
LEAST = 10
"""A rate over fewer rows is not reported."""


def parent_hits(logits: Floats, rows: Sequence[Row], labels: Sequence[str], depth: int = 5) -> NDArray[np.int64]:
    """The rank (0 is best) of the first right parent of each row; ``depth`` where none is among the first, -1 unlabelled."""
    columns = [index for index, name in enumerate(labels) if "." not in name]
    names = [labels[index] for index in columns]
    order = np.argsort(-logits[:, columns], axis=1)[:, :depth]
    ranks = np.full(len(rows), -1, np.int64)
    for number, row in enumerate(rows):
        wanted = {parent_of(technique) for technique in row.techniques}
        if wanted:
            ranks[number] = next((rank for rank, place in enumerate(order[number]) if names[place] in wanted), depth)
    return ranks


def techniques_by(
    key: Callable[[Row], str], ranks: NDArray[np.int64], rows: Sequence[Row]
) -> dict[str, dict[str, float]]:
    """Share of labelled rows whose right parent is first, or among the first three or five, by source or basis."""
    found: dict[str, list[int]] = defaultdict(list)
    for rank, row in zip(ranks, rows, strict=True):
        if rank >= 0:
            found[key(row)].append(int(rank))
    return {name: _rates(np.array(values)) for name, values in sorted(found.items()) if len(values) >= LEAST}


def techniques_by_group(logits: Floats, rows: Sequence[Row], labels: Sequence[str], source: str) -> dict[str, float]:
    """The same a file: the file's events' probabilities are averaged, and what any of its rows names is right.

    One file counts once, however long. The mean of probabilities did as well on training folds as their maximum, noisy-or,
    mean of squares or a mean weighted by malice (docs/model.md).
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.source == source and row.techniques:
            groups[row.group].append(number)
    if len(groups) < LEAST:
        return {}
    means = np.stack([sigmoid(logits[numbers].astype(np.float64)).mean(0) for numbers in groups.values()]).astype(
        np.float32
    )
    together = [
        msgspec.structs.replace(
            rows[numbers[0]],
            techniques=tuple(sorted({name for number in numbers for name in rows[number].techniques})),
        )
        for numbers in groups.values()
    ]
    return _rates(parent_hits(means, together, labels))


def _rates(ranks: NDArray[np.int64]) -> dict[str, float]:
    tops = {f"top{k}": round(float(np.mean(ranks < k)), 4) for k in (1, 3, 5)}
    return {"n": float(len(ranks)), **tops}


def separation(logits: Floats, rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """AUC of malicious against benign within each kind of event that has both."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.malicious is not None:
            kinds[row.kind].append(number)
    result = {}
    for kind, numbers in sorted(kinds.items()):
        truth = np.array([bool(rows[number].malicious) for number in numbers])
        if min(truth.sum(), (~truth).sum()) >= LEAST:
            auc = float(roc_auc_score(truth, logits[numbers]))
            result[kind] = {"malicious": float(truth.sum()), "benign": float((~truth).sum()), "auc": round(auc, 4)}
    return result


def flagged(probabilities: Floats, rows: Sequence[Row], thresholds: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Share of rows at or above each threshold, by label and basis."""
    found: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.malicious is not None:
            found[f"{'malicious' if row.malicious else 'benign'} ({row.basis})"].append(number)
    return {
        name: {
            "n": float(len(numbers)),
            **{level: round(float(np.mean(probabilities[numbers] >= cut)), 5) for level, cut in thresholds.items()},
        }
        for name, numbers in sorted(found.items())
    }


def selection_score(predictions: tuple[Floats, Floats], rows: Sequence[Row], labels: Sequence[str]) -> dict[str, float]:
    """What early stopping looks at: the mean over sources of top-1 and top-3, and the mean AUC over kinds, equally."""
    techniques, malicious = predictions
    ranks = parent_hits(techniques, rows, labels)
    sources = techniques_by(lambda row: row.source, ranks, rows)
    tops = [rates[k] for rates in sources.values() for k in ("top1", "top3")]
    areas = [kind["auc"] for kind in separation(malicious, rows).values()]
    parts = [float(np.mean(values)) for values in (tops, areas) if values]
    shown = {f"{name}_top1": rates["top1"] for name, rates in sources.items()}
    return {"score": float(np.mean(parts)) if parts else 0.0, "auc": float(np.mean(areas)) if areas else 0.0, **shown}
