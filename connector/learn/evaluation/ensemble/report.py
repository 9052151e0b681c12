"""What was measured of the ensemble, as ``ensemble.json`` and as a page for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.ensemble import compared
from connector.learn.evaluation.ensemble.compared import CAMPAIGN, EVERYTHING, Found, Precision
from connector.learn.evaluation.ensemble.incidents import LEAST, SHARE, Raised
from connector.learn.training.ensemble.crossfit import tried
from connector.learn.training.ensemble.material import Material

MOST_FALSE = 1.0
"""False incidents per 100,000 background events that are aimed at."""


class Target(msgspec.Struct, frozen=True):
    """What is aimed at, what was measured, and whether it holds."""

    name: str
    wanted: str
    measured: str
    met: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of one run. ``recordings`` tells of each one by model; ``ambiguous`` are those without a known attack."""

    base: str
    members: tuple[str, ...]
    combiners: Mapping[str, float]
    folds: Mapping[str, Sequence[str]]
    targets: Sequence[Target]
    precision: Sequence[Precision]
    found: Sequence[Found]
    recordings: Mapping[str, Sequence[Raised]]
    ambiguous: Mapping[str, str]


def measured(material: Material) -> Report:
    """Every model on every fold that it never saw."""
    recorded, folds, members = material.recorded, material.folds, material.members
    ways = tried(recorded, folds, members)
    models = compared.models(recorded, folds, ways[0], members)
    precision = compared.precisions(recorded, folds, models)
    limit = material.before.thresholds.techniques.default
    raised = {model.name: compared.incidents(recorded, folds, model, limit) for model in models}
    found = [one for model in models for one in compared.summed(model.name, raised[model.name])]
    return Report(
        base=material.before.ref,
        members=members,
        combiners={way.name: way.score for way in ways},
        folds={fold.name: sorted({recorded.parts[part].site for part in fold.parts}) for fold in folds},
        targets=list(_targets(precision, found, raised["ensemble"], members)),
        precision=precision,
        found=found,
        recordings=raised,
        ambiguous={part.name: part.reason for part in recorded.parts if not part.known},
    )


def _targets(
    precision: Sequence[Precision], found: Sequence[Found], raised: Sequence[Raised], members: Sequence[str]
) -> Iterator[Target]:
    for one in raised:
        if one.set == CAMPAIGN:
            told = "never" if one.after is None else f"after {one.after} of {one.attack}"
            wanted = f"within {max(LEAST, round(SHARE * one.attack))}"
            yield Target(f"incident of {one.recording.rsplit('/', 2)[-2]}", wanted, told, one.in_time)
    for whole in found:
        if whole.model == "ensemble" and whole.set in {CAMPAIGN, EVERYTHING}:
            name = f"false incidents per 100,000 background events, {whole.set}"
            told = f"{whole.false} in {whole.background:,}, {whole.per_100k:.2f}"
            yield Target(name, f"at most {MOST_FALSE:g}", told, whole.per_100k <= MOST_FALSE)
    value = {one.model: one.average_precision.value for one in precision if one.set == EVERYTHING}
    best = max(members, key=lambda name: value.get(name, 0.0))
    told = f"{value['ensemble']:.3f} against {value[best]:.3f} of {best}"
    yield Target("average precision, against the best member", "higher", told, value["ensemble"] > value[best])


def written(report: Report) -> str:
    """The page, in Markdown."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# The ensemble beside {report.base}: {', '.join(report.members)}"
    yield ""
    for target in report.targets:
        yield f"- {'met' if target.met else 'MISSED'}: {target.name}: {target.measured} (wanted {target.wanted})"
    yield ""
    yield "Ways to combine, by average precision over all that was left out:"
    yield from (f"- {name}: {score:.3f}" for name, score in report.combiners.items())
    yield ""
    yield "| left out | model | recordings | attack | background | average precision | ROC AUC | chance |"
    yield "|---|---|---|---|---|---|---|---|"
    for one in report.precision:
        yield (
            f"| {one.set} | {one.model} | {one.recordings} | {one.attack:,} | {one.background:,} "
            f"| {_shown(one.average_precision)} | {_shown(one.auc)} | {one.chance:.3f} |"
        )
    yield ""
    yield "| left out | model | recordings | an incident | in time | false incidents | background | per 100,000 | opened by background |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for line in sorted(report.found, key=lambda one: one.set):
        yield (
            f"| {line.set} | {line.model} | {line.recordings} | {_shown(line.raised)} | {_shown(line.in_time)} "
            f"| {line.false} | {line.background:,} | {line.per_100k:.2f} | {line.opened} |"
        )
    yield ""
    yield "| campaign | model | attack events | incident after | incidents | false | opened by background |"
    yield "|---|---|---|---|---|---|---|"
    for model, found in report.recordings.items():
        for each in found:
            if each.set == CAMPAIGN:
                name, after = each.recording.rsplit("/", 2)[-2], "never" if each.after is None else each.after
                yield f"| {name} | {model} | {each.attack} | {after} | {each.incidents} | {each.false} | {each.opened} |"


def _shown(value: Interval) -> str:
    return f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
