"""False alarms on a site that no model has seen, before, while and after analysts answer what they are asked.

Each host of the site is left out once. The other two appear one after the other, each in five parts in time: a part is
judged by the model of the moment, an analyst answers a budget of questions about its distinct events, and the model is
retrained by the quick path. After each round the host that nobody labelled is judged as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from connector.learn.dataset import Row
from connector.learn.evaluation.shipped import Bundle
from connector.learn.evaluation.studies import asking
from connector.learn.evaluation.studies.asking import Strategy
from connector.learn.evaluation.studies.learner import Answer, Judged, Learner
from connector.learn.evaluation.studies.site import Host, Site, Whole
from connector.learn.sampling import boundary_margin
from connector.models.manifest import Thresholds

STRATEGIES: Final[tuple[Strategy, ...]] = ("sampler", "random", "highest score")
BUDGET: Final = 10
"""Questions a round."""

PARTS: Final = 5
"""Rounds a host."""

LEVELS: Final = ("suspicious", "malicious")
CAUSE: Final = "benign_software"
"""What the analyst says of every false alarm."""

Floats = NDArray[np.floating]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: the bundle, the site, base rows, and rows of other sites that trained nothing. ``seeds``: of random."""

    bundle: Bundle
    site: Site
    base: Sequence[Row]
    elsewhere: Sequence[Row]
    seeds: int = 3


class Rates(msgspec.Struct, frozen=True):
    """By level: false alarms per 10,000 ordinary events, and the share of attack events found; nan where there are none."""

    alarms: tuple[float, ...]
    found: tuple[float, ...]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """The labels spent before it, the part as it was judged then, and the left-out host with these labels learnt."""

    labels: int
    during: Rates
    untaught: Rates
    left_out: Rates


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy with one host left out. ``halved``: labels until its false alarms at suspicious are half of before."""

    strategy: Strategy
    seed: int
    host: str
    labels: int
    attacks: int
    causes: int
    before: Rates
    after: Rates
    auc_before: float
    auc_after: float
    elsewhere_before: Rates
    elsewhere_after: Rates
    halved: int | None
    rounds: tuple[Round, ...]


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and on how much."""

    bundle: str
    levels: tuple[str, ...]
    budget: int
    base_rows: int
    elsewhere_rows: int
    distinct: int
    hosts: dict[str, tuple[int, int]]
    """By host: events, and how many of them are the attack's."""
    runs: tuple[Run, ...]


def study(plan: Plan) -> Study:
    """Every strategy with every host left out; random ones once a seed."""
    learner = Learner(plan.bundle, plan.site.texts, plan.site.groups, plan.base, plan.elsewhere)
    runs = []
    for strategy in STRATEGIES:
        for seed in range(plan.seeds if strategy == "random" else 1):
            for host in plan.site.hosts:
                runs.append(_Simulation(plan, learner, strategy, seed, host).run())
                print(f"{host} left out, {strategy} {seed}: {runs[-1].after.alarms[0]:.1f} per 10,000", flush=True)
    return Study(
        bundle=plan.bundle.manifest.ref,
        levels=LEVELS,
        budget=BUDGET,
        base_rows=len(plan.base),
        elsewhere_rows=len(plan.elsewhere),
        distinct=len(plan.site.texts),
        hosts={name: (len(host.places), int(host.attack.sum())) for name, host in plan.site.hosts.items()},
        runs=tuple(runs),
    )


