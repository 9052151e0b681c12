"""``triaged train flow``: trees over flows, calibrated on attacks and a network that they did not see.

What ships is fitted to NSL-KDD's training file alone: it names its attacks. The CICIDS2017 sample, which says of a flow only
whether it is an attack, calibrates p_malicious together with those attacks of NSL-KDD that were left out in turn: how
much a score of trees that one testbed taught is worth elsewhere is told by what they did not see. ``KDDTest+`` and
UNSW-NB15 are measured once at the end, and decide nothing. The flows of OTRF's captures have no labels of their own: of
them it is told how many would be alarms.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from connector.learn.corpora import labelled_flows, nsl_kdd
from connector.learn.corpora.source import Corpora
from connector.learn.training.calibrate import platt
from connector.learn.training.flow import measure
from connector.learn.training.flow.fit import Floats, Flows, Recipe, copies, fit, flows_of, raw
from connector.learn.training.members import Report, TrainedMember, write_member
from connector.learn.training.provenance import source_of
from connector.learn.training.trees import to_onnx
from connector.models.flow.classes import BENIGN, Options, logits
from connector.models.flow.features import NAMES
from connector.models.flow.member import MODEL
from connector.models.manifest import HeadCalibration, Platt
from connector.ports import MemberSpec

NAME: Final = "flow"
HALF: Final = 0.5
MOST: Final = 8.0
"""Logits of techniques are kept within this before they are scaled: what lies outside is as sure."""

_FLAT: Final = 1e4
"""Inverse regularisation: none to speak of."""


class Data(msgspec.Struct, frozen=True, eq=False):
    """``train`` fits the trees, ``other`` calibrates with them, ``test`` and ``foreign`` are evaluated once; None: not there."""

    train: Flows
    other: Flows
    test: Flows
    foreign: Flows | None
    captured: Flows | None


def read(corpora: Corpora) -> Data:
    """The data sets. Raises ``ConfigError`` where one that training needs is missing."""
    foreign, captured = (corpora.holds(name) for name in (labelled_flows.UNSW, labelled_flows.CAPTURES))
    return Data(
        train=flows_of(labelled_flows.nsl_flows(nsl_kdd.read(corpora, nsl_kdd.TRAIN))),
        other=flows_of(list(labelled_flows.cicids_flows(corpora))),
        test=flows_of(labelled_flows.nsl_flows(nsl_kdd.read(corpora, nsl_kdd.TEST))),
        foreign=flows_of(list(labelled_flows.unsw_flows(corpora))) if foreign else None,
        captured=flows_of(list(labelled_flows.captured_flows(corpora))) if captured else None,
    )


def trained(corpora: Corpora, output: Path, recipe: Recipe) -> TrainedMember:
    """Fits, calibrates, measures and writes the member's folder."""
    data = read(corpora)
    table = labelled_flows.classes()
    there = [name for name in table if name in set(data.train.kinds)]
    options = Options(
        features=NAMES,
        classes=(BENIGN, *there),
        techniques={name: table[name].techniques for name in there if table[name].techniques},
    )
    labels = tuple(sorted({label for shown in options.techniques.values() for label in shown}))
    model = fit(data.train, options.classes, recipe)
    options = msgspec.structs.replace(options, calibration=calibrated(data, model, options, labels, recipe))
    output.mkdir(parents=True, exist_ok=True)
    (output / MODEL).write_bytes(to_onnx(model))
    spec = MemberSpec(name=NAME, kind=NAME, directory=NAME, labels=labels, options=msgspec.to_builtins(options))
    report = Report(
        recipe=msgspec.to_builtins(recipe),
        dataset=_digest(data),
        sources=tuple(
            source_of(corpora.sources[name], len(rows), corpora.verified)
            for name, rows in ((nsl_kdd.NAME, data.train), (labelled_flows.CICIDS, data.other))
        ),
        rows={"train": len(data.train), "calibration": len(data.other), "test": len(data.test)},
        metrics=measured(data, model, options, recipe),
    )
    return write_member(output, spec, report)


