"""How near the top the right technique stands: hits, F1, a table a technique, and which one is taken for which.

Techniques are parents; a row may show several. Scores are (n, names); -inf is "not said", and never a hit.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation.bootstrap import Floats, Interval, Whole, numbered, share, statistic

Wanted: TypeAlias = Sequence[Collection[str]]

TOPS = (1, 3, 5)
INDEPENDENT = 5
"""A label with fewer independent files than this has no F1 of its own, and is listed."""


class Hits(msgspec.Struct, frozen=True):
    """The share of rows with a right parent among the first one, three and five."""

    top1: Interval
    top3: Interval
    top5: Interval


class F1(msgspec.Struct, frozen=True):
    """F1 of the first guess over the labels with enough files; the labels left out, with their number of files."""

    micro: Interval
    macro: Interval
    labels: int
    few: Mapping[str, int]


class Label(msgspec.Struct, frozen=True):
    """One technique: rows and files that show it, and its first guesses."""

    technique: str
    rows: int
    files: int
    precision: float
    recall: float
    f1: float


class Confusion(msgspec.Struct, frozen=True):
    """A technique that was wanted and another that was guessed first, in how many rows and files."""

    wanted: str
    guessed: str
    rows: int
    files: int


def ranks(scores: NDArray[np.floating], wanted: Wanted, names: Sequence[str]) -> Whole:
    """The place (0 is best) of the first right name of each row; ``len(names)`` where none was said."""
    place = {name: number for number, name in enumerate(names)}
    found = np.full(len(scores), len(names), np.int64)
    for number, (row, right) in enumerate(zip(scores, wanted, strict=True)):
        best = max((row[place[name]] for name in right if name in place), default=-np.inf)
        if np.isfinite(best):
            found[number] = int(np.sum(row > best)) + _ties(row, best, right, names)
    return found


def _ties(row: NDArray[np.floating], best: float, right: Collection[str], names: Sequence[str]) -> int:
    """Half of the wrong names that share the best score stand before it: a tie of two is won, one of all is lost."""
    tied = [name for name, score in zip(names, row, strict=True) if score == best]
    return sum(name not in right for name in tied) // 2 if len(tied) > 1 else 0


def hits(found: Whole, groups: Sequence[Hashable]) -> Hits:
    """Hits of rows at these places, with intervals by group."""
    return Hits(*(share(found < top, groups) for top in TOPS))


def by_file(
    scores: NDArray[np.floating], wanted: Wanted, groups: Sequence[Hashable]
) -> tuple[NDArray[np.float64], list[frozenset[str]], list[Hashable]]:
    """One row a file: the mean of its rows' scores (what no row says stays unsaid), and all techniques of its rows."""
    members: dict[Hashable, list[int]] = defaultdict(list)
    for number, group in enumerate(groups):
        members[group].append(number)
    means = np.empty((len(members), scores.shape[1]))
    for place, numbers in enumerate(members.values()):
        part = scores[numbers].astype(np.float64)
        said = np.isfinite(part)
        total = np.where(said, part, 0.0).sum(0) / len(numbers)
        means[place] = np.where(said.any(0), total, -np.inf)
    together = [frozenset(name for number in numbers for name in wanted[number]) for numbers in members.values()]
    return means, together, list(members)


def first_guess(scores: NDArray[np.floating], names: Sequence[str]) -> list[str]:
    """The best name of each row; empty where nothing was said."""
    if not len(names):
        return [""] * len(scores)
    best = scores.argmax(1)
    return [names[int(place)] if np.isfinite(row[place]) else "" for row, place in zip(scores, best, strict=True)]


def f1(guessed: Sequence[str], wanted: Wanted, groups: Sequence[Hashable]) -> F1:
    """Micro and macro F1 of the first guesses, over labels of at least :data:`INDEPENDENT` files."""
    files = files_of(wanted, groups)
    kept = sorted(name for name, found in files.items() if len(found) >= INDEPENDENT)
    few = {name: len(found) for name, found in sorted(files.items()) if name not in set(kept)}
    counts, units = _Counts(guessed, wanted, kept, groups), range(len(set(groups)))
    micro, macro = (
        msgspec.structs.replace(statistic(each, np.ones(len(units)), units), rows=len(guessed))
        for each in (counts.micro, counts.macro)
    )
    return F1(micro, macro, len(kept), few)


def table(guessed: Sequence[str], wanted: Wanted, groups: Sequence[Hashable]) -> list[Label]:
    """Every technique that occurs, most files first."""
    files = files_of(wanted, groups)
    names = sorted(files, key=lambda name: (-len(files[name]), name))
    counts = _Counts(guessed, wanted, names)
    right, said, true = counts.sums(np.ones(len(guessed)))
    return [
        Label(
            technique=name,
            rows=int(true[place]),
            files=len(files[name]),
            precision=float(right[place] / max(said[place], 1)),
            recall=float(right[place] / max(true[place], 1)),
            f1=float(2 * right[place] / max(said[place] + true[place], 1)),
        )
        for place, name in enumerate(names)
    ]


def confusions(guessed: Sequence[str], wanted: Wanted, groups: Sequence[Hashable], most: int = 20) -> list[Confusion]:
    """The pairs that are taken for each other in the most files."""
    rows: Counter[tuple[str, str]] = Counter()
    files: dict[tuple[str, str], set[Hashable]] = defaultdict(set)
    for guess, right, group in zip(guessed, wanted, groups, strict=True):
        if guess and guess not in right:
            for name in right:
                rows[name, guess] += 1
                files[name, guess].add(group)
    ordered = sorted(rows, key=lambda pair: (-len(files[pair]), -rows[pair], pair))[:most]
    return [Confusion(*pair, rows=rows[pair], files=len(files[pair])) for pair in ordered]


def files_of(wanted: Wanted, groups: Sequence[Hashable]) -> dict[str, set[Hashable]]:
    """The independent files that show each technique."""
    files: dict[str, set[Hashable]] = defaultdict(set)
    for right, group in zip(wanted, groups, strict=True):
        for name in right:
            files[name].add(group)
    return dict(files)


class _Counts:
    """Right, said and true marks of the first guesses by unit (row, or group of rows) and label, under any weights."""

    def __init__(
        self, guessed: Sequence[str], wanted: Wanted, names: Sequence[str], groups: Sequence[Hashable] | None = None
    ) -> None:
        true = _marks(wanted, names)
        said = _marks([{guess} for guess in guessed], names)
        units, count = numbered(range(len(guessed)) if groups is None else groups)
        self._right, self._said, self._true = (_summed(part, units, count) for part in (true * said, said, true))

    def sums(self, weight: Floats) -> tuple[Floats, Floats, Floats]:
        """Weighted right, said and true by label."""
        return weight @ self._right, weight @ self._said, weight @ self._true

    def micro(self, weight: Floats) -> float:
        """F1 over all marks."""
        right, said, true = (float(part.sum()) for part in self.sums(weight))
        return 2 * right / (said + true) if said + true > 0 else float("nan")

    def macro(self, weight: Floats) -> float:
        """The mean of the labels' F1, of those that occur under these weights."""
        right, said, true = self.sums(weight)
        there = true > 0
        return float(np.mean(2 * right[there] / (said + true)[there])) if there.any() else float("nan")


def _marks(found: Wanted, names: Sequence[str]) -> Floats:
    return np.array([[name in each for name in names] for each in found], np.float64).reshape(len(found), len(names))


def _summed(marks: Floats, units: Whole, count: int) -> Floats:
    total = np.zeros((count, marks.shape[1]))
    np.add.at(total, units, marks)
    return total
