"""Each member alone, all without each, and the ensemble, out of fold with levels of their own, on the same left-out events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation import bootstrap
from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.curves import Ranked
from connector.learn.evaluation.ensemble.incidents import PER, Named, Raised, replayed
from connector.learn.training.ensemble.combiners import SUM
from connector.learn.training.ensemble.crossfit import Tried, asked, distinct, fitted, joined, rows_of
from connector.learn.training.ensemble.operate import Operating, Said, operating
from connector.learn.training.ensemble.opinions import TEXT, Fold, truth
from connector.learn.training.ensemble.recorded import Recorded
from connector.models.calibration import logit

BASIS: Final = "process-tree"
FEW: Final = 200
"""Resamples of whole recordings."""

EVERYTHING, SINGLE, CAMPAIGN = "everything", "single-technique", "campaign"


class Precision(msgspec.Struct, frozen=True, kw_only=True):
    """Average precision and AUC of p_malicious over distinct events of left-out recordings; ``chance`` is a coin's precision."""

    model: str
    set: str
    basis: str
    recordings: int
    attack: int
    background: int
    average_precision: Interval
    auc: Interval
    chance: float


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One model over all recordings of a set. ``raised`` at all, ``in_time`` within 20 events or a tenth; ``false`` incidents.

    ``opened`` are incidents that background opened before the attack joined them: neither false nor wholly the attack's.
    """

    model: str
    set: str
    recordings: int
    raised: Interval
    in_time: Interval
    false: int
    opened: int
    background: int
    per_100k: float


class Model(msgspec.Struct, frozen=True, eq=False):
    """What one model says of every fold, and the operating point of each fold, set on the others."""

    name: str
    members: tuple[str, ...]
    said: Mapping[str, Said]
    points: Mapping[str, Operating]


def models(recorded: Recorded, folds: Sequence[Fold], best: Tried, members: Sequence[str]) -> list[Model]:
    """Each member alone, the sum of logits without each of them, and what was chosen over all members."""
    found: list[tuple[str, tuple[str, ...], Mapping[str, Said]]] = [
        (name, (name,), _alone(folds, name)) for name in members
    ]
    if len(members) > 2:
        rests = [tuple(name for name in members if name != left) for left in reversed(members)]
        found += [(" and ".join(rest), rest, _sum(recorded, folds, rest)) for rest in rests]
    found.append(("ensemble", tuple(members), best.said))
    return [Model(name, of, said, _points(recorded, folds, said)) for name, of, said in found]


def precisions(recorded: Recorded, folds: Sequence[Fold], found: Sequence[Model]) -> list[Precision]:
    """Average precision by set, on the same events for every model."""
    measured = []
    for name in (EVERYTHING, SINGLE, CAMPAIGN):
        wanted = {number for number, part in enumerate(recorded.parts) if name in {EVERYTHING, part.set}}
        for model in found:
            parts = [distinct(recorded, fold, model.said[fold.name].logits, wanted.__contains__) for fold in folds]
            truths = np.concatenate([part[0] for part in parts])
            scores = np.concatenate([part[1] for part in parts])
            groups = [group for part in parts for group in part[2]]
            if 0 < truths.sum() < len(truths):
                measured.append(_precision(model.name, name, truths, scores, groups))
    return measured


def incidents(recorded: Recorded, folds: Sequence[Fold], model: Model, threshold: float) -> list[Raised]:
    """Every recording through the entity view, by one model. ``threshold`` is the one that a technique must pass."""
    found = []
    for fold in folds:
        point = model.points[fold.name]
        p_malicious = point.p_malicious(model.said[fold.name].logits)
        found += replayed(recorded, fold, p_malicious, point.levels, passing(fold, model.members, threshold))
    return found


def summed(model: str, raised: Sequence[Raised]) -> list[Found]:
    """The recordings of each set together."""
    found = []
    for name in (EVERYTHING, SINGLE, CAMPAIGN):
        mine = [one for one in raised if one.attack and name in {EVERYTHING, one.set}]
        if mine:
            groups = [one.recording for one in mine]
            background = sum(one.background for one in mine)
            false = sum(one.false for one in mine)
            found.append(
                Found(
                    model=model,
                    set=name,
                    recordings=len(mine),
                    raised=bootstrap.share(np.array([one.after is not None for one in mine]), groups),
                    in_time=bootstrap.share(np.array([one.in_time for one in mine]), groups),
                    false=false,
                    opened=sum(one.opened for one in mine),
                    background=background,
                    per_100k=PER * false / max(background, 1),
                )
            )
    return found


def passing(fold: Fold, members: Sequence[str], threshold: float) -> Named:
    """The parents that pass, likeliest first; of each technique the highest probability that a member gives it."""

    def named(chosen: NDArray[np.intp]) -> list[tuple[str, ...]]:
        best: list[dict[str, float]] = [{} for _ in range(len(chosen))]
        for member in members:
            said = np.nan_to_num(fold.techniques(member, chosen))
            for row, column in zip(*np.nonzero(said >= threshold), strict=True):
                parent = fold.labels[member][column].partition(".")[0]
                best[row][parent] = max(best[row].get(parent, 0.0), float(said[row, column]))
        return [tuple(sorted(found, key=lambda name: (-found[name], name))) for found in best]

    return named


def _alone(folds: Sequence[Fold], member: str) -> dict[str, Said]:
    nobody = np.full(0, np.nan)
    return {
        fold.name: Said(
            logit(fold.p_malicious(member)),
            logit(fold.administration.p_malicious) if member == TEXT else nobody,
        )
        for fold in folds
    }


def _sum(recorded: Recorded, folds: Sequence[Fold], members: Sequence[str]) -> dict[str, Said]:
    rows = joined([rows_of(recorded, folds[0], members)])
    return {fold.name: asked(fitted(SUM, rows, len(members)), fold, members) for fold in folds}


def _points(recorded: Recorded, folds: Sequence[Fold], said: Mapping[str, Said]) -> dict[str, Operating]:
    points = {}
    for fold in folds:
        others = [other for other in folds if other.name != fold.name]
        points[fold.name] = point_of(recorded, others, said)
    return points


def point_of(recorded: Recorded, folds: Sequence[Fold], said: Mapping[str, Said]) -> Operating:
    """The operating point that some folds' own out-of-fold logits ask for."""
    groups = [recorded.part[fold.events] for fold in folds]
    return operating([said[fold.name] for fold in folds], [truth(recorded, fold) for fold in folds], groups)


def _precision(
    model: str, name: str, truths: NDArray[np.bool_], scores: NDArray[np.float64], groups: Sequence[str]
) -> Precision:
    ranked, weight = Ranked(scores, truths), np.ones(len(truths))
    return Precision(
        model=model,
        set=name,
        basis=BASIS,
        recordings=len(set(groups)),
        attack=int(truths.sum()),
        background=int((~truths).sum()),
        average_precision=bootstrap.statistic(ranked.average_precision, weight, groups, FEW),
        auc=bootstrap.statistic(ranked.auc, weight, groups, FEW),
        chance=float(truths.mean()),
    )
