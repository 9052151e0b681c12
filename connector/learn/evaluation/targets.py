"""What is aimed at, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.folds import FOLDS, HELD_OUT, RANDOM, WITHOUT
from connector.learn.evaluation.result import (
    Background,
    Calibration,
    Flagged,
    Place,
    Recordings,
    Stated,
    Target,
    Techniques,
)

ADMINISTRATION = frozenset({"generated-administration", "negative-test", "admin-script", "manual-page"})
"""Label bases of an administrator's ordinary work."""

P = TypeVar("P", bound=Place)


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The measurements that targets are read from."""

    techniques: Sequence[Techniques]
    flagged: Sequence[Flagged]
    background: Sequence[Background]
    recordings: Sequence[Recordings]
    calibration: Sequence[Calibration]
    stated: Sequence[Stated]


def judged(parts: Parts) -> list[Target]:
    """One line for each target whose suite was run, with what the optimistic split gives where it asks the same."""
    flattering = {line.name: line.measured for line in _lines(_at_random(parts))}
    return [msgspec.structs.replace(line, at_random=flattering.get(line.name, "")) for line in _lines(parts)]


def _lines(parts: Parts) -> Iterator[Target]:
    yield from _techniques(parts)
    yield from _benign(parts)
    yield from _calibration(parts)


def _at_random(parts: Parts) -> Parts:
    """What was measured on random rows, as if it were each of the honest suites."""
    return Parts(**{name: list(_posing(getattr(parts, name))) for name in Parts.__struct_fields__})


def _posing(found: Iterable[P]) -> Iterator[P]:
    for entry in _of(found, RANDOM, "text"):
        for suite, model in ((FOLDS, "text"), (WITHOUT, "text"), (HELD_OUT, "bundle")):
            yield msgspec.structs.replace(entry, suite=suite, model=model)


def _techniques(parts: Parts) -> Iterator[Target]:
    for entry in _of(parts.techniques, FOLDS, "text", source="evtx_to_mitre", basis="file-name"):
        yield _least("EVTX-to-MITRE by file, hit@1", entry.files.top1, 0.55)
        yield _least("EVTX-to-MITRE by file, hit@3", entry.files.top3, 0.75)
    for entry in _of(parts.techniques, WITHOUT, "bundle", source="lolbas"):
        yield _least("LOLBAS, top-1", entry.events.top1, 0.60)
        yield _least("LOLBAS, top-3", entry.events.top3, 0.80)
    for entry in _of(parts.techniques, WITHOUT, "text", source="open_xp_rules"):
        yield _least("open-xp-rules left out, top-3", entry.events.top3, 0.60)


def _benign(parts: Parts) -> Iterator[Target]:
    for entry in _of(parts.background, FOLDS, "text", basis="every left-out site"):
        name = "false alarms per 10,000 background events absent from training, level malicious"
        yield _most(name, entry.absent["malicious"], 5.0)
    for found in _of(parts.recordings, FOLDS, "text"):
        yield _least(
            "left-out recordings with a flagged attack event, level malicious", found.levels["malicious"], 0.80
        )
    for flagged in _of(parts.flagged, FOLDS, "text"):
        if not flagged.malicious and flagged.basis in ADMINISTRATION:
            name = f"administration left out, malicious per 10,000 ({flagged.source}, {flagged.basis})"
            yield _most(name, flagged.levels["malicious"], 500.0)


def _calibration(parts: Parts) -> Iterator[Target]:
    for suite, model in ((HELD_OUT, "bundle"), (FOLDS, "text")):
        for entry in _of(parts.calibration, suite, model, source="every source"):
            if entry.head == "malicious":
                yield _most(f"{suite}: excess ECE of p_malicious at prior 0.5", entry.ece, 0.05, entry.excess)
                yield _least(f"{suite}: Brier skill of p_malicious at prior 0.5", entry.brier_skill, 0.2)
            else:
                yield _most(f"{suite}: excess ECE of the first technique", entry.ece, 0.10, entry.excess)
        for level in _of(parts.stated, suite, model):
            seen, name = level.observed, f"{suite}: false alarms per 10,000 at {level.level}, stated {level.stated:g}"
            within = level.stated / 3 <= seen.value <= level.stated * 3
            yield Target(name, f"{level.stated / 3:.2g} to {level.stated * 3:.3g}", _shown(seen), within)


def _of(found: Iterable[P], suite: str, model: str, **place: str) -> Iterator[P]:
    for entry in found:
        if (entry.suite, entry.model) == (suite, model) and all(
            getattr(entry, name) == value for name, value in place.items()
        ):
            yield entry


def _least(name: str, seen: Interval, bound: float) -> Target:
    return Target(name, f"≥ {bound:g}", _shown(seen), seen.value >= bound)


def _most(name: str, seen: Interval, bound: float, value: float | None = None) -> Target:
    measured = seen.value if value is None else value
    shown = _shown(seen) if value is None else f"{value:.3f} (ECE {_shown(seen)})"
    return Target(name, f"≤ {bound:g}", shown, measured <= bound)


def _shown(seen: Interval) -> str:
    return f"{seen.value:.3g} [{seen.low:.3g}, {seen.high:.3g}]"
