"""The study of a new site as tables: means over left-out hosts, medians over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import attrgetter
from statistics import fmean, median

from connector.learn.evaluation.studies.asking import Strategy
from connector.learn.evaluation.studies.new_site import STRATEGIES, Run, Study


def lines(found: Study) -> Iterator[str]:
    """False alarms before, during and after, and what else changed."""
    hosts = (f"{name}: {events} events, {attack} of the attack" for name, (events, attack) in found.hosts.items())
    yield f"{found.bundle}; {', '.join(hosts)}; {found.distinct} distinct events; {found.base_rows} base rows"
    for place, level in enumerate(found.levels):
        yield from _level(found, place, level)
    yield ""
    yield "| asked | labels | of attacks | of false alarms | labels to halve, each host | AUC before | AUC after |"
    yield "|---|---|---|---|---|---|---|"
    for strategy in STRATEGIES:
        first = [run for run in found.runs if run.strategy == strategy and run.seed == 0]
        halves = ", ".join("never" if run.halved is None else str(run.halved) for run in first)
        counts = (_value(found, strategy, attrgetter(name)) for name in ("labels", "attacks", "causes"))
        areas = (_value(found, strategy, attrgetter(name)) for name in ("auc_before", "auc_after"))
        yield _row(strategy, *(f"{value:.0f}" for value in counts), halves, *(f"{value:.3f}" for value in areas))


def _level(found: Study, place: int, level: str) -> Iterator[str]:
    """Two tables: of the site, and of the corpora's own left-out rows."""
    alarms: tuple[Callable[[Run], float], ...] = (
        lambda run: run.before.alarms[place],
        lambda run: fmean(one.untaught.alarms[place] for one in run.rounds),
        lambda run: fmean(one.during.alarms[place] for one in run.rounds),
        lambda run: run.after.alarms[place],
        lambda run: run.elsewhere_before.alarms[place],
        lambda run: run.elsewhere_after.alarms[place],
    )
    shares: tuple[Callable[[Run], float], ...] = (
        lambda run: run.before.found[place],
        lambda run: run.after.found[place],
        lambda run: run.elsewhere_before.found[place],
        lambda run: run.elsewhere_after.found[place],
    )
    yield from ("", f"Level `{level}`, false alarms per 10,000", "")
    yield "| asked | before | during, untaught | during | after | elsewhere before | elsewhere after |"
    yield "|---|---|---|---|---|---|---|"
    for strategy in STRATEGIES:
        yield _row(strategy, *(f"{_value(found, strategy, read):.1f}" for read in alarms))
    yield from ("", f"Level `{level}`, share of attack events found", "")
    yield "| asked | before | after | elsewhere before | elsewhere after |"
    yield "|---|---|---|---|---|"
    for strategy in STRATEGIES:
        yield _row(strategy, *(f"{_value(found, strategy, read):.3f}" for read in shares))


def _value(found: Study, strategy: Strategy, read: Callable[[Run], float]) -> float:
    """The mean over the left-out hosts; of several seeds the median."""
    runs = [run for run in found.runs if run.strategy == strategy]
    return median(fmean(read(run) for run in runs if run.seed == seed) for seed in {run.seed for run in runs})


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
