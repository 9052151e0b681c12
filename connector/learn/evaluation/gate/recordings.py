"""Bundles of several members, judged on whole recordings that no weights were fitted on: member by member, and together.

Rows of a dataset have texts alone. A member that reads a host's past, a rule that matches a field, or bytes of a payload
needs the events as they came: each recording is played through each bundle in order, with the state that its members keep.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.corpora import otrf
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.curves import Ranked
from connector.learn.evaluation.gate.checks import ALARMS, LEAST_GROUPS, MARGIN, PER
from connector.learn.evaluation.gate.compared import Demand, Weighed, bound, mean, statistic
from connector.learn.evaluation.gate.report import Check
from connector.learn.streams import Labelled, streams, trains
from connector.learn.training.calibrate import FALSE_ALARMS
from connector.learn.training.members import RECORDINGS
from connector.models.bundle import Bundle
from connector.models.manifest import Manifest

BATCH: Final = 500
WHOLE: Final = "the whole bundle"

_UNSEEN: Final = -1.0
"""What a member without a view says: less than anything."""

Recording = tuple[str, Iterable[Labelled]]


class Heard(msgspec.Struct, frozen=True, eq=False):
    """What one bundle says of all events whose side is known: by member, and together; (n,) probabilities at its own prevalence."""

    said: Mapping[str, NDArray[np.float64]]
    attack: NDArray[np.bool_]
    groups: Sequence[str]
    levels: Mapping[str, float]


class Recordings(msgspec.Struct, frozen=True):
    """Recordings to play, as often as there are bundles, and what they are in one word."""

    digest: str
    read: Callable[[], Iterable[Recording]]


def left_out(corpora: Corpora, seed: int, judged: Sequence[Manifest]) -> Recordings:
    """The recordings of the splits that set no weights, each with its name, where the attack is known.

    Those that a bundle says it was fitted on all the same are left out of both.
    """
    fitted = {name for manifest in judged for name in _fitted(manifest)}

    def read() -> Iterator[Recording]:
        for stream in streams(corpora):
            if not stream.reason and not trains(stream.name, stream.set, seed) and stream.name not in fitted:
                yield stream.name, stream

    kept = hashlib.sha256("\n".join(sorted(fitted)).encode()).hexdigest()[:16]
    return Recordings(f"{corpora.sources[otrf.NAME].sha256} {seed} {kept}", read)


def heard(bundle: Bundle, recordings: Iterable[Recording]) -> Heard:
    """Every recording through the bundle, each with fresh state, in batches as the daemon has them."""
    said: dict[str, list[float]] = {name: [] for name in (WHOLE, *bundle.members)}
    attack: list[bool] = []
    groups: list[str] = []
    for name, recording in recordings:
        states: dict[str, dict[str, tuple[int, bytes]]] = {}
        rest = iter(recording)
        while batch := list(islice(rest, BATCH)):
            predictions, changes = bundle.predict([one.event for one in batch], states)
            for member, change in changes.items():
                kept = states.setdefault(member, {})
                kept.update({key: (version + 1, value) for key, (version, value) in change.rows.items()})
            for one, prediction in zip(batch, predictions, strict=True):
                if one.label != "unclear":
                    attack.append(one.label == "attack")
                    groups.append(name)
                    said[WHOLE].append(prediction.p_malicious)
                    for member, vote in prediction.members.items():
                        said[member].append(np.nan if vote is None else vote)
    found = {name: np.nan_to_num(np.array(values, np.float64), nan=_UNSEEN) for name, values in said.items()}
    return Heard(found, np.array(attack, bool), groups, bundle.thresholds.levels())


def unjudged(challenger: Manifest, incumbent: Manifest) -> Check:
    """What only events can judge, where there are none: what differs from the incumbent's, beside the reader.

    A member that is new, gone or another; and, where there is such a member, the levels and the calibration of what all say.
    """
    told = (_members(challenger), _members(incumbent))
    changed = [name for name in told[0].keys() | told[1].keys() if told[0].get(name) != told[1].get(name)]
    if any(told):
        changed += [
            name for name in ("thresholds", "calibration") if getattr(challenger, name) != getattr(incumbent, name)
        ]
    names = ", ".join(sorted(changed))
    return bound(
        f"parts that texts cannot judge{names and f' ({names})'}: name recordings with --corpora",
        "at most",
        len(changed),
        0,
    )


def checked(challenger: Heard, incumbent: Heard) -> Iterator[Check]:
    """Each member that both have, and the whole: ranking of attack events, recall and false alarms at each level."""
    groups, attack = challenger.groups, challenger.attack
    enough = min(len({g for g, a in zip(groups, attack, strict=True) if bool(a) is side}) for side in (True, False))
    yield bound("recordings of left-out attacks", "at least", enough, LEAST_GROUPS)
    if not enough:
        return
    every = Weighed.by_group(groups)
    for name in sorted(challenger.said.keys() & incumbent.said.keys(), key=lambda one: (one != WHOLE, one)):
        pair = (challenger.said[name], incumbent.said[name])
        areas = tuple(Ranked(values, attack).average_precision for values in pair)
        yield statistic(
            f"average precision on recordings, {name}", (areas[0], areas[1]), every, Demand(MARGIN, part=True)
        )
    for level, stated in FALSE_ALARMS.items():
        over = [one.said[WHOLE] >= one.levels[level] for one in (challenger, incumbent)]
        for what, side, scale, demand in (
            ("recall", attack, 1.0, Demand(MARGIN, part=True)),
            ("false alarms per 10,000", ~attack, PER, Demand(ALARMS * stated, part=True, good=False)),
        ):
            places = np.flatnonzero(side)
            part = Weighed.by_group([groups[place] for place in places.tolist()])
            yield mean(
                f"{what} on recordings at {level}", (over[0][places] * scale, over[1][places] * scale), part, demand
            )


def _fitted(manifest: Manifest) -> set[str]:
    """The recordings that a bundle's members, or what combines them, say that they were fitted on."""
    told = [*manifest.metrics.get("members", {}).values(), manifest.metrics.get("ensemble", {})]
    return {name for one in told for name in one.get(RECORDINGS, ())}


def _members(manifest: Manifest) -> dict[str, Any]:
    """What each member beside the one that reads texts is: its options and its files."""
    return {
        spec.name: (spec, sorted(item for item in manifest.files.items() if item[0].startswith(f"{spec.directory}/")))
        for spec in manifest.members
        if spec.kind not in {"text", "phishing"}
    }
