"""The intrusion study as tables: medians over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Final

from connector.learn.evaluation.studies.intrusion import STRATEGIES, Study

HALF: Final = 0.5
"""The share of random labels that the sampler may need at most."""


def lines(found: Study) -> Iterator[str]:
    """Labels needed, whether the target is met, and ``KDDTest+``."""
    whole = median(given.scores.macro_f1 for given in found.given)
    yield f"{found.records} records in {found.groups} groups; macro-F1 of the whole pool's model, median: {whole:.3f}"
    yield ""
    yield "| labelled | labels needed: median (each seed) | without U2R |"
    yield "|---|---|---|"
    for strategy in STRATEGIES:
        curves = [curve for curve in found.curves if curve.strategy == strategy]
        both = [curve.needed for curve in curves], [curve.needed_without_u2r for curve in curves]
        yield f"| {strategy} | {' | '.join(map(_needed, both))} |"
    ratio = share(found)
    said = "not reached" if ratio is None else f"{ratio:.3f}"
    yield ""
    yield f"{'MISSED' if ratio is None or ratio > HALF else 'met   '}  labels of the sampler over random ones: {said}, wanted at most {HALF}"
    yield from _tested(found)


def share(found: Study) -> float | None:
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


def _tested(found: Study) -> Iterator[str]:
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


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
