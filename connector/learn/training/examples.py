"""Chooses the labelled rows that a bundle carries as examples, and writes them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from connector.learn.dataset import Row
from connector.learn.training.notice import LICENCES
from connector.models.neighbours import LONGEST, Example, write

FREE = frozenset(LICENCES)
"""Licences that let a row's text be given away with its source named."""

LIMIT = 3000
PER_LABEL = 12
"""Rows of one source with the same techniques: enough to be met, and no more than a reader needs."""


def choose(rows: Iterable[Row], limit: int = LIMIT) -> list[Row]:
    """Labelled rows whose text may be given away, some of each source and label, the same ones every time."""
    taken: Counter[tuple[str, tuple[str, ...], bool | None]] = Counter()
    texts: set[str] = set()
    chosen: list[Row] = []
    for row in sorted(rows, key=lambda row: hashlib.sha256(row.fingerprint.encode()).digest()):
        label = (row.source, row.techniques, row.malicious)
        if (
            row.licence in FREE
            and _says_something(row)
            and taken[label] < PER_LABEL
            and row.text[:LONGEST] not in texts
        ):
            taken[label] += 1
            texts.add(row.text[:LONGEST])
            chosen.append(row)
    return chosen[:limit]


def _says_something(row: Row) -> bool:
    return row.malicious is False or bool(row.techniques)


def write_examples(directory: Path, embeddings: NDArray[np.floating], rows: Sequence[Row]) -> None:
    """Writes ``examples.json`` and ``examples.bin`` into a bundle, before it is sealed.

    ``embeddings`` are the text member's features (n, d) of the texts of ``rows``, which ``choose`` gave.
    """
    write(
        directory,
        embeddings,
        [
            Example(
                techniques=row.techniques,
                malicious=row.malicious,
                source=row.source,
                record=f"{row.group}#{row.record}",
                text=row.text[:LONGEST],
            )
            for row in rows
        ],
    )
