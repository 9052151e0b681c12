"""What each rule is worth, counted on labelled events whose labels do not come of Sigma's rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Final

from connector.attack import migrate
from connector.errors import PermanentError
from connector.events import normalise
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.sample import Basis, Sample
from connector.learn.corpora.source import Corpora, Recipe
from connector.learn.dataset import split_of
from connector.models.rules.nouns import Match
from connector.models.rules.ruleset import RuleSet
from connector.models.rules.views import view_of
from connector.models.rules.weights import STRENGTH, Count, Prior, Weights
from connector.types import Event, RawEvent, SourceRef

FROM_SIGMA: Final[frozenset[Basis]] = frozenset({"rule-match", "rule-pattern", "rule-filter"})
"""Labels that a rule's match, pattern or filter gave: a rule's worth learnt from these would be its own echo."""

OF_WHOLE_FILES: Final[frozenset[Basis]] = frozenset({"file-name"})
"""Labels of every event of a file, most of which are ordinary: they teach what a match shows, and nothing of malice."""

_BATCH: Final = 1000
_NOWHERE: Final = SourceRef(siem="corpus", index="rules", id="")
Group = tuple[str, str]


class _Shares:
    """Shares of right answers by group: each group counts once, by the share of its answers that are right."""

    def __init__(self) -> None:
        self._told: dict[Group, list[bool]] = defaultdict(list)

    def add(self, group: Group, right: bool) -> None:
        self._told[group].append(right)

    def count(self) -> Count:
        return Count(sum(sum(told) / len(told) for told in self._told.values()), float(len(self._told)))


class _Tally:
    """What was counted: by rule, and of the events on which none matched."""

    def __init__(self) -> None:
        self.malicious: dict[str, _Shares] = defaultdict(_Shares)
        self.techniques: dict[str, _Shares] = defaultdict(_Shares)
        self.silent = _Shares()
        self.all = _Shares()
        self.levels: dict[str, str] = {}
        self.bases: set[Basis] = set()

    def add(self, group: Group, sample: Sample, matches: Iterable[Match]) -> None:
        shown = {one.partition(".")[0] for told in sample.techniques for one in migrate(told).ids}
        malicious = None if sample.basis in OF_WHOLE_FILES else sample.malicious
        self.bases.add(sample.basis)
        found = tuple(matches)
        if malicious is not None:
            self.all.add(group, malicious)
            if not found:
                self.silent.add(group, malicious)
        for match in found:
            self.levels[match.id] = match.level
            if malicious is not None:
                self.malicious[match.id].add(group, malicious)
            if shown and match.techniques:
                right = not shown.isdisjoint(one.partition(".")[0] for one in match.techniques)
                self.techniques[match.id].add(group, right)


def learn(corpora: Corpora, rules: RuleSet, *, seed: int = 1, recipes: Mapping[str, Recipe] = RECIPES) -> Weights:
    """The worth of each rule that matches an event of the training split of the sources that are there and may train."""
    tally = _Tally()
    stream = _events(corpora, seed, recipes)
    while batch := list(islice(stream, _BATCH)):
        covered = [each for each in batch if rules.covers(view_of(each[2]))]
        for (group, sample, _), found in zip(covered, rules.match([each[2] for each in covered]), strict=True):
            tally.add(group, sample, found)
    malicious = {rule: shares.count() for rule, shares in sorted(tally.malicious.items())}
    techniques = {rule: shares.count() for rule, shares in sorted(tally.techniques.items())}
    return Weights(
        malicious=malicious,
        techniques=techniques,
        malicious_prior=_priors(malicious, tally.levels),
        technique_prior=_priors(techniques, tally.levels),
        silent=tally.silent.count(),
        prevalence=_mean(tally.all.count()),
        labels=tuple(sorted(tally.bases)),
    )


def _events(corpora: Corpora, seed: int, recipes: Mapping[str, Recipe]) -> Iterator[tuple[Group, Sample, Event]]:
    for name, recipe in recipes.items():
        source = corpora.sources.get(name)
        if source is None or not source.may_train or not corpora.holds(name):
            continue
        for sample in recipe(corpora.of([name])):
            if sample.basis in FROM_SIGMA or split_of(name, sample.group, seed) != "train":
                continue
            try:
                raw = RawEvent(deployment="corpus", native_id="", ref=_NOWHERE, data=sample.data)
                yield (name, sample.group), sample, normalise(raw)
            except PermanentError:
                continue


def _priors(counts: Mapping[str, Count], levels: Mapping[str, str]) -> dict[str, Prior]:
    """The prior of each level: the mean of its rules together, as heavy as :data:`STRENGTH` witnesses."""
    by_level: dict[str, list[Count]] = defaultdict(list)
    for rule, count in counts.items():
        by_level[levels[rule]].append(count)
    means = {
        level: _mean(Count(sum(c.right for c in found), sum(c.seen for c in found)))
        for level, found in sorted(by_level.items())
    }
    return {level: Prior(STRENGTH * mean, STRENGTH * (1.0 - mean)) for level, mean in means.items()}


def _mean(count: Count) -> float:
    """A share that is neither 0 nor 1, however few witnesses there are."""
    return (count.right + 1.0) / (count.seen + 2.0)
