"""What each level of the text member costs on a site's stream, and the site's logit that makes it cost what it should.

A layer changes that member's vote and nothing else, so its levels are those of what the member says by itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.models.calibration import logit, prior_shift
from connector.models.manifest import Manifest
from connector.models.site import Level

TAIL_SHARE, TAIL_ROWS = 0.05, 5
"""Beyond the last rows that were seen, alarms are taken to thin out as an exponential: the mean excess of this tail."""

LEAST_GAP = 1e-3
"""Two levels never fall together, or no logit between them could be told."""

Floats = NDArray[np.float64]


class Sample(msgspec.Struct, frozen=True):
    """A stream's distinct events on which no rule fires: logits before and after the layer, weights; all (n,).

    ``alarms``: on how many hosts and days each passed, since a repeated alarm there is one alarm, and repeating an event
    must not lift a level out of its own way. ``lone``: one host or one day alone showed it. ``events`` are all that passed.
    """

    before: Floats
    after: Floats
    alarms: Floats
    lone: NDArray[np.bool_]
    events: int


def levels(sample: Sample, manifest: Manifest, budget: float | None) -> Mapping[str, Level]:
    """Every level of the text member, as it stands here.

    A level costs here what it cost before the layer: its logit moves as the quantile moves that it stands at. Where what
    recurs on several hosts or days alone costs more than the bundle states, it rises until that costs what is stated. With
    a ``budget`` (alarms of level malicious per 10,000 events) it costs that, the other levels in the stated proportion.
    Where rules fire on all that passed, every level stays where it is.
    """
    votes = {name: vote_of(level, manifest) for name, level in manifest.thresholds_alone.levels().items()}
    if not len(sample.before):
        return {name: Level(per_10000=0.0, before=0.0, after=0.0, here=own, bundle=own) for name, own in votes.items()}
    stated = manifest.thresholds_alone.false_alarms
    found: dict[str, Level] = {}
    floor = -math.inf
    for name, own in votes.items():
        now = rate_at(sample.before, sample.alarms, own, sample.events)
        if budget is None:
            here, wanted = max(_moved(sample, own, now), _at_most(sample, stated[name])), min(now, stated[name])
        else:
            wanted = budget * stated[name] / stated["malicious"]
            here = cut_at(sample.after, sample.alarms, wanted, sample.events)
        here = max(here, floor + LEAST_GAP)
        floor = here
        found[name] = Level(
            per_10000=wanted,
            before=now,
            after=rate_at(sample.after, sample.alarms, here, sample.events),
            here=here,
            bundle=own,
        )
    return found


def _moved(sample: Sample, own: float, now: float) -> float:
    """The level's own logit, moved as far as its quantile; the last quantile that was seen where it lies beyond."""
    rate = max(now, 1e4 * TAIL_ROWS / sample.events)
    after, before = (cut_at(side, sample.alarms, rate, sample.events) for side in (sample.after, sample.before))
    return own + after - before


def _at_most(sample: Sample, per_10000: float) -> float:
    """The lowest cut at which what recurs costs no more; nothing recurs on a stream of one host and one day."""
    mine = ~sample.lone
    if not mine.any():
        return -math.inf
    alarms = sample.alarms[mine]
    if 1e4 * float(alarms.sum()) / sample.events <= per_10000:
        return -math.inf
    return cut_at(sample.after[mine], alarms, per_10000, sample.events)


def vote_of(threshold: float, manifest: Manifest) -> float:
    """The logit of the text member's vote that a threshold of what it says by itself stands for."""
    alone = manifest.calibration_alone
    platt = alone.malicious
    return (float(logit(np.array([threshold]))[0]) - prior_shift(alone) - platt.b) / platt.a


def rate_at(logits: Floats, alarms: Floats, cut: float, events: float) -> float:
    """Alarms per 10,000 events at a cut."""
    return 1e4 * float(alarms[logits >= cut].sum()) / events


def cut_at(logits: Floats, alarms: Floats, per_10000: float, events: float) -> float:
    """The lowest cut at which 10,000 events give no more alarms; beyond what was seen, by the tail's mean excess.

    Source: Balkema, de Haan, Residual life time at great age, 1974, for tails that thin out exponentially.
    """
    order = np.argsort(-logits, kind="stable")
    weight = alarms[order] / events
    above = np.cumsum(weight)
    rate = per_10000 / 1e4
    place = int(np.searchsorted(above, rate, side="right"))
    if place >= TAIL_ROWS:
        return float(np.nextafter(logits[order[min(place, len(order) - 1)]], math.inf))
    start = min(max(int(np.searchsorted(above, TAIL_SHARE)), TAIL_ROWS), len(order) - 1)
    base = float(logits[order[start]])
    tail = slice(0, start + 1)
    excess = float(np.average(logits[order[tail]] - base, weights=weight[tail]))
    return base + excess * math.log(max(float(weight[tail].sum()) / max(rate, 1e-9), 1.0))
