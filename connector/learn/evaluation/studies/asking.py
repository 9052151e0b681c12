"""Ways to spend a budget of labels: the sampler that ships, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from connector.learn.sampling import Candidate, choose

Strategy: TypeAlias = Literal["sampler", "random", "random groups", "highest score"]

Numbers = NDArray[np.floating]


def by_sampler(
    margins: Numbers, groups: Sequence[str], vectors: Numbers, known: Numbers | None, budget: int
) -> list[int]:
    """What :func:`connector.learn.sampling.choose` asks about, as places among n candidates; one model, so none disagrees."""
    width = len(str(len(margins)))
    candidates = [
        Candidate(key=f"{place:0{width}d}", margin=margin, cluster=group)
        for place, (margin, group) in enumerate(zip(margins.tolist(), groups, strict=True))
    ]
    return [one.place for one in choose(candidates, budget, vectors=vectors, known=known)]


def at_random(count: int, budget: int, draw: np.random.Generator) -> list[int]:
    """Any of ``count`` candidates."""
    found: list[int] = draw.permutation(count)[:budget].tolist()
    return found


def groups_at_random(groups: Sequence[str], budget: int, draw: np.random.Generator) -> list[int]:
    """One of each group of near copies, groups at random, then any: what the sampler's cap alone is worth."""
    order = at_random(len(groups), len(groups), draw)
    first = dict.fromkeys(_first_of_groups(order, groups, budget))
    return list(first | dict.fromkeys(order))[:budget]


def highest(scores: Numbers, groups: Sequence[str], budget: int) -> list[int]:
    """The highest scores, one a group: what analysts look at where nobody asks them anything."""
    return _first_of_groups(np.argsort(-scores, kind="stable").tolist(), groups, budget)


def _first_of_groups(order: Sequence[int], groups: Sequence[str], budget: int) -> list[int]:
    first: dict[str, int] = {}
    for place in order:
        first.setdefault(groups[place], place)
    return list(first.values())[:budget]
