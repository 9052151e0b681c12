"""Base rows and closures as one dataset, for training anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from connector.learn.dataset import Dataset, Row, agreed, digest_of
from connector.learn.near_duplicates import clusters


def combined(base: Dataset, closures: Sequence[Row]) -> Dataset:
    """One dataset of both. Closures train; where one is a base row's event, the row carries what both say.

    A base row of another split that nearly repeats a closure is left out: it would measure what was learnt.
    """
    kept = apart(base, closures)
    rows = {row.fingerprint: row for row in kept.rows}
    for closure in closures:
        earlier = rows.get(closure.fingerprint)
        rows[closure.fingerprint] = closure if earlier is None else agreed(earlier, closure)
    found = tuple(rows.values())
    facts = msgspec.structs.replace(
        kept.facts,
        digest=digest_of(found),
        rows=dict(Counter(row.split for row in found)),
        sources=dict(Counter(row.source for row in found)),
        bases=dict(Counter(row.basis for row in found)),
    )
    return Dataset(found, facts)


def apart(base: Dataset, closures: Sequence[Row]) -> Dataset:
    """The base rows without those of dev and calibration that are, or nearly repeat, a closure."""
    held = [row for row in base.rows if row.split != "train"]
    firsts = clusters([row.text for row in (*closures, *held)])
    near = {closure.fingerprint for closure in closures}
    near |= {row.fingerprint for row, at in zip(held, firsts[len(closures) :], strict=True) if at < len(closures)}
    kept = (row for row in base.rows if row.split == "train" or row.fingerprint not in near)
    return Dataset(tuple(kept), base.facts)
