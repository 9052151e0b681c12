"""What matters of a bundle, check by check. Every file, recording or rule counts once, however long it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.evaluation import calibration, curves
from connector.learn.evaluation.bootstrap import Floats
from connector.learn.evaluation.gate.compared import Demand, Weighed, bound, mean, statistic
from connector.learn.evaluation.gate.report import Check
from connector.learn.evaluation.gate.said import Said
from connector.learn.evaluation.truth import group_of, parents
from connector.learn.training.calibrate import FALSE_ALARMS, stream_weights
from connector.models.manifest import Manifest

MARGIN: Final = 0.02
"""Two points: what a rate may lose at most."""

ALARMS: Final = 1.0
"""False alarms that may be added at each level, as a share of the rate that the level states."""

BRIER: Final = 0.01
"""Squared error that may be added."""

LEAST_SHOWN, LEAST_NEWEST = 10, 5
"""Groups of labelled closures below which a challenger that was shown closures is refused: too few to learn from, or to
judge by. One alert that is closed many times is one group."""

LEAST_GROUPS: Final = 10
"""Parts of fewer independent groups are not judged by themselves."""

PER: Final = 10_000.0

LEAST_PROOF: Final = 20
"""Independent groups of attacks, and of benign rows, below which nothing is proven by drawing groups anew."""

Places = NDArray[np.intp]


def labels(challenger: Manifest, incumbent: Manifest) -> Iterator[Check]:
    """No technique that the incumbent knows is lost, and no member."""
    lost = set(incumbent.labels) - set(challenger.labels)
    yield bound("techniques that are no longer known", "at most", len(lost), 0)
    gone = {spec.name for spec in incumbent.members} - {spec.name for spec in challenger.members}
    yield bound("members that are gone", "at most", len(gone), 0)


def closures(shown: Sequence[Row], newest: Sequence[Row]) -> Iterator[Check]:
    """Enough labels, where closures were learnt from at all."""
    if shown or newest:
        for name, rows, least in (("shown", shown, LEAST_SHOWN), ("left out, the newest", newest, LEAST_NEWEST)):
            found = {group_of(rows[place]) for place in _labelled(rows)}
            yield bound(f"groups of labelled closures {name}", "at least", len(found), least)


def groups(rows: Sequence[Row]) -> Iterator[Check]:
    """Enough files, recordings and rules of each side to prove anything by."""
    for side, name in ((True, "attacks"), (False, "benign rows")):
        found = {group_of(row) for row in rows if row.malicious is side}
        yield bound(f"groups of left-out {name}", "at least", len(found), LEAST_PROOF)


def techniques(rows: Sequence[Row], challenger: Said, incumbent: Said) -> Iterator[Check]:
    """The right parent technique first, and among the first three: on all rows, then by source."""
    places = np.flatnonzero([bool(row.techniques) for row in rows])
    for top in (1, 3):
        hits = [_hits(rows, places, one, top) for one in (challenger, incumbent)]
        for name, part in _parts(rows, places, lambda row: row.source):
            pair = (hits[0][part], hits[1][part])
            yield mean(f"technique, top-{top}{_of(name)}", pair, _weighed(rows, places[part]), _demand(name))


def malice(rows: Sequence[Row], challenger: Said, incumbent: Said) -> Iterator[Check]:
    """Malicious against benign: AUC on all rows and by kind of event; recall at each level, on all and by source."""
    places = _labelled(rows)
    truth = _truth(rows, places)
    for name, part in _parts(rows, places, lambda row: row.kind):
        sides = ({group_of(rows[place]) for place in places[part][truth[part] == side]} for side in (True, False))
        if min(map(len, sides)) >= LEAST_GROUPS:
            ranked = [curves.Ranked(one.malicious[places[part]], truth[part]) for one in (challenger, incumbent)]
            areas = (ranked[0].auc, ranked[1].auc)
            yield statistic(f"AUC of malice{_of(name)}", areas, _weighed(rows, places[part]), _demand(name))
    attacks = places[truth]
    for level in FALSE_ALARMS:
        for name, part in _parts(rows, attacks, lambda row: row.source):
            pair = (challenger.over[level][attacks[part]], incumbent.over[level][attacks[part]])
            yield mean(f"recall at {level}{_of(name)}", pair, _weighed(rows, attacks[part]), _demand(name))


def alarms(rows: Sequence[Row], challenger: Said, incumbent: Said) -> Iterator[Check]:
    """False alarms per 10,000 of the stream that levels are set for, then the share of each basis' benign rows."""
    places = np.flatnonzero([row.malicious is False for row in rows])
    if not len(places):
        return
    stream = Weighed(stream_weights([rows[place] for place in places.tolist()]), _weighed(rows, places).groups)
    for level, stated in FALSE_ALARMS.items():
        rates = (challenger.over[level][places] * PER, incumbent.over[level][places] * PER)
        yield mean(f"false alarms per 10,000 at {level}", rates, stream, Demand(ALARMS * stated, good=False))
    for name, part in _parts(rows, places, lambda row: row.basis):
        if name:
            pair = (challenger.over["suspicious"][places[part]], incumbent.over["suspicious"][places[part]])
            demand = Demand(MARGIN, part=True, good=False)
            yield mean(f"benign rows called suspicious, {name}", pair, _weighed(rows, places[part]), demand)


