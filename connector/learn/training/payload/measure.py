"""What the network is worth on values that it never saw: by class, by encoding, by length, beside a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

import msgspec
import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from connector.learn.corpora.http_params import NORMAL, SHOWS
from connector.learn.evaluation.bootstrap import Interval, share, statistic
from connector.learn.training.payload.baseline import read_as
from connector.learn.training.payload.encodings import ENCODINGS
from connector.learn.training.payload.fit import Floats
from connector.learn.training.payload.fitted import Fitted
from connector.learn.training.payload.rows import Row, drawn
from connector.models.payload.decode import plain

CLASSES: Final = (NORMAL, *SHOWS)
BANDS: Final = ((1, 8), (9, 16), (17, 32), (33, 64), (65, 1 << 16))
"""Lengths in bytes that results are told within."""

EACH: Final = 8
"""Under encodings one ordinary value and one SQL injection in so many is read, and counts for as many."""

NETWORK: Final = "network"


class Said(msgspec.Struct, frozen=True):
    """What one model said of a row when its group was left out; ``score`` is of malice, where it says how much."""

    row: Row
    predicted: str
    score: float | None
    weight: float = 1.0


class Readers(msgspec.Struct, frozen=True):
    """The models of one fold, each from values to classes."""

    network: Fitted
    decoded: Pipeline
    undecoded: Pipeline

    def classes(self, data: Sequence[bytes]) -> dict[str, list[str]]:
        """The classes that each says of values, by the names that the report gives them. Decoded once: twice is the same."""
        decoded = [plain(each) for each in data]
        return {
            NETWORK: self.network.classes(self.network.read(decoded)),
            "TF-IDF, linear": _said(self.decoded, decoded, decoded=True),
            "TF-IDF, linear, without the decoder": _said(self.undecoded, data, decoded=False),
        }


def _said(model: Pipeline, data: Sequence[bytes], *, decoded: bool) -> list[str]:
    return [str(each) for each in model.predict([read_as(each, decoded=decoded) for each in data])]


def plainly(readers: Readers, rows: Sequence[Row]) -> dict[str, list[Said]]:
    """Every model's word on values as they are."""
    data = [row.data for row in rows]
    scores: dict[str, Sequence[float | None]] = {
        NETWORK: [float(each) for each in readers.network.read(data).malicious]
    }
    unknown = [None] * len(rows)
    return {
        name: [
            Said(row, predicted, score)
            for row, predicted, score in zip(rows, classes, scores.get(name, unknown), strict=True)
        ]
        for name, classes in readers.classes(data).items()
    }


def encoded(readers: Readers, rows: Sequence[Row], seed: int) -> dict[str, dict[str, list[Said]]]:
    """The same by encoding, on a part of the frequent classes."""
    kept = [row for row in rows if row.kind not in {NORMAL, "sqli"} or drawn(seed, repr(row.data)) < 1 / EACH]
    weights = [EACH if row.kind in {NORMAL, "sqli"} else 1 for row in kept]
    found: dict[str, dict[str, list[Said]]] = {}
    for name, encoding in ENCODINGS.items():
        draw = Random(seed)  # noqa: S311 (a seeded draw, no secret)
        data = [encoding(row.data, draw) for row in kept]
        for model, classes in readers.classes(data).items():
            found.setdefault(model, {})[name] = [
                Said(row, predicted, None, weight)
                for row, predicted, weight in zip(kept, classes, weights, strict=True)
            ]
    return found


def by_class(said: Sequence[Said], *, intervals: bool = True) -> dict[str, Any]:
    """F1 of each class and their mean, with 95% intervals by group of near-copies."""
    truth = np.array([CLASSES.index(str(each.row.kind)) for each in said])
    found = np.array([CLASSES.index(each.predicted) for each in said])
    weight = np.array([each.weight for each in said])

    cells = truth * len(CLASSES) + found

    def f1(weights: Floats) -> Floats:
        table = np.bincount(cells, weights, minlength=len(CLASSES) ** 2).reshape(len(CLASSES), -1)
        both = table.sum(axis=0) + table.sum(axis=1)
        return np.asarray(2 * np.diag(table) / np.maximum(both, 1e-12))

    if not intervals:
        return {"macro": round(float(f1(weight).mean()), 4)}
    groups = [each.row.group for each in said]
    told: dict[str, Any] = {
        name: _told(statistic(partial(_one, f1, place), weight, groups)) for place, name in enumerate(CLASSES)
    }
    return {**told, "macro": _told(statistic(lambda weights: float(f1(weights).mean()), weight, groups))}


def _one(f1: Callable[[Floats], Floats], place: int, weights: Floats) -> float:
    return float(f1(weights)[place])


def by_length(said: Sequence[Said]) -> dict[str, Any]:
    """How far length alone tells attacks, and what the network says within bands of length."""
    truth = np.array([each.row.kind != NORMAL for each in said])
    score = np.array([each.score for each in said], np.float64)
    length = np.array([len(each.row.data) for each in said])
    told: dict[str, Any] = {
        "AUC of length alone": round(float(roc_auc_score(truth, length)), 4),
        "AUC of p_malicious": round(float(roc_auc_score(truth, score)), 4),
    }
    for low, high in BANDS:
        here = (length >= low) & (length <= high)
        if 0 < truth[here].sum() < here.sum():
            told[f"{low} to {high}" if high < BANDS[-1][1] else f"{low} and more"] = {
                "values": int(here.sum()),
                "attacks": int(truth[here].sum()),
                "AUC of length alone": round(float(roc_auc_score(truth[here], length[here])), 4),
                "AUC of p_malicious": round(float(roc_auc_score(truth[here], score[here])), 4),
                "recall": round(float((score[here & truth] >= 0.5).mean()), 4),
                "alarms per 10,000": round(1e4 * float((score[here & ~truth] >= 0.5).mean()), 1),
            }
    return told


def alarms(scores: Floats, groups: Sequence[str]) -> dict[str, Any]:
    """Ordinary values that are taken for attacks, per 10,000, with the 95% interval by group."""
    found = share(scores >= 0.5, groups)
    return {
        "values": found.rows,
        "per 10,000": round(1e4 * found.value, 1),
        "low": round(1e4 * found.low, 1),
        "high": round(1e4 * found.high, 1),
    }


def _told(interval: Interval) -> dict[str, float]:
    return {"f1": round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4)}
