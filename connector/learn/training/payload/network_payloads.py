"""Raw payloads of attack captures: left out by tool, do they show what the capture's metadata says?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from connector.learn.corpora import capture_payloads
from connector.learn.corpora.source import Corpora
from connector.learn.training.payload.fit import Floats, Recipe
from connector.learn.training.payload.fitted import fitted
from connector.learn.training.payload.rows import Row

DRAWS: Final = 500
TELLING: Final = 5
"""The payloads of a capture, by technique, that its score is the mean of: most of a capture shows nothing of it."""

Truth: TypeAlias = NDArray[np.bool_]
TOOLS: Final = 2
"""A technique is learnt where at least so many tools show it: of one tool alone nobody could say what was learnt."""


def capture_rows(corpora: Corpora) -> list[Row]:
    """The payloads of all captures. What recurs under several techniques is ordinary and shows none."""
    return [
        Row(
            data=each.data,
            kind=None,
            source=capture_payloads.NAME,
            group=f"{capture_payloads.NAME}:{each.capture}",
            raw=True,
            techniques=() if each.ordinary else each.techniques,
            tool=each.tool,
            malicious=not each.ordinary,
        )
        for each in capture_payloads.sent(corpora)
    ]


def shared(rows: Sequence[Row]) -> tuple[str, ...]:
    """The techniques that several tools show, sorted."""
    tools: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        for technique in row.techniques:
            tools[technique].add(row.tool)
    return tuple(sorted(technique for technique, seen in tools.items() if len(seen) >= TOOLS))


def tools(rows: Sequence[Row], kinds: Sequence[str]) -> tuple[str, ...]:
    """The tools whose captures show one of ``kinds``, sorted: leaving another out would tell nothing."""
    return tuple(sorted({row.tool for row in rows if set(row.techniques) & set(kinds)}))


def left_out_by_tool(rows: Sequence[Row], recipe: Recipe, work: Path) -> dict[str, Any]:
    """Each tool's captures, read by a network that was fitted on the other tools' alone; empty where none can be left out."""
    kinds = shared(rows)
    scores: dict[str, Floats] = {}
    truth: dict[str, frozenset[str]] = {}
    tool_of: dict[str, str] = {}
    for tool in tools(rows, kinds):
        others, here = ([row for row in rows if (row.tool == tool) is left] for left in (False, True))
        with fitted(work / tool, others, [], kinds, recipe) as network:
            read = network.read([row.data for row in here], raw=True)
        columns = [network.kinds.index(kind) for kind in kinds]
        for capture in sorted({row.group for row in here}):
            places = [place for place, row in enumerate(here) if row.group == capture]
            found = np.sort(read.kinds[np.ix_(places, columns)], axis=0)
            scores[capture], tool_of[capture] = found[-TELLING:].mean(axis=0), tool
            truth[capture] = frozenset(shown for place in places for shown in here[place].techniques)
    if not scores:
        return {}
    return {
        "payloads": len(rows),
        "captures": len(scores),
        "techniques": list(kinds),
        **against_chance(scores, truth, tool_of, kinds),
    }


def against_chance(
    scores: Mapping[str, Floats], truth: Mapping[str, frozenset[str]], tool_of: Mapping[str, str], kinds: Sequence[str]
) -> dict[str, Any]:
    """Of a tool's captures with a technique and those without, the share of pairs in which the first score is higher.

    All pairs of all techniques count together. Chance is the same under labels that are shuffled among a tool's captures;
    ``margin`` is how far the share is above the shuffles' 97.5th percentile.
    """
    draw = Random(1)  # noqa: S311 (a seeded draw, no secret)
    blocks = []
    for tool in sorted(set(tool_of.values())):
        names = [name for name in scores if tool_of[name] == tool]
        matrix = np.array([scores[name] for name in names])
        blocks.append((matrix, np.array([[kind in truth[name] for kind in kinds] for name in names])))
    found = _concordant(blocks)
    chance = [
        _concordant([(matrix, right[draw.sample(range(len(right)), len(right))]) for matrix, right in blocks])
        for _ in range(DRAWS)
    ]
    low, high = np.percentile(chance, [2.5, 97.5])
    return {
        "share of pairs in order": round(found, 4),
        "chance": {
            "mean": round(float(np.mean(chance)), 4),
            "low": round(float(low), 4),
            "high": round(float(high), 4),
        },
        "margin": round(found - float(high), 4),
    }


def _concordant(blocks: Sequence[tuple[Floats, Truth]]) -> float:
    """The share of pairs in order; ties count half, one half where there is no pair."""
    won, pairs = 0.0, 0
    for matrix, right in blocks:
        for column in range(matrix.shape[1]):
            shown, other = matrix[right[:, column], column], matrix[~right[:, column], column]
            difference = shown[:, None] - other[None, :]
            won += float((difference > 0).sum() + 0.5 * (difference == 0).sum())
            pairs += difference.size
    return won / pairs if pairs else 0.5
