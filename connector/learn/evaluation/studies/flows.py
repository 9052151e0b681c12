"""Benchmarks of flow classification, measured and thrown away: NSL-KDD, UNSW-NB15 and the CICIDS2017 sample.

NSL-KDD has a test file of its own, with attacks that the training file does not show. What was chosen there was chosen on the
training file with attacks left out by name; those figures stand beside it. The other two are single testbeds in one table: rows that
are near copies of each other are kept on one side, and even so the same hosts, tools and days are on both, so that their
figures are optimistic. The random split, worse still, is measured beside them. Nothing here ships.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from connector.learn.corpora.nsl_kdd import CLASSES, Connections
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.bootstrap import EDGES, resampled
from connector.learn.evaluation.studies.behaviour import Forest
from connector.learn.evaluation.studies.flow_tables import Numbers, Table, Whole, cicids, nsl, plain, unsw
from connector.learn.evaluation.studies.records import at
from connector.learn.training.trees import one_thread

DRAWS: Final = 200
FOLDS: Final = 3
LEFT_OUT: Final = 4
BEHAVIOUR: Final = "behaviour forest"


DATA: Final = ("cicids", "unsw", "nsl")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and how many trees each model grows."""

    corpora: Corpora
    data: tuple[str, ...] = DATA
    trees: int = 50
    seed: int = 1


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one split: F1 by class, their mean with its 95% interval by groups, and the share judged rightly."""

    data: str
    split: str
    model: str
    rows: int
    groups: int
    classes: tuple[str, ...]
    f1: tuple[float, ...]
    macro_f1: float
    low: float
    high: float
    accuracy: float
    optimistic: bool


class Study(msgspec.Struct, frozen=True):
    """Everything that was measured, in order."""

    measured: tuple[Measured, ...]


Fitted = Callable[[Numbers], Whole]
Model = Callable[[Numbers, Whole], Fitted]


def study(plan: Plan) -> Study:
    """The data sets that the plan names. ``KDDTest+`` is read last."""
    found: list[Measured] = []
    for name, read in (("cicids", cicids), ("unsw", unsw)):
        if name in plan.data:
            found.extend(_table(read(plan.corpora), plan))
    if "nsl" in plan.data:
        found.extend(_nsl(*nsl(plan.corpora), plan))
    return Study(tuple(found))


def models(plan: Plan) -> Mapping[str, Model]:
    """The baselines: scikit-learn's own, as they come; and trees for which every class weighs the same."""
    boosted = {"max_iter": plan.trees, "early_stopping": False, "random_state": plan.seed}
    return {
        "gradient boosting": lambda x, y: _fit(HistGradientBoostingClassifier(**boosted), x, y),
        "gradient boosting, classes alike": lambda x, y: _fit(
            HistGradientBoostingClassifier(class_weight="balanced", **boosted), x, y
        ),
        "random forest": lambda x, y: _fit(RandomForestClassifier(plan.trees, random_state=plan.seed), x, y),
        "logistic regression": lambda x, y: _fit(
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=100, tol=1e-3)), x, y
        ),
    }


def _fit(model: Any, features: Numbers, truth: Whole) -> Fitted:
    with one_thread():
        fitted = model.fit(features, truth)
    return lambda rows: np.asarray(fitted.predict(rows), np.intp)


def _table(table: Table, plan: Plan) -> Iterator[Measured]:
    """One third of the groups is held out; for comparison, one third of the rows at random."""
    groups = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=plan.seed)
    rest, held = next(groups.split(table.features, table.truth, table.groups))
    for name, model in models(plan).items():
        said = model(table.features[rest], table.truth[rest])(table.features[held])
        yield _measured(table.at(held), said, split="near copies apart", model=name, optimistic=True)
    random = StratifiedKFold(FOLDS, shuffle=True, random_state=plan.seed)
    rest, held = next(random.split(table.features, table.truth))
    name, model = next(iter(models(plan).items()))
    said = model(table.features[rest], table.truth[rest])(table.features[held])
    yield _measured(table.at(held), said, split="random rows", model=name, optimistic=True)


