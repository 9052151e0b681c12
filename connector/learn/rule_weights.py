"""What each rule is worth, counted on labelled events whose labels do not come of Sigma's rules."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from connector.models.rules.weights import STRENGTH, Count, Prior, Weights
from connector.types import Event, RawEvent, SourceRef

FROM_SIGMA: Final[frozenset[Basis]] = frozenset({"rule-match", "rule-pattern", "rule-filter"})
"""Labels that a rule's match, pattern or filter gave: a rule's worth learnt from these would be its own echo."""

OF_WHOLE_FILES: Final[frozenset[Basis]] = frozenset({"file-name"})
"""Labels of every event of a file, most of which are ordinary: they teach what a match shows, and nothing of malice."""

_NOWHERE: Final = SourceRef(siem="corpus", index="rules", id="")
Group = tuple[str, str]
"""A source, and a file, recording or page of it."""

Kept = Callable[[str, str], bool]
"""Whether a source's group takes part."""


class _Shares:
    """Shares of right answers by group: each group counts once, by the share of its answers that are right."""

    def __init__(self) -> None:
        self._told: dict[Group, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, group: Group, right: bool) -> None:
        self._told[group][right] += 1

    def count(self, kept: Kept) -> Count:
        """Of the groups that are kept."""
        told = [answers for group, answers in self._told.items() if kept(*group)]
        return Count(sum(right / (wrong + right) for wrong, right in told), float(len(told)))


class Witnesses:
    """What was counted, group by group: by rule, and of the events on which none matched.

    One reading of the corpora gives the weights of any part of their groups, such as those outside a fold.
    """

    def __init__(self) -> None:
        self._malicious: dict[str, _Shares] = defaultdict(_Shares)
        self._techniques: dict[str, _Shares] = defaultdict(_Shares)
        self._silent = _Shares()
        self._all = _Shares()
        self._levels: dict[str, str] = {}
        self._bases: dict[Group, set[Basis]] = defaultdict(set)

    def add(self, group: Group, sample: Sample, matches: Iterable[Match]) -> None:
        """One labelled event, with the rules that match it."""
        malicious = None if sample.basis in OF_WHOLE_FILES else sample.malicious
        self.count(group, sample.basis, malicious=malicious, techniques=sample.techniques, matches=matches)

    def count(
        self,
        group: Group,
        basis: Basis,
        *,
        malicious: bool | None,
        techniques: Iterable[str],
        matches: Iterable[Match],
    ) -> None:
        """One event: whether it was malicious, if that is known, and which techniques it showed."""
        shown = {one.partition(".")[0] for told in techniques for one in migrate(told).ids}
        self._bases[group].add(basis)
        found = tuple(matches)
        if malicious is not None:
            self._all.add(group, malicious)
            if not found:
                self._silent.add(group, malicious)
        for match in found:
            self._levels[match.id] = match.level
            if malicious is not None:
                self._malicious[match.id].add(group, malicious)
            if shown and match.techniques:
                right = not shown.isdisjoint(one.partition(".")[0] for one in match.techniques)
                self._techniques[match.id].add(group, right)

    def weights(self, kept: Kept) -> Weights:
        """The worth of each rule that matches an event of a group that is kept."""
        malicious = _counted(self._malicious, kept)
        techniques = _counted(self._techniques, kept)
        return Weights(
            malicious=malicious,
            techniques=techniques,
            malicious_prior=_priors(malicious, self._levels),
            technique_prior=_priors(techniques, self._levels),
            silent=self._silent.count(kept),
            prevalence=_mean(self._all.count(kept)),
            labels=tuple(sorted({basis for group, bases in self._bases.items() if kept(*group) for basis in bases})),
        )


def learn(corpora: Corpora, rules: RuleSet, *, seed: int = 1, recipes: Mapping[str, Recipe] = RECIPES) -> Weights:
    """The worth of each rule that matches an event of the training split of the sources that are there and may train."""

    def trains(source: str, group: str) -> bool:
        return split_of(source, group, seed) == "train"

    return witnesses(corpora, rules, trains, recipes=recipes).weights(trains)


def witnesses(
    corpora: Corpora, rules: RuleSet, kept: Kept = lambda *_: True, *, recipes: Mapping[str, Recipe] = RECIPES
) -> Witnesses:
    """What the labelled events of the groups that are kept say of each rule."""
    found = Witnesses()
    for group, sample, event in _events(corpora, kept, recipes):
        if (heard := rules.heard(event)) is not None:
            found.add(group, sample, tuple(rules.rules[place].match for place in heard))
    return found


def _counted(told: Mapping[str, _Shares], kept: Kept) -> dict[str, Count]:
    counts = {rule: shares.count(kept) for rule, shares in sorted(told.items())}
    return {rule: count for rule, count in counts.items() if count.seen}


def _events(corpora: Corpora, kept: Kept, recipes: Mapping[str, Recipe]) -> Iterator[tuple[Group, Sample, Event]]:
    for name, recipe in recipes.items():
        source = corpora.sources.get(name)
        if source is None or not source.may_train or not corpora.holds(name):
            continue
        for sample in recipe(corpora.of([name])):
            if sample.basis in FROM_SIGMA or not kept(name, sample.group):
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
