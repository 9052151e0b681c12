"""What members that never saw a stream say of its events: the only scores that a meta-classifier is taught or judged by.

Streams are left out by site: every recording whose hosts share a domain is in one fold, and so are the campaigns. For each
fold there is a text network and there are rule weights that knew none of its sites. What a member says of distinct events
is kept once an event's fingerprint; what a member with a memory says is kept event by event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.evaluation.folds import Fit
from connector.learn.evaluation.truth import group_of
from connector.learn.training.calibrate import ADMINISTRATION
from connector.learn.training.ensemble.recorded import ATTACK, BACKGROUND, Recorded
from connector.learn.training.ensemble.text_folds import Says
from connector.models.commons import Commons, table
from connector.models.meta import FAMILIES, PER_MEMBER, family, of_member, rarity, width
from connector.models.rules.weights import Weights
from connector.types import Scores

TEXT, RULES, SEQUENCE = "text", "rules", "sequence"

PREVALENCE: Final = 0.5
"""What every member's probability of malice is stated for."""

Floats = NDArray[np.float32]


class Fold(msgspec.Struct, frozen=True, eq=False):
    """One fold's streams, and what is said of their events.

    ``parts`` are places among the recorded streams; ``events`` (n,) places among their events, ``marks`` (m,) the distinct
    ones, and ``of`` (n,) the place of each event's own among these. ``views`` are of the distinct events, ``remembered`` of
    all n; their techniques are in ``labels``. ``context`` (m, 1 + families) is how common each distinct event is outside
    the fold, and its family. ``administration`` is what the text network says of the fold's left-out rows of
    administrators' commands, and ``administrators`` their groups: a row has a text alone, so no other member has a view.
    """

    name: str
    parts: tuple[int, ...]
    events: NDArray[np.intp]
    marks: NDArray[np.int32]
    of: NDArray[np.intp]
    labels: Mapping[str, tuple[str, ...]]
    views: Mapping[str, Scores]
    remembered: Mapping[str, Scores]
    context: Floats
    administration: Scores
    administrators: tuple[str, ...]

    def p_malicious(self, member: str) -> Floats:
        """What a member says of malice (n,); nan where it has no view."""
        if member in self.remembered:
            return self.remembered[member].p_malicious
        return self.views[member].p_malicious[self.of]

    def techniques(self, member: str, chosen: NDArray[np.intp]) -> Floats:
        """Its techniques (k, labels) for some of the events."""
        if member in self.remembered:
            return self.remembered[member].techniques[chosen]
        return self.views[member].techniques[self.of[chosen]]

    def features(self, members: Sequence[str], chosen: NDArray[np.intp] | None = None) -> Floats:
        """The meta-classifier's features (k, width) of some of the events, or of all; other members have no view."""
        rows = np.arange(len(self.events)) if chosen is None else chosen
        found = np.full((len(rows), width(members)), np.nan, np.float32)
        for number, name in enumerate(members):
            columns = slice(PER_MEMBER * number, PER_MEMBER * (number + 1))
            if name in self.remembered:
                said = self.remembered[name]
                found[:, columns] = of_member(said.p_malicious[rows], said.techniques[rows], self.labels[name])
            elif name in self.views:
                said = self.views[name]
                found[:, columns] = of_member(said.p_malicious, said.techniques, self.labels[name])[self.of[rows]]
        found[:, PER_MEMBER * len(members) :] = self.context[self.of[rows]]
        return found

    def of_administration(self, members: Sequence[str]) -> Floats:
        """The features (a, width) of the rows of administration: process starts that no recording has."""
        said = self.administration
        found = np.full((len(said.p_malicious), width(members)), np.nan, np.float32)
        rest = PER_MEMBER * len(members)
        found[:, rest:] = 0.0
        found[:, rest + 1 + (family("sysmon-1") or 0)] = 1.0
        if TEXT in members:
            first = PER_MEMBER * list(members).index(TEXT)
            found[:, first : first + PER_MEMBER] = of_member(said.p_malicious, said.techniques, self.labels[TEXT])
        return found


