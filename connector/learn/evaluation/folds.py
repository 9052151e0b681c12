"""Which rows a model is fitted on and which it is then tried on: whole files, recordings and hosts are left out, never rows.

Recordings are left out by site: all that share a domain or a lone host go together. Sources that are largely harmless are
left out by file, page and package. Sources that give techniques alone (commands, rules) stay in training, but for rows that
nearly repeat a row that is left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from connector.errors import ConfigError
from connector.learn.corpora import evtx_to_mitre, otrf
from connector.learn.corpora.sample import Basis
from connector.learn.dataset import Row
from connector.learn.evaluation.truth import group_of

HELD_OUT, FOLDS, WITHOUT, RANDOM = "held-out rows", "left-out groups", "left-out source", "random rows"
"""The suites: rows that the bundle did not train on; each group left out once; a whole source left out; and the optimistic
split, with rows of one file on both sides, beside the honest ones and never instead of them."""

RANDOM_SHARE = 0.2

BACKGROUND: frozenset[Basis] = frozenset({"recurring", "outside-tree", "ordinary-log"})
"""What every host of an operating system logs alike. Near copies of it stay; exact ones are told apart where it counts."""


class Fit(msgspec.Struct, frozen=True):
    """Rows to fit on, to choose by, to calibrate on, and to try on; ``sites`` are those left out."""

    suite: str
    name: str
    train: Sequence[Row]
    dev: Sequence[Row]
    calibration: Sequence[Row]
    test: Sequence[Row]
    sites: frozenset[str] = frozenset()


def by_group(rows: Sequence[Row], sites: Mapping[str, str], count: int) -> list[Fit]:
    """So many fits; each left-out group is in the test rows of exactly one. Raises ``ConfigError`` below two."""
    if count < 2:
        raise ConfigError(f"{count} folds leave nothing to train on: at least 2")
    folded = {otrf.NAME, evtx_to_mitre.NAME, *harmless(rows)}
    units: Counter[tuple[str, str]] = Counter(_unit(row, sites) for row in rows if row.source in folded)
    place = dealt(units, count)
    fits = []
    for number in range(count):
        out = {unit for unit, fold in place.items() if fold == number}
        left = frozenset(name for source, name in out if source == otrf.NAME)
        test = [_unit(row, sites) in out for row in rows]
        fits.append(_fit(FOLDS, f"fold {number + 1}", rows, test, left))
    return fits


def without(rows: Sequence[Row], source: str) -> Fit:
    """A fit that never saw one source, which is all that it is tried on."""
    return _fit(WITHOUT, f"without {source}", rows, [row.source == source for row in rows])


def at_random(rows: Sequence[Row]) -> Fit:
    """A fifth of the rows drawn one by one."""
    return _fit(RANDOM, RANDOM, rows, [_draw("row", row.fingerprint) < RANDOM_SHARE for row in rows], apart=False)


def harmless(rows: Iterable[Row]) -> frozenset[str]:
    """The sources of whose rows at least every third is benign."""
    benign, every = Counter[str](), Counter[str]()
    for row in rows:
        benign[row.source] += row.malicious is False
        every[row.source] += 1
    return frozenset(source for source, count in every.items() if 3 * benign[source] >= count)


def dealt(units: Mapping[tuple[str, str], int], count: int) -> dict[tuple[str, str], int]:
    """The fold of each unit: within its source the largest first, each to the fold that has the fewest rows of it."""
    place: dict[tuple[str, str], int] = {}
    sources: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for unit in units:
        sources[unit[0]].append(unit)
    for found in sources.values():
        filled = [0] * count
        for unit in sorted(found, key=lambda unit: (-units[unit], _draw(*unit))):
            fold = filled.index(min(filled))
            place[unit] = fold
            filled[fold] += units[unit]
    return place


def leaks(fit: Fit) -> list[str]:
    """Groups, events and near copies that stand on both sides of a fit; empty where it is honest."""
    seen = [*fit.train, *fit.dev, *fit.calibration]
    shared = sorted({group_of(row) for row in fit.test} & {group_of(row) for row in seen})
    found = [f"group {source}:{group} is in two splits" for source, group in shared]
    prints, copies = {row.fingerprint for row in seen}, _copies(seen)
    for what, count in (
        ("rows", sum(row.fingerprint in prints for row in fit.test)),
        ("near copies", len(_copies(fit.test) & copies)),
    ):
        if count:
            found.append(f"{count} {what} are in two splits")
    return found


def _copies(rows: Iterable[Row]) -> set[str]:
    return {row.cluster for row in rows if row.cluster and row.basis not in BACKGROUND}


def _unit(row: Row, sites: Mapping[str, str]) -> tuple[str, str]:
    return row.source, sites.get(row.group, row.group) if row.source == otrf.NAME else row.group


def _fit(
    suite: str,
    name: str,
    rows: Sequence[Row],
    left_out: Sequence[bool],
    sites: frozenset[str] = frozenset(),
    *,
    apart: bool = True,
) -> Fit:
    """The fit; ``apart``: without rows that nearly repeat one that is left out."""
    test = [row for row, out in zip(rows, left_out, strict=True) if out]
    near = _copies(test) if apart else set()
    kept = [
        row
        for row, out in zip(rows, left_out, strict=True)
        if not out and (row.cluster not in near or row.basis in BACKGROUND)
    ]
    train, dev, calibration = ([row for row in kept if row.split == split] for split in ("train", "dev", "calibration"))
    return Fit(suite, name, train, dev, calibration, test, sites)


def _draw(*parts: str) -> float:
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
