"""What the gate found: one line a check, with its numbers, bound to the digests of the two bundles that it compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from connector.models.integrity import MANIFEST, digest
from connector.models.store import Store

SCHEMA: Final = 2

Rule: TypeAlias = Literal["proven no worse", "not surely worse", "at least", "at most"]
"""How a check passes.

``proven no worse``: the harm's 95% interval ends below the margin. ``not surely worse``: for parts too small to prove
that; it fails where the harm is above the margin and its interval lies above zero. ``at least`` and ``at most`` hold the
challenger's number alone against the margin.
"""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that matters. ``harm`` is how much worse the challenger is, with its interval; below zero it is better.

    A number that could not be computed is None once it was written.
    """

    name: str
    rule: Rule
    challenger: float | None
    margin: float
    passed: bool
    incumbent: float | None = None
    harm: float | None = None
    low: float | None = None
    high: float | None = None
    rows: int = 0
    groups: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's answer. ``challenger`` and ``incumbent`` are ``name/version``; the digests are of their manifests.

    ``material`` is the SHA-256 of the rows that it judged by, and ``rows`` counts them by use.
    """

    challenger: str
    challenger_digest: str
    incumbent: str
    incumbent_digest: str
    created: datetime
    material: str
    rows: dict[str, int]
    checks: tuple[Check, ...]
    passed: bool
    schema: int = SCHEMA

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that refuse the challenger."""
        return tuple(check for check in self.checks if not check.passed)


def bundle_digest(store: Store, ref: str) -> str:
    """The SHA-256 of a bundle's manifest, which holds those of all its files. Raises ``ConfigError`` for no bundle."""
    store.manifest(ref)
    return digest(store.directory(ref) / MANIFEST)


def place(store: Store, challenger: str) -> Path:
    """Where a challenger's report lies: beside its folder, since a sealed folder takes no file."""
    return store.directory(challenger).with_name(f"{store.directory(challenger).name}.gate.json")


def write(store: Store, report: Report) -> Path:
    """Writes the report beside the challenger, as JSON and as text for people, each in one step. Returns the JSON's path."""
    path = place(store, report.challenger)
    _replace(path.with_suffix(".md"), readable(report).encode())
    _replace(path, msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return path


def standing(store: Store, challenger: str, incumbent: str) -> tuple[Report, str] | None:
    """The report of exactly these two bundles, as they lie there now, and its own SHA-256.

    None where there is none, or none that can be read: it is made again.
    """
    path = place(store, challenger)
    try:
        written = path.read_bytes()
        report = msgspec.json.decode(written, type=Report)
    except (OSError, RecursionError, UnicodeDecodeError, msgspec.DecodeError):
        return None
    names = (report.schema, report.challenger, report.incumbent)
    digests = (report.challenger_digest, report.incumbent_digest)
    if names != (SCHEMA, challenger, incumbent):
        return None
    if digests != (bundle_digest(store, challenger), bundle_digest(store, incumbent)):
        return None
    return report, hashlib.sha256(written).hexdigest()


def readable(report: Report) -> str:
    """The report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def sentence(check: Check) -> str:
    """One check in words, with its numbers."""
    against = "" if check.incumbent is None else f" against {_number(check.incumbent)}"
    interval = "" if check.low is None else f", worse by {_number(check.low)} to {_number(check.high)}"
    outcome = "passed" if check.passed else "failed"
    return f"{outcome}: {check.name}: {_number(check.challenger)}{against}{interval} ({check.rule}, {check.margin:g})"


def _lines(report: Report) -> Iterator[str]:
    yield f"# Gate: {report.challenger} against {report.incumbent}"
    yield ""
    failed = len(report.failed)
    yield "**Passed.**" if report.passed else f"**Refused** by {failed} of {len(report.checks)} checks."
    yield ""
    yield f"Rows: {', '.join(f'{count} {name}' for name, count in report.rows.items())}. {report.created:%Y-%m-%d %H:%M} UTC."
    yield ""
    yield "| | check | challenger | incumbent | worse by | 95% | margin | rows | groups |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for check in sorted(report.checks, key=lambda check: check.passed):
        interval = "" if check.low is None else f"{_number(check.low)} to {_number(check.high)}"
        cells = (
            "" if check.passed else "**no**",
            check.name,
            _number(check.challenger),
            _number(check.incumbent),
            _number(check.harm),
            interval,
            f"{check.rule}, {check.margin:g}",
            str(check.rows or ""),
            str(check.groups or ""),
        )
        yield f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
