"""How many labels an intrusion detector needs on NSL-KDD when they are chosen, and when they are drawn at random.

Each seed parts the training records by group into a pool and a validation part. An analyst labels records of the pool in
rounds; after each, a model is fitted to what is labelled and measured on the validation part. Labels needed: the first
number from which on two rounds in a row reach 95% of the macro-F1 of a model that was given the whole pool. ``KDDTest+``
is read once, when every curve is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from connector.learn.corpora.nsl_kdd import CLASSES, TEST, TRAIN, Connections, read
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.studies import asking
from connector.learn.evaluation.studies.asking import Strategy
from connector.learn.evaluation.studies.records import Features, Forest, Whole, at, parted
from connector.learn.sampling import class_margin

STRATEGIES: Final[tuple[Strategy, ...]] = ("sampler", "random", "random groups")
REACHED: Final = 0.95
START: Final = 50
"""Labels of the first round, the same random ones for every strategy."""

STEP, GROWTH = 25, 1.2
"""A round asks for 25 labels, or for a fifth of those there are where that is more."""

RAREST: Final = CLASSES.index("U2R")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: so many splits of the records, forests of so many trees."""

    corpora: Corpora
    seeds: int = 5
    trees: int = 100


class Scores(msgspec.Struct, frozen=True):
    """Macro-F1 over all classes and over all but U2R, the share of rows judged rightly, and F1 by class."""

    macro_f1: float
    without_u2r: float
    accuracy: float
    f1: tuple[float, ...]


class Round(msgspec.Struct, frozen=True):
    """How good a model of so many ``labels`` is on the validation part; ``by_class``: the labels."""

    labels: int
    by_class: tuple[int, ...]
    scores: Scores


class Curve(msgspec.Struct, frozen=True):
    """One strategy on one seed. ``needed``: labels for the target in macro-F1, and the same without U2R; None: not reached."""

    strategy: Strategy
    seed: int
    needed: int | None
    needed_without_u2r: int | None
    rounds: tuple[Round, ...]


class Given(msgspec.Struct, frozen=True):
    """A seed's split by class, and the model that was given every label of its pool."""

    seed: int
    pool: tuple[int, ...]
    validation: tuple[int, ...]
    scores: Scores


