"""Malicious against benign: separation within one kind of event, what is flagged, and whether probabilities hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.evaluation import bootstrap, calibration, curves
from connector.learn.evaluation.bootstrap import Floats
from connector.learn.evaluation.fitting import Predicted
from connector.learn.evaluation.result import About, Calibration, Flagged, Head, Separation, Stated
from connector.learn.evaluation.truth import group_of, parents
from connector.learn.training.calibrate import FALSE_ALARMS, stream_weights

LEAST, LEAST_GROUPS = 20, 5
"""A kind, a basis or a source with fewer rows of a side, or fewer groups, is not reported by itself."""

PER = 10_000


def separation(about: About, rows: Sequence[Row], found: Predicted) -> Iterator[Separation]:
    """One entry for each kind of event that has both sides; every source whose rows have that kind takes part."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.malicious is not None:
            kinds[row.kind].append(number)
    for kind, numbers in sorted(kinds.items()):
        truth = np.array([bool(rows[number].malicious) for number in numbers])
        if min(truth.sum(), (~truth).sum()) < LEAST:
            continue
        score, groups, weight = found.malicious[numbers], [group_of(rows[n]) for n in numbers], np.ones(len(numbers))
        ranked = curves.Ranked(score, truth)
        curve = curves.thinned(curves.precision_recall(score, truth, weight))
        yield Separation(
            **about._replace(source="every source with this kind", basis="every basis")._asdict(),
            kind=kind,
            malicious=int(truth.sum()),
            benign=int((~truth).sum()),
            auc=bootstrap.statistic(ranked.auc, weight, groups),
            average_precision=bootstrap.statistic(ranked.average_precision, weight, groups),
            curve=list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)),
        )


def flagged(about: About, rows: Sequence[Row], found: Predicted) -> Iterator[Flagged]:
    """Rows per 10,000 at or above each level, for each source, basis and side."""
    parts: dict[tuple[str, str, bool], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.malicious is not None:
            parts[row.source, row.basis, row.malicious].append(number)
    for (source, basis, malicious), numbers in sorted(parts.items()):
        if len(numbers) >= LEAST:
            groups = [group_of(rows[number]) for number in numbers]
            levels = {level: scaled_up(bootstrap.share(over[numbers], groups)) for level, over in found.over.items()}
            place = about._replace(source=source, basis=basis)
            yield Flagged(**place._asdict(), malicious=malicious, levels=levels)


def stated(about: About, rows: Sequence[Row], found: Predicted) -> Iterator[Stated]:
    """The false alarms of each level on benign rows, weighted as the stream that thresholds are set for."""
    numbers = [number for number, row in enumerate(rows) if row.malicious is False]
    if len(numbers) < LEAST:
        return
    benign = [rows[number] for number in numbers]
    weight, groups = stream_weights(benign), [group_of(row) for row in benign]
    for level, marks in found.over.items():
        over = weight * marks[numbers]
        yield Stated(
            **about._replace(
                source="every benign source", basis="administration 1 in 20, telemetry the rest"
            )._asdict(),
            level=level,
            stated=FALSE_ALARMS[level],
            observed=scaled_up(bootstrap.ratio(over, weight, groups)),
        )


def reliable(about: About, rows: Sequence[Row], found: Predicted) -> Iterator[Calibration]:
    """Both heads on all rows together, then on each source with both sides."""
    sources = ["", *sorted({row.source for row in rows})]
    for source in sources:
        numbers = [number for number, row in enumerate(rows) if not source or row.source == source]
        part, said = [rows[number] for number in numbers], found.part(np.array(numbers, np.intp))
        place = about._replace(source=source or "every source", basis="every basis")
        yield from _malicious(place, part, said)
        yield from _technique(place, part, said)


def _malicious(about: About, rows: Sequence[Row], found: Predicted) -> Iterator[Calibration]:
    numbers = [number for number, row in enumerate(rows) if row.malicious is not None]
    truth = np.array([bool(rows[number].malicious) for number in numbers], bool)
    groups = [group_of(rows[number]) for number in numbers]
    sides = [
        {group for group, side in zip(groups, truth, strict=True) if bool(side) is wanted} for wanted in (True, False)
    ]
    if min(map(len, sides)) < LEAST_GROUPS:
        return
    said = calibration.at_half(found.malicious[numbers], found.prevalence)
    weight = calibration.halved(calibration.by_group(groups), truth)
    yield _entry(about, "malicious", _Said(said, truth, weight, groups))


def _technique(about: About, rows: Sequence[Row], found: Predicted) -> Iterator[Calibration]:
    numbers = [number for number, row in enumerate(rows) if row.techniques]
    groups = [group_of(rows[number]) for number in numbers]
    if len(set(groups)) < 2 * LEAST_GROUPS:
        return
    best = found.techniques[numbers].argmax(1)
    said = found.techniques[numbers, best].astype(np.float64)
    right = np.array([found.names[place] in parents(rows[n]) for place, n in zip(best.tolist(), numbers, strict=True)])
    yield _entry(about, "technique", _Said(said, right, calibration.by_group(groups), groups))


class _Said(NamedTuple):
    """Probabilities (n,), whether each was true, the rows' weights and their groups."""

    said: Floats
    truth: NDArray[np.bool_]
    weight: Floats
    groups: Sequence[tuple[str, str]]


def _entry(about: About, head: Head, rows: _Said) -> Calibration:
    said, _, weight, groups = rows
    seen = rows.truth.astype(np.float64)
    binned = calibration.Binned(said)
    ece = bootstrap.statistic(lambda w: binned.ece(seen, w), weight, groups)
    perfect = float(calibration.perfect_ece(said, weight, groups).mean())
    return Calibration(
        **about._asdict(),
        head=head,
        ece=ece,
        perfect=perfect,
        perfect_by_group=float(calibration.perfect_ece(said, weight, groups, together=True).mean()),
        excess=ece.value - perfect,
        brier_skill=bootstrap.statistic(lambda w: calibration.brier_skill(said, seen, w), weight, groups),
        bins=calibration.reliability(said, seen, weight),
    )


def scaled_up(found: bootstrap.Interval) -> bootstrap.Interval:
    """A share as a number per 10,000."""
    return bootstrap.Interval(found.value * PER, found.low * PER, found.high * PER, found.rows, found.groups)