class _Simulation:
    """One run: what was answered so far, and what the model says now."""

    def __init__(self, plan: Plan, learner: Learner, strategy: Strategy, seed: int, host: str) -> None:
        self._site, self._learner = plan.site, learner
        self._strategy, self._seed, self._host = strategy, seed, host
        self._cuts = cuts(plan.bundle.manifest.thresholds_alone)
        self._malicious = [row.malicious for row in plan.elsewhere]
        self._draw = np.random.default_rng((seed, list(plan.site.hosts).index(host)))
        self._answers: list[Answer] = []

    def run(self) -> Run:
        """All rounds of both hosts that are labelled."""
        left = self._site.hosts[self._host]
        first = now = self._learner.untaught()
        before = rates(first.site, left, self._cuts)
        rounds = []
        for name, host in self._site.hosts.items():
            for number in range(PARTS if name != self._host else 0):
                part, labels = host.part(number, PARTS), len(self._answers)
                judged = [rates(one.site, part, self._cuts) for one in (now, first)]
                self._ask(part, now)
                now = self._learner.taught(self._answers) if self._answers else first
                after = rates(now.site, left, self._cuts)
                rounds.append(Round(labels=labels, during=judged[0], untaught=judged[1], left_out=after))
        return Run(
            strategy=self._strategy,
            seed=self._seed,
            host=self._host,
            labels=len(self._answers),
            attacks=sum(answer.malicious for answer in self._answers),
            causes=sum(answer.cause is not None for answer in self._answers),
            before=before,
            after=rounds[-1].left_out,
            auc_before=_auc(first.site, left),
            auc_after=_auc(now.site, left),
            elsewhere_before=self._elsewhere(first),
            elsewhere_after=self._elsewhere(now),
            halved=halved(rounds, before, len(self._answers)),
            rounds=tuple(rounds),
        )

    def _ask(self, part: Host, now: Judged) -> None:
        """Asks about distinct events of a part that nobody was asked about; the analyst speaks of the first such event."""
        known = [answer.place for answer in self._answers]
        places, firsts = np.unique(part.places, return_index=True)
        free = ~np.isin(places, known)
        places, attack = places[free], part.attack[firsts[free]]
        for chosen in self._chosen(places, known, now):
            place, malicious = int(places[chosen]), bool(attack[chosen])
            wrong = not malicious and now.site[place] >= self._cuts[0]
            self._answers.append(Answer(place, malicious, CAUSE if wrong else None))

    def _chosen(self, places: Whole, known: Sequence[int], now: Judged) -> list[int]:
        groups = [self._site.groups[place] for place in places.tolist()]
        if self._strategy == "random":
            return asking.at_random(len(places), BUDGET, self._draw)
        if self._strategy == "highest score":
            return asking.highest(now.site[places], groups, BUDGET)
        features = self._learner.features
        margins = boundary_margin(now.site[places], self._cuts)
        return asking.by_sampler(margins, groups, features[places], features[list(known)], BUDGET)

    def _elsewhere(self, judged: Judged) -> Rates:
        told = np.array([answer is not None for answer in self._malicious], bool)
        attack = np.array([answer is True for answer in self._malicious], bool)
        rows = np.arange(len(attack), dtype=np.intp)
        return rates(judged.elsewhere, Host(rows[told], attack[told]), self._cuts)


def cuts(thresholds: Thresholds) -> list[float]:
    """The probabilities of :data:`LEVELS`."""
    levels = thresholds.levels()
    return [levels[name] for name in LEVELS]


def rates(p: Floats, host: Host, levels: Sequence[float]) -> Rates:
    """What a host's events (n,) show at each level, by p_malicious of the distinct events."""
    scores = p[host.places]
    return Rates(
        alarms=tuple(1e4 * _share(scores[~host.attack] >= level) for level in levels),
        found=tuple(_share(scores[host.attack] >= level) for level in levels),
    )


def halved(rounds: Sequence[Round], before: Rates, labels: int) -> int | None:
    """Labels from which on the left-out host's false alarms at the first level stay at half of before or less; None: never."""
    spent = [*(one.labels for one in rounds[1:]), labels]
    found = None
    for count, one in zip(spent, rounds, strict=True):
        if one.left_out.alarms[0] > before.alarms[0] / 2:
            found = None
        elif found is None:
            found = count
    return found


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def _auc(p: Floats, host: Host) -> float:
    if host.attack.all() or not host.attack.any():
        return float("nan")
    return float(roc_auc_score(host.attack, p[host.places]))