def _nsl(train: Connections, test: Connections, plan: Plan) -> Iterator[Measured]:
    everything = (*models(plan), BEHAVIOUR)
    for name in (everything[0], BEHAVIOUR):
        yield from _left_out(train, name, plan)
    known = np.isin(test.groups, train.groups)
    said = {name: _said(name, train, test, plan) for name in everything}
    for split, places in (("KDDTest+", np.arange(len(known))), ("KDDTest+, new groups", np.flatnonzero(~known))):
        part = _of(at(test, places))
        for name in everything:
            yield _measured(part, said[name][places], split=split, model=name, optimistic=False)


def _left_out(train: Connections, name: str, plan: Plan) -> Iterator[Measured]:
    """Attacks left out by name, a quarter at a time, judged among groups of ordinary records that were left out too."""
    truths, said = [], []
    for rest, held in left_out(train, plan.seed):
        truths.append(at(train, held))
        said.append(_said(name, at(train, rest), truths[-1], plan))
    parts = [_of(truth) for truth in truths]
    whole = Table(
        "NSL-KDD",
        np.empty((sum(len(part.truth) for part in parts), 0), np.float32),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.groups for part in parts]),
        CLASSES,
    )
    yield _measured(whole, np.concatenate(said), split="training file, attacks left out", model=name, optimistic=False)


def left_out(records: Connections, seed: int) -> Iterator[tuple[Whole, Whole]]:
    """Training and held-out places: each attack is held out once, and ordinary records by group."""
    folds = StratifiedGroupKFold(LEFT_OUT, shuffle=True, random_state=seed)
    normal = records.classes == CLASSES.index("Normal")
    names: dict[str, int] = {}
    for row in CLASSES[1:]:
        own, counts = np.unique(records.attacks[records.classes == CLASSES.index(row)], return_counts=True)
        ranked = own[np.argsort(-counts, kind="stable")]
        names |= {str(name): place % LEFT_OUT for place, name in enumerate(ranked)}
    for fold, (_, held) in enumerate(folds.split(records.symbols, records.classes, records.groups)):
        unknown = np.isin(records.attacks, [name for name, place in names.items() if place == fold])
        quiet = np.zeros(len(normal), bool)
        quiet[held] = normal[held]
        out = unknown | quiet
        yield np.flatnonzero(~out), np.flatnonzero(out)


def _said(name: str, fitted: Connections, asked: Connections, plan: Plan) -> Whole:
    if name == BEHAVIOUR:
        return Forest(fitted, trees=plan.trees, seed=plan.seed).classes(asked)
    return models(plan)[name](plain(fitted, fitted), fitted.classes)(plain(asked, fitted))


def _of(records: Connections) -> Table:
    return Table("NSL-KDD", np.empty((len(records.classes), 0), np.float32), records.classes, records.groups, CLASSES)


def _measured(table: Table, said: Whole, *, split: str, model: str, optimistic: bool) -> Measured:
    there = np.unique(table.truth)
    f1 = f1_score(table.truth, said, labels=np.arange(len(table.classes)), average=None, zero_division=0.0)
    low, high, groups = _interval(table, said, there)
    return Measured(
        data=table.name,
        split=split,
        model=model,
        rows=len(said),
        groups=groups,
        classes=table.classes,
        f1=tuple(round(float(value), 4) for value in f1),
        macro_f1=round(float(f1[there].mean()), 4),
        low=low,
        high=high,
        accuracy=round(float((table.truth == said).mean()), 4),
        optimistic=optimistic,
    )


def _interval(table: Table, said: Whole, there: Whole) -> tuple[float, float, int]:
    """The 95% interval of macro-F1 where whole groups are drawn anew, and how many groups there are."""
    names, number = np.unique(table.groups, return_inverse=True)
    width = len(table.classes)
    found = []
    for draws in resampled(len(names), DRAWS):
        cells = np.bincount(table.truth * width + said, draws[number], width * width).reshape(width, width)
        sums = cells.sum(axis=0) + cells.sum(axis=1)
        found.append(float((2 * np.diag(cells) / np.maximum(sums, 1.0))[there].mean()))
    low, high = np.percentile(found, EDGES)
    return round(float(low), 4), round(float(high), 4), len(names)
