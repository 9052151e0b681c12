"""Technique measures of labelled rows, one entry for each source and label basis."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.evaluation import ranking
from connector.learn.evaluation.result import About, Techniques
from connector.learn.evaluation.truth import group_of, parents

LEAST = 10
"""Fewer labelled rows than this are not reported as a source of their own."""


def measured(
    about: About, rows: Sequence[Row], names: Sequence[str], scores: NDArray[np.floating]
) -> Iterator[Techniques]:
    """One entry for each source and label basis of rows that name a technique."""
    parts: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.techniques:
            parts[row.source, row.basis].append(number)
    for (source, basis), numbers in sorted(parts.items()):
        if len(numbers) >= LEAST:
            place = about._replace(source=source, basis=basis)
            yield _entry(place, [rows[number] for number in numbers], names, scores[numbers])


def _entry(about: About, rows: Sequence[Row], names: Sequence[str], scores: NDArray[np.floating]) -> Techniques:
    wanted, groups = [parents(row) for row in rows], [group_of(row) for row in rows]
    guessed = ranking.first_guess(scores, names)
    file_scores, file_wanted, files = ranking.by_file(scores, wanted, groups)
    return Techniques(
        **about._asdict(),
        events=ranking.hits(ranking.ranks(scores, wanted, names), groups),
        files=ranking.hits(ranking.ranks(file_scores, file_wanted, names), files),
        event_f1=ranking.f1(guessed, wanted, groups),
        file_f1=ranking.f1(ranking.first_guess(file_scores, names), file_wanted, files),
        table=ranking.table(guessed, wanted, groups),
        confusions=ranking.confusions(guessed, wanted, groups),
    )


def majority(rows: Sequence[Row], names: Sequence[str], count: int) -> NDArray[np.float32]:
    """The same scores (count, names) for every row: how often each technique is shown in training."""
    shown = Counter(name for row in rows for name in parents(row))
    frequency = np.array([shown[name] for name in names], np.float32)
    return np.tile(frequency, (count, 1))
