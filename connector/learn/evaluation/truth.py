"""What a row says of itself: its parent techniques, and its independent group."""

from __future__ import annotations

from connector.learn.dataset import Row
from connector.learn.training.labels import parent_of


def parents(row: Row) -> frozenset[str]:
    """The parent techniques of a row."""
    return frozenset(parent_of(technique) for technique in row.techniques)


def group_of(row: Row) -> tuple[str, str]:
    """The independent unit that a row belongs to: source and file, recording, rule, test, page or package."""
    return row.source, row.group