def left_out(recorded: Recorded, fits: Sequence[Fit]) -> Iterator[tuple[Fit, tuple[int, ...]]]:
    """The streams of each fold. Those of a site of which no row is in the dataset are in the last fold: none saw them."""
    sites = {site: number for number, fit in enumerate(fits) for site in fit.sites}
    of = [sites.get(part.site, len(fits) - 1) for part in recorded.parts]
    for number, fit in enumerate(fits):
        yield fit, tuple(place for place, fold in enumerate(of) if fold == number)


def opinions(
    recorded: Recorded, fit: Fit, parts: tuple[int, ...], *, text: Says, weights: Weights, labels: tuple[str, ...]
) -> Fold:
    """What the text network and the rules of a fold say of its streams. ``labels`` are the text member's own."""
    rows = [row for row in fit.test if row.basis in ADMINISTRATION]
    events = np.concatenate([np.arange(recorded.parts[part].start, recorded.parts[part].stop) for part in parts])
    marks, of = np.unique(recorded.mark[events], return_inverse=True)
    others = [number for number in range(len(recorded.parts)) if number not in set(parts)]
    spoken = rule_labels(recorded)
    return Fold(
        name=fit.name,
        parts=parts,
        events=events,
        marks=marks,
        of=of,
        labels={TEXT: labels, RULES: spoken},
        views={
            TEXT: _text([recorded.marks[mark].text for mark in marks], text, labels),
            RULES: rules_of(recorded, marks, weights, spoken),
        },
        remembered={},
        context=context(recorded, marks, table(recorded.groups_of(others))),
        administration=_text([row.text for row in rows], text, labels),
        administrators=tuple("/".join(group_of(row)) for row in rows),
    )


def rule_labels(recorded: Recorded) -> tuple[str, ...]:
    """Every technique that a rule names, with its parent."""
    named = {technique for match in recorded.rules for technique in match.techniques}
    return tuple(sorted(named | {technique.partition(".")[0] for technique in named}))


def rules_of(
    recorded: Recorded, marks: Sequence[int] | NDArray[np.int32], weights: Weights, labels: tuple[str, ...]
) -> Scores:
    """What the rules that match are worth, as the rules member says it."""
    column = {label: place for place, label in enumerate(labels)}
    techniques = np.full((len(marks), len(labels)), np.nan, np.float32)
    votes = np.full(len(marks), np.nan, np.float32)
    for row, mark in enumerate(marks):
        matches = recorded.marks[mark].matches
        if matches is None:
            continue
        found = [recorded.rules[place] for place in matches if recorded.rules[place].level != "informational"]
        votes[row] = weights.malice(found, PREVALENCE)
        techniques[row] = 0.0
        for label, worth in weights.shown(found).items():
            techniques[row, column[label]] = worth
    return Scores(techniques=techniques, p_malicious=votes, notes=())


def context(recorded: Recorded, marks: Sequence[int] | NDArray[np.int32], known: Commons) -> Floats:
    """How common each distinct event is, and its family, as the meta-classifier's features have them."""
    found = np.zeros((len(marks), 1 + len(FAMILIES)), np.float32)
    found[:, 0] = rarity([known.groups(recorded.marks[mark].fingerprint) for mark in marks])
    for row, mark in enumerate(marks):
        if (column := family(recorded.marks[mark].kind)) is not None:
            found[row, 1 + column] = 1.0
    return found


def truth(recorded: Recorded, fold: Fold) -> NDArray[np.float32]:
    """Whether each event of the fold is the attack's (n,); nan where that is not known."""
    label = recorded.label[fold.events]
    known = np.array([part.known for part in recorded.parts])[recorded.part[fold.events]]
    return np.where(known & (label == ATTACK), 1.0, np.where(known & (label == BACKGROUND), 0.0, np.nan)).astype(
        np.float32
    )


def _text(texts: Sequence[str], text: Says, labels: tuple[str, ...]) -> Scores:
    """In the labels of the text member that ships; what the fold's network does not know is nan."""
    said, votes = text.said(texts)
    own = {label: column for column, label in enumerate(text.labels)}
    techniques = np.full((len(texts), len(labels)), np.nan, np.float32)
    shared = [(place, own[label]) for place, label in enumerate(labels) if label in own]
    techniques[:, [place for place, _ in shared]] = said[:, [column for _, column in shared]]
    return Scores(techniques=techniques, p_malicious=votes, notes=())
