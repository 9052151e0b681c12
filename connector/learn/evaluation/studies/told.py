"""The studies' results as tables: means over left-out hosts, medians over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from statistics import fmean, median
from typing import Final

from connector.learn.evaluation.studies import intrusion, new_site
from connector.learn.evaluation.studies.asking import Strategy
from connector.learn.evaluation.studies.new_site import Run

HALF: Final = 0.5
"""The share of random labels that the sampler may need at most."""


def of_intrusion(found: intrusion.Study) -> Iterator[str]:
    """Labels needed, whether the target is met, and ``KDDTest+``."""
    whole = median(given.scores.macro_f1 for given in found.given)
    yield f"{found.records} records in {found.groups} groups; macro-F1 of the whole pool's model, median: {whole:.3f}"
    yield ""
    yield "| labelled | labels needed: median (each seed) | without U2R |"
    yield "|---|---|---|"
    for strategy in intrusion.STRATEGIES:
        curves = [curve for curve in found.curves if curve.strategy == strategy]
        both = [curve.needed for curve in curves], [curve.needed_without_u2r for curve in curves]
        yield f"| {strategy} | {' | '.join(map(_needed, both))} |"
    ratio = share(found)
    said = "not reached" if ratio is None else f"{ratio:.3f}"
    yield ""
    yield f"{'MISSED' if ratio is None or ratio > HALF else 'met   '}  labels of the sampler over random ones: {said}, wanted at most {HALF}"
    yield from _tested(found)


def share(found: intrusion.Study) -> float | None:
    """The median labels that the sampler needs over the median of random ones; None where either is not reached."""
    several = [
        [curve.needed for curve in found.curves if curve.strategy == strategy] for strategy in ("sampler", "random")
    ]
    chosen, drawn = map(middle, several)
    return None if chosen is None or drawn is None else chosen / drawn


def middle(needed: Sequence[int | None]) -> float | None:
    """The median, where never is more than any number; None where it is never."""
    found = median(float("inf") if labels is None else labels for labels in needed)
    return None if found == float("inf") else found


def of_new_site(found: new_site.Study) -> Iterator[str]:
    """False alarms before, during and after, and what else changed."""
    hosts = (f"{name}: {events} events, {attack} of the attack" for name, (events, attack) in found.hosts.items())
    yield f"{found.bundle}; {', '.join(hosts)}; {found.distinct} distinct events; {found.base_rows} base rows"
    for place, level in enumerate(found.levels):
        yield from _level(found, place, level)
    yield ""
    yield "| asked | labels | of attacks | of false alarms | labels to halve, each host | AUC before | AUC after |"
    yield "|---|---|---|---|---|---|---|"
    for strategy in new_site.STRATEGIES:
        first = [run for run in found.runs if run.strategy == strategy and run.seed == 0]
        halves = ", ".join("never" if run.halved is None else str(run.halved) for run in first)
        counts = (_value(found, strategy, attrgetter(name)) for name in ("labels", "attacks", "causes"))
        areas = (_value(found, strategy, attrgetter(name)) for name in ("auc_before", "auc_after"))
        yield _row(strategy, *(f"{value:.0f}" for value in counts), halves, *(f"{value:.3f}" for value in areas))


def _level(found: new_site.Study, place: int, level: str) -> Iterator[str]:
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
    for strategy in new_site.STRATEGIES:
        yield _row(strategy, *(f"{_value(found, strategy, read):.1f}" for read in alarms))
    yield from ("", f"Level `{level}`, share of attack events found", "")
    yield "| asked | before | after | elsewhere before | elsewhere after |"
    yield "|---|---|---|---|---|"
    for strategy in new_site.STRATEGIES:
        yield _row(strategy, *(f"{_value(found, strategy, read):.3f}" for read in shares))


def _tested(found: intrusion.Study) -> Iterator[str]:
    yield ""
    yield f"Test+: {found.test_records} records, {found.test_in_known_groups} of them in groups of the training file; medians"
    yield ""
    yield _row("fitted to", "labels", "accuracy", "macro-F1", *found.classes, "macro-F1 in new groups")
    yield f"|{'---|' * (5 + len(found.classes))}"
    for name in dict.fromkeys(one.fitted_on for one in found.tested):
        several = [one for one in found.tested if one.fitted_on == name]
        whole = [one.all_rows for one in several]
        yield _row(
            name,
            f"{median(one.labels for one in several):.0f}",
            f"{median(one.accuracy for one in whole):.3f}",
            f"{median(one.macro_f1 for one in whole):.3f}",
            *(f"{median(values):.2f}" for values in zip(*(one.f1 for one in whole), strict=True)),
            f"{median(one.new_groups.macro_f1 for one in several):.3f}",
        )


def _needed(labels: Sequence[int | None]) -> str:
    found = middle(labels)
    each = ", ".join("never" if one is None else str(one) for one in labels)
    return f"{'never' if found is None else f'{found:.0f}'} ({each})"


def _value(found: new_site.Study, strategy: Strategy, read: Callable[[Run], float]) -> float:
    """The mean over the left-out hosts; of several seeds the median."""
    runs = [run for run in found.runs if run.strategy == strategy]
    return median(fmean(read(run) for run in runs if run.seed == seed) for seed in {run.seed for run in runs})


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
