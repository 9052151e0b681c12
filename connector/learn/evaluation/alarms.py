"""False alarms on whole streams of left-out sites, and whether the attacks in them are found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from connector.learn.evaluation import bootstrap
from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.malice import scaled_up
from connector.learn.evaluation.recordings import Stream
from connector.learn.evaluation.result import About, Background, Recordings

SOURCE, BASIS = "otrf", "process-tree"
STRICT = "malicious"


class Judged(NamedTuple):
    """A left-out recording, the fingerprints that its model trained on, and its distinct events at or above each level."""

    stream: Stream
    trained: frozenset[str]
    over: Mapping[str, frozenset[str]]


def background(about: About, judged: Sequence[Judged]) -> Iterator[Background]:
    """One entry for each site, then one for all of them; intervals are by recording."""
    sites: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        if one.stream.known:
            sites[one.stream.site].append(one)
    parts = [*sorted(sites.items()), ("every left-out site", [one for part in sites.values() for one in part])]
    for site, part in parts:
        if part:
            yield Background(
                **about._replace(source=SOURCE, basis=site)._asdict(),
                every=_rates(part, lambda _one, _print: True),
                absent=_rates(part, lambda one, print_: print_ not in one.trained),
                hosts=_hosts(part),
            )


def recordings(about: About, judged: Sequence[Judged]) -> Recordings:
    """The share of recordings with an attack's tree of which an event that training never saw is flagged, at each level."""
    known = [one for one in judged if one.stream.attack]
    levels = sorted({level for one in known for level in one.over})
    found = {level: np.array([bool(one.over[level] & _unseen(one)) for one in known]) for level in levels}
    names = [one.stream.recording for one in known]
    missed = [name for name, hit in zip(names, found.get(STRICT, ()), strict=False) if not hit]
    return Recordings(
        **about._replace(source=SOURCE, basis=BASIS)._asdict(),
        levels={level: bootstrap.share(hit, names) for level, hit in found.items()},
        missed=missed,
    )


def _unseen(one: Judged) -> set[str]:
    return one.stream.attack.keys() - one.trained


def _rates(part: Sequence[Judged], counts: Callable[[Judged, str], bool]) -> dict[str, Interval]:
    """False alarms per 10,000 of the background events that count, at each level."""
    events = np.array(
        [sum(n for (mark, _), n in one.stream.background.items() if counts(one, mark)) for one in part], np.float64
    )
    names = [one.stream.recording for one in part]
    rates = {}
    for level in sorted({level for one in part for level in one.over}):
        alarms = [
            sum(n for (mark, _), n in one.stream.background.items() if mark in one.over[level] and counts(one, mark))
            for one in part
        ]
        rate = scaled_up(bootstrap.ratio(np.array(alarms, np.float64), events, names))
        rates[level] = Interval(rate.value, rate.low, rate.high, int(events.sum()), rate.groups)
    return rates


def _hosts(part: Sequence[Judged]) -> list[tuple[str, int, int]]:
    events: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for one in part:
        for (mark, host), count in one.stream.background.items():
            if mark not in one.trained:
                events[host] += count
                alarms[host] += count * (mark in one.over.get(STRICT, ()))
    return [(host, count, alarms[host]) for host, count in events.most_common()]
