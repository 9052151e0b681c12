"""What an evaluation found, as it is written to ``evaluation.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.calibration import Bin
from connector.learn.evaluation.points import Point
from connector.learn.evaluation.ranking import F1, Confusion, Hits, Label

Measured: TypeAlias = Literal["bundle", "text", "linear", "rules", "text and rules", "majority"]
"""Who spoke: the bundle itself; the same recipe fitted anew without the rows; TF-IDF and a linear model; Sigma; Sigma beside the
recipe (beside the bundle where that never saw the source); always the same."""

Head: TypeAlias = Literal["malicious", "technique"]


class About(NamedTuple):
    """The suite and the model of a measurement; source and basis are filled in where the rows are parted."""

    suite: str
    model: Measured
    source: str = ""
    basis: str = ""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows a number is about, and whose: never pooled over sources or over label bases."""

    suite: str
    model: Measured
    source: str
    basis: str


class Techniques(Place, frozen=True, kw_only=True):
    """Parent techniques of labelled rows, by event and by file."""

    events: Hits
    files: Hits
    event_f1: F1
    file_f1: F1
    table: Sequence[Label]
    confusions: Sequence[Confusion]


class Separation(Place, frozen=True, kw_only=True):
    """Malicious against benign within one kind of event. ``curve`` is (recall, precision) from the top score down."""

    kind: str
    malicious: int
    benign: int
    auc: Interval
    average_precision: Interval
    curve: Sequence[tuple[float, float]]


class Flagged(Place, frozen=True, kw_only=True):
    """Rows or events per 10,000 at or above each level; malicious: recall, else false alarms."""

    malicious: bool
    levels: Mapping[str, Interval]


class Background(Place, frozen=True, kw_only=True):
    """False alarms per 10,000 background events of left-out sites, at each level, on all and on those absent from training.

    ``hosts`` gives the false alarms at level malicious by host, as (host, events absent from training, flagged).
    """

    every: Mapping[str, Interval]
    absent: Mapping[str, Interval]
    hosts: Sequence[tuple[str, int, int]]


class Recordings(Place, frozen=True, kw_only=True):
    """The share of left-out recordings of which at least one event of the attack's process tree is flagged."""

    levels: Mapping[str, Interval]
    missed: Sequence[str]


class Calibration(Place, frozen=True, kw_only=True):
    """Whether probabilities mean what they say on left-out groups, each group weighing the same.

    ``head`` malicious is at prior 0.5, with true and false rows weighing the same; technique is the first guess's
    probability. ``perfect`` is the mean error of a calibrated model on as few groups, drawn row by row; ``perfect_by_group``
    with one draw a group. ``excess`` is ``ece`` less ``perfect``.
    """

    head: Head
    ece: Interval
    perfect: float
    perfect_by_group: float
    excess: float
    brier_skill: Interval
    bins: Sequence[Bin]


class Stated(Place, frozen=True, kw_only=True):
    """False alarms per 10,000 that a level was set by, and those observed on benign rows of left-out groups."""

    level: str
    stated: float
    observed: Interval


class Target(msgspec.Struct, frozen=True):
    """One line of what is aimed at: the number, the bound, and whether it holds.

    ``at_random`` is the same on random rows, the optimistic split; empty where that asks nothing of the kind.
    """

    name: str
    wanted: str
    measured: str
    met: bool
    at_random: str = ""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one run found."""

    bundle: str
    dataset: str
    recipe: Mapping[str, object]
    folds: int
    seconds: float
    rows: Mapping[str, Mapping[str, int]]
    targets: Sequence[Target]
    techniques: Sequence[Techniques]
    separation: Sequence[Separation]
    flagged: Sequence[Flagged]
    background: Sequence[Background]
    recordings: Sequence[Recordings]
    calibration: Sequence[Calibration]
    stated: Sequence[Stated]
    operating_points: Sequence[Point]
    leaks: Sequence[str]