def calibrated(
    data: Data, model: HistGradientBoostingClassifier, options: Options, labels: tuple[str, ...], recipe: Recipe
) -> HeadCalibration:
    """Platt scaling at a prevalence of one half, on rows that the trees did not see.

    p_malicious: on NSL-KDD's attacks left out by name, and on the other network. Techniques: on rows left out by group,
    since no other source names any.
    """
    places, scores = measure.unseen(data.train, measure.attack_folds(data.train, recipe.seed), options.classes, recipe)
    malicious = _slope_of_both(
        [
            (logits(scores, options, labels)[0], data.train.at(places)),
            (logits(raw(model, data.other), options, labels)[0], data.other),
        ]
    )
    places, scores = measure.unseen(data.train, measure.group_folds(data.train, recipe.seed), options.classes, recipe)
    return HeadCalibration(
        malicious=malicious, techniques=_of_techniques(data.train.at(places), scores, options, labels)
    )


def _slope_of_both(parts: list[tuple[Floats, Flows]]) -> Platt:
    """One slope for both sources, an intercept for each, and the first one's is kept.

    The second has no ports, protocols and outcomes: that shifts its scores, and no flow that is served is so poor.
    """
    values = np.concatenate(
        [np.stack([found, np.full(len(found), place)], 1) for place, (found, _) in enumerate(parts)]
    )
    truth = np.concatenate([flows.malicious for _, flows in parts])
    weight = np.concatenate([_balanced(copies(flows), flows.malicious) for _, flows in parts])
    model = LogisticRegression(C=_FLAT, max_iter=500).fit(values, truth, sample_weight=weight * len(truth))
    slope = float(model.coef_[0, 0])
    return Platt(a=slope, b=float(model.intercept_[0])) if slope > 0 else Platt(a=0.0)


def _of_techniques(held: Flows, scores: Floats, options: Options, labels: tuple[str, ...]) -> Platt:
    """One scaling for all techniques at their own frequency, on the cells whose classes the fold's trees knew."""
    _, found = logits(scores, options, labels)
    values, truths, weights = [], [], []
    for column, label in enumerate(labels):
        own = [label in options.techniques.get(name, ()) for name in options.classes]
        known = scores[:, own].max(axis=1) > measure.ABSENT
        truth = np.isin(held.kinds, [name for name, shown in zip(options.classes, own, strict=True) if shown])[known]
        if truth.any():
            values.append(np.clip(found[known, column], -MOST, MOST))
            truths.append(truth)
            weights.append(copies(held)[known])
    weight = np.concatenate(weights)
    return platt(
        np.concatenate(values).astype(np.float32),
        np.concatenate(truths).astype(np.float32),
        (weight * len(weight) / weight.sum()).astype(np.float32),
    )


def measured(data: Data, model: HistGradientBoostingClassifier, options: Options, recipe: Recipe) -> Mapping[str, Any]:
    """Every figure, by how far what was measured lies from what was learnt."""
    found: dict[str, Any] = {}
    for name, folds in (("left out by group", measure.group_folds), ("left out by attack", measure.attack_folds)):
        places, scores = measure.unseen(data.train, folds(data.train, recipe.seed), options.classes, recipe)
        found[f"NSL-KDD train, {name}"] = measure.told(data.train.at(places), scores, options)
    found["NSL-KDD Test+"] = measure.told(data.test, raw(model, data.test), options)
    found["CICIDS2017 sample"] = measure.told(data.other, raw(model, data.other), options)
    if data.foreign is not None:
        scores = raw(model, data.foreign)
        found["UNSW-NB15"] = measure.told(data.foreign, scores, options)
        found["UNSW-NB15 by category"] = measure.by_name(data.foreign, scores, options)
    if data.captured is not None:
        found["OTRF captures"] = measure.alarms(data.captured, raw(model, data.captured), options)
    return found


def _balanced(weight: Floats, truth: Any) -> Floats:
    """Weights under which either side counts one half."""
    sides = np.where(truth, weight[truth].sum(), weight[~truth].sum())
    found: Floats = HALF * weight / sides
    return found


def _digest(data: Data) -> str:
    """SHA-256 of the rows that were fitted and calibrated on."""
    digest = hashlib.sha256()
    for flows in (data.train, data.other):
        digest.update(flows.features.tobytes())
        digest.update("\n".join(f"{name} {count}" for name, count in sorted(Counter(flows.kinds).items())).encode())
        digest.update("\n".join(flows.kinds).encode())
    return digest.hexdigest()
