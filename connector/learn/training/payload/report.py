"""What was measured, as lines to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connector.learn.training.payload.rows import SEEN


def lines(metrics: Mapping[str, Any]) -> list[str]:
    """The report of a member's ``metrics``."""
    return [
        *_classes("all folds", metrics["classes"]),
        *_classes(
            f"folds {SEEN + 1} and on, which the recipe was not chosen on", metrics["classes in folds not looked at"]
        ),
        *_encodings(metrics["encodings"]),
        *_length(metrics["length"]),
        *_alarms(metrics),
        *_raw(metrics["raw payloads"]),
        *_published(metrics.get("published split", {})),
    ]


def _classes(folds: str, found: Mapping[str, Any]) -> Iterator[str]:
    yield f"F1 of parameters left out by group of near-copies, with 95% intervals: {folds}"
    for model, classes in found.items():
        yield f"  {model}"
        for name, told in classes.items():
            yield f"    {name:15} {_interval(told)}"


def _interval(told: Mapping[str, float]) -> str:
    return f"{told['f1']:.4f} [{told['low']:.4f}, {told['high']:.4f}]"


def _encodings(found: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    models = list(found)
    yield f"macro-F1 under each encoding: {'; '.join(models)}"
    for encoding in found[models[0]]:
        yield f"  {encoding:36} {'  '.join(f'{found[model][encoding]:.4f}' for model in models)}"


def _length(told: Mapping[str, Any]) -> Iterator[str]:
    yield "length"
    for name, value in told.items():
        yield f"  {name}: {value}" if not isinstance(value, Mapping) else f"  {name} bytes: {_listed(value)}"


def _listed(value: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {told}" for name, told in value.items())


def _alarms(metrics: Mapping[str, Any]) -> Iterator[str]:
    yield "ordinary values taken for attacks, per 10,000, with 95% intervals"
    yield f"  parameters left out: {_rate(metrics['alarms on parameters'])}"
    yield f"  tldr pages left out: {_rate(metrics['alarms on tldr pages'])}"
    for source, told in metrics["alarms elsewhere"].items():
        yield f"  {source}, never trained on: {_rate(told)}"


def _rate(told: Mapping[str, float]) -> str:
    return f"{told['per 10,000']} [{told['low']}, {told['high']}] of {told['values']} values"


def _raw(told: Mapping[str, Any]) -> Iterator[str]:
    yield "raw payloads of captures, left out by tool"
    for name, value in told.items():
        yield f"  {name}: {value}"


def _published(told: Mapping[str, Any]) -> Iterator[str]:
    if told:
        yield "the upstream's own split"
        for name, value in told.items():
            yield f"    {name:15} {_interval(value)}"
