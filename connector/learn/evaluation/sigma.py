"""The rules baseline: the techniques that Sigma's own rules name for an event."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from connector.learn.corpora.source import Corpora
from connector.learn.training.labels import parent_of
from connector.models.rules import LEVELS, Match, load
from connector.models.rules.ruleset import RuleSet
from connector.models.rules.weights import Weights

SOURCE, FOLDER = "sigma", "rules"
ALERTS = frozenset({"medium", "high", "critical"})
"""Levels from which a rule is counted as an alarm."""

UNTAUGHT = Weights()
"""What a rule is worth where no label was asked."""


def rules(corpora: Corpora) -> RuleSet:
    """Every rule of the pinned upstream that can be matched on one event."""
    return load((path, content) for path, content in corpora.files(SOURCE, ".yml") if path.startswith(FOLDER))


def said(matches: Sequence[tuple[Match, ...]]) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Parents that any match names, and for each event the highest level of a rule that names it; -inf: none does."""
    named = [
        {name: level(match) for match in sorted(found, key=level) for name in map(parent_of, match.techniques)}
        for found in matches
    ]
    names = sorted({name for found in named for name in found})
    place = {name: number for number, name in enumerate(names)}
    scores = np.full((len(matches), len(names)), -np.inf, np.float32)
    for row, found in zip(scores, named, strict=True):
        for name, high in found.items():
            row[place[name]] = high
    return tuple(names), scores


def beside(
    names: Sequence[str], scores: NDArray[np.floating], matches: Sequence[tuple[Match, ...]]
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """A model's parent techniques (n, names), and what the rules that match add: of each the higher probability.

    What a match is worth is not learnt here: it is right as often as not.
    """
    worth = [UNTAUGHT.shown(found) for found in matches]
    known = {label for shown in worth for label in shown if label == parent_of(label)}
    every = (*names, *sorted(known - set(names)))
    place = {name: number for number, name in enumerate(every)}
    found = np.zeros((len(scores), len(every)), np.float32)
    found[:, : len(names)] = scores
    for row, shown in zip(found, worth, strict=True):
        for name in known & shown.keys():
            row[place[name]] = max(row[place[name]], shown[name])
    return every, found


def level(match: Match) -> float:
    """A rule's level as a number, the highest the most severe."""
    return float(LEVELS.index(match.level)) if match.level in LEVELS else -1.0


def alarms(found: Collection[Match]) -> bool:
    """Whether a rule that is an alarm by its level matched."""
    return any(match.level in ALERTS for match in found)