def calibrated(rows: Sequence[Row], challenger: Said, incumbent: Said) -> Iterator[Check]:
    """Whether p_malicious still means what it says, at prior one half: Brier score and calibration error."""
    places = _labelled(rows)
    truth = _truth(rows, places)
    if not 0 < truth.sum() < len(truth):
        return
    groups = _weighed(rows, places).groups
    halves = Weighed(calibration.halved(calibration.by_group(groups), truth), groups)
    said, seen = (challenger.malicious[places], incumbent.malicious[places]), truth.astype(np.float64)
    squares = ((said[0] - seen) ** 2, (said[1] - seen) ** 2)
    yield mean("Brier score of malice", squares, halves, Demand(BRIER, good=False))
    errors = (_ece(said[0], seen), _ece(said[1], seen))
    yield statistic("calibration error of malice", errors, halves, Demand(MARGIN, good=False))


def newest(rows: Sequence[Row], challenger: Said, incumbent: Said) -> Iterator[Check]:
    """The newest closures: right or wrong at each level, how far off, and the technique among the first three."""
    places = _labelled(rows)
    if len(places):
        truth, each = _truth(rows, places), Weighed(np.ones(len(places)), _weighed(rows, places).groups)
        for level in FALSE_ALARMS:
            right = (challenger.over[level][places] == truth, incumbent.over[level][places] == truth)
            yield mean(f"newest closures judged rightly at {level}", right, each, Demand(MARGIN, part=True))
        squares = ((challenger.malicious[places] - truth) ** 2, (incumbent.malicious[places] - truth) ** 2)
        yield mean("newest closures, Brier score", squares, each, Demand(BRIER, part=True, good=False))
    named = np.flatnonzero([bool(row.techniques) for row in rows])
    if len(named):
        hits = (_hits(rows, named, challenger, 3), _hits(rows, named, incumbent, 3))
        each = Weighed(np.ones(len(named)), _weighed(rows, named).groups)
        yield mean("newest closures, technique, top-3", hits, each, Demand(MARGIN, part=True))


def _demand(part: str) -> Demand:
    """On all rows it is proven; on a part of them, it must not be surely otherwise."""
    return Demand(MARGIN, part=bool(part))


def _labelled(rows: Sequence[Row]) -> Places:
    return np.flatnonzero([row.malicious is not None for row in rows])


def _truth(rows: Sequence[Row], places: Places) -> NDArray[np.bool_]:
    return np.array([rows[place].malicious is True for place in places], bool)


def _weighed(rows: Sequence[Row], places: Places) -> Weighed:
    return Weighed.by_group([group_of(rows[place]) for place in places])


def _ece(said: Floats, seen: Floats) -> Callable[[Floats], float]:
    binned = calibration.Binned(said)
    return lambda weight: binned.ece(seen, weight)


def _hits(rows: Sequence[Row], places: Places, said: Said, top: int) -> NDArray[np.bool_]:
    """Whether a right parent is among the first ``top`` (k,), for the rows at k places."""
    best = np.argsort(-said.techniques[places], axis=1, kind="stable")[:, :top].tolist()
    wanted = (parents(rows[place]) for place in places)
    return np.array(
        [any(said.names[column] in want for column in row) for row, want in zip(best, wanted, strict=True)], bool
    )


def _parts(rows: Sequence[Row], places: Places, key: Callable[[Row], str]) -> Iterator[tuple[str, Places]]:
    """All places (name empty), then those of each part with enough groups; given as positions in ``places``."""
    if not len(places):
        return
    yield "", np.arange(len(places))
    parts: dict[str, list[int]] = defaultdict(list)
    for position, place in enumerate(places):
        parts[key(rows[place])].append(position)
    for name, positions in sorted(parts.items()):
        if len({group_of(rows[places[position]]) for position in positions}) >= LEAST_GROUPS:
            yield name, np.array(positions, np.intp)


def _of(name: str) -> str:
    return f", {name}" if name else ""