class Tested(msgspec.Struct, frozen=True):
    """A seed's model on ``KDDTest+``: on all of it, and on what shares no group with the training file."""

    seed: int
    fitted_on: str
    labels: int
    all_rows: Scores
    new_groups: Scores


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured."""

    classes: tuple[str, ...]
    records: int
    groups: int
    test_records: int
    test_in_known_groups: int
    given: tuple[Given, ...]
    curves: tuple[Curve, ...]
    tested: tuple[Tested, ...]


class _Seed:
    """One split, its features, the model of the whole pool, and what each strategy labelled, in order."""

    def __init__(self, records: Connections, seed: int, trees: int) -> None:
        parts = parted(records, seed)
        pool, validation = at(records, parts.pool), at(records, parts.validation)
        self.number, self._trees = seed, trees
        self.features = Features(pool)
        self._rows, self._truth = self.features.of(pool), pool.classes
        self._held, self._held_truth = self.features.of(validation), validation.classes
        self._vectors = self.features.vectors(self._rows)
        self._groups = pool.groups
        everything = np.arange(len(self._rows))
        self.given = Given(
            seed, _counts(pool.classes), _counts(validation.classes), self._measured(self.forest(everything))
        )
        self.labelled: dict[Strategy, Whole] = {}

    def forest(self, places: Whole) -> Forest:
        """A model of these labels of the pool."""
        return Forest(self._rows[places], self._truth[places], self._trees, self.number)

    def curve(self, strategy: Strategy) -> Curve:
        """Labels round by round until both targets are reached, or a strategy has no more to ask."""
        draw = np.random.default_rng(self.number)
        places = np.array(asking.at_random(len(self._rows), START, draw), np.intp)
        rounds: list[Round] = []
        while True:
            forest = self.forest(places)
            rounds.append(Round(len(places), _counts(self._truth[places]), self._measured(forest)))
            found = self._needed(rounds)
            budget = max(STEP, int(GROWTH * len(places)) - len(places))
            more = self._asked(strategy, forest, places, budget) if None in found else places[:0]
            if not len(more):
                self.labelled[strategy] = places
                return Curve(strategy, self.number, *found, tuple(rounds))
            places = np.concatenate([places, more])

    def _asked(self, strategy: Strategy, forest: Forest, places: Whole, budget: int) -> Whole:
        free = np.setdiff1d(np.arange(len(self._rows)), places)
        groups = self._groups[free].tolist()
        draw = np.random.default_rng((self.number, len(places)))
        if strategy == "sampler":
            margins = class_margin(forest.probabilities(self._rows[free]))
            chosen = asking.by_sampler(margins, groups, self._vectors[free], self._vectors[places], budget)
        elif strategy == "random groups":
            chosen = asking.groups_at_random(groups, budget, draw)
        else:
            chosen = asking.at_random(len(free), budget, draw)
        return np.asarray(free[chosen], np.intp)

    def _measured(self, forest: Forest) -> Scores:
        return scored(self._held_truth, forest.classes(self._held))

    def _needed(self, rounds: Sequence[Round]) -> tuple[int | None, int | None]:
        whole = self.given.scores
        return (
            reached([(one.labels, one.scores.macro_f1) for one in rounds], REACHED * whole.macro_f1),
            reached([(one.labels, one.scores.without_u2r) for one in rounds], REACHED * whole.without_u2r),
        )


def study(plan: Plan) -> Study:
    """Runs every strategy on every seed, then tests. Raises ``ConfigError`` where the data set is not there."""
    records = read(plan.corpora, TRAIN)
    seeds = [_Seed(records, number, plan.trees) for number in range(plan.seeds)]
    curves = []
    for seed in seeds:
        for strategy in STRATEGIES:
            curves.append(seed.curve(strategy))
            print(f"seed {seed.number}, {strategy}: {curves[-1].needed} labels", flush=True)
    test = read(plan.corpora, TEST)
    known = np.isin(test.groups, records.groups)
    tested = [one for seed in seeds for one in _tested(seed, curves, test, ~known)]
    return Study(
        classes=CLASSES,
        records=len(records.classes),
        groups=len(np.unique(records.groups)),
        test_records=len(test.classes),
        test_in_known_groups=int(known.sum()),
        given=tuple(seed.given for seed in seeds),
        curves=tuple(curves),
        tested=tuple(tested),
    )


def reached(curve: Sequence[tuple[int, float]], target: float) -> int | None:
    """The labels of the first of two rounds in a row that reach a target; None where there are no such two."""
    return next((labels for (labels, value), (_, after) in pairwise(curve) if min(value, after) >= target), None)


def scored(truth: Whole, said: Whole) -> Scores:
    """Every measure of the classes that were said (n,) against the true ones (n,); a class that is not there counts as 0."""
    places = list(range(len(CLASSES)))
    f1 = f1_score(truth, said, labels=places, average=None, zero_division=0.0)
    return Scores(
        macro_f1=float(f1.mean()),
        without_u2r=float(np.delete(f1, RAREST).mean()),
        accuracy=float((truth == said).mean()),
        f1=tuple(f1.tolist()),
    )


def _tested(seed: _Seed, curves: Sequence[Curve], test: Connections, new: NDArray[np.bool_]) -> list[Tested]:
    """The whole pool's model, the sampler's where it reached the target, and a random one of as many labels."""
    own = next(curve for curve in curves if (curve.seed, curve.strategy) == (seed.number, "sampler"))
    labels = own.needed or own.rounds[-1].labels
    orders = {
        "whole pool": np.arange(sum(seed.given.pool)),
        "sampler": seed.labelled["sampler"][:labels],
        "random": seed.labelled["random"][:labels],
    }
    rows = seed.features.of(test)
    found = []
    for name, places in orders.items():
        said = seed.forest(places).classes(rows)
        scores = scored(test.classes, said), scored(test.classes[new], said[new])
        found.append(Tested(seed.number, name, len(places), *scores))
    return found


def _counts(classes: Whole) -> tuple[int, ...]:
    return tuple(np.bincount(classes, minlength=len(CLASSES)).tolist())
