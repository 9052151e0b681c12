"""What is still found of a command that is written otherwise: recall and alarms, before and after, by mutation and family."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from connector.errors import ConfigError, PermanentError
from connector.events import normalise, render
from connector.learn.corpora import administration, atomic, open_xp_rules, scripts, tldr
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora, Recipe
from connector.learn.corpora.wrap import seeded
from connector.learn.dataset import split_of
from connector.learn.evaluation import lolbas
from connector.learn.evasion.events import line_of, mutated
from connector.learn.evasion.families import LEFT_OUT, MUTATIONS
from connector.learn.evasion.line import Mutation
from connector.learn.near_duplicates import clusters
from connector.learn.scrub import scrub
from connector.models import Bundle
from connector.types import Event, RawEvent, SourceRef

ATTACKS: Mapping[str, Recipe] = {
    atomic.NAME: atomic.samples,
    open_xp_rules.NAME: open_xp_rules.samples,
    lolbas.NAME: lolbas.samples,
}
ORDINARY: Mapping[str, Recipe] = {
    administration.NAME: administration.samples,
    tldr.NAME: tldr.samples,
    scripts.RUNNER_IMAGES: scripts.runner_images,
    scripts.CHOCOLATEY: scripts.chocolatey,
}
"""Sources of whole commands. Events that are made from a rule's patterns are left alone: nobody could run those pieces."""

_BATCH = 256


class Case(msgspec.Struct, frozen=True, eq=False):
    """One left-out event that shows a command."""

    source: str
    malicious: bool
    event: Event


class Tally(msgspec.Struct, kw_only=True):
    """Events of one class under one mutation: how many, how many read otherwise now, and how many are flagged."""

    events: int = 0
    changed: int = 0
    before: int = 0
    after: int = 0

    def add(self, *, changed: bool, before: bool, after: bool) -> None:
        """Counts one event."""
        self.events += 1
        self.changed += changed
        self.before += before
        self.after += after

    def plus(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            events=self.events + other.events,
            changed=self.changed + other.changed,
            before=self.before + other.before,
            after=self.after + other.after,
        )


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A mutation, or a whole family (``mutation`` empty). ``kept`` is recall after by recall before; None where that was 0."""

    family: str
    mutation: str
    left_out: bool
    attacks: Tally
    ordinary: Tally
    kept: float | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole measurement. ``clean`` is by source: events, and how many are flagged as they are."""

    bundle: str
    level: str
    threshold: float
    seed: int
    clean: Mapping[str, Tally]
    recall: float | None
    alarms: float | None
    families: tuple[Row, ...]
    mutations: tuple[Row, ...]


def left_out(corpora: Corpora, *, seed: int, limit: int, split: str | None = None) -> list[Case]:
    """Events with a command of groups that training did not see, at most ``limit`` a source, the same ones every time.

    ``seed`` is the one that the bundle's dataset was split by; of a source that may not train, every group is left out.
    What a training group of any of these sources holds too, word for word or nearly, is not taken. With ``split`` the groups
    are those of that split alone: what a recipe is chosen by must not be what it is tried on.
    """
    found: dict[str, dict[str, Case]] = {}
    trained: dict[str, Event] = {}
    for source, recipe in {**ATTACKS, **ORDINARY}.items():
        trains = corpora.sources[source].may_train
        cases = found.setdefault(source, {})
        for sample in recipe(corpora):
            event = _event(sample, source)
            if event is None:
                continue
            own = split_of(source, sample.group, seed) if trains else None
            if own == "train":
                trained.setdefault(event.fingerprint, event)
            elif split in {None, own} and sample.malicious is (source in ATTACKS) and line_of(event):
                cases.setdefault(event.fingerprint, Case(source, source in ATTACKS, event))
    unseen = apart([case for cases in found.values() for _, case in sorted(cases.items())], trained)
    return [case for source in found for case in [one for one in unseen if one.source == source][:limit]]


def apart(cases: Iterable[Case], trained: Mapping[str, Event]) -> list[Case]:
    """The cases that are no event of ``trained``, by fingerprint, and no near copy of one."""
    fresh = [case for case in cases if case.event.fingerprint not in trained]
    events = [*trained.values(), *(case.event for case in fresh)]
    firsts = clusters([render(event.canonical) for event in events])
    seen = set(firsts[: len(trained)])
    return [case for case, first in zip(fresh, firsts[len(trained) :], strict=True) if first not in seen]


def _event(sample: Sample, source: str) -> Event | None:
    native = f"{source}:{sample.group}:{sample.record}"
    ref = SourceRef(siem="corpus", index=source, id=native)
    try:
        return normalise(RawEvent(deployment="corpus", native_id=native, ref=ref, data=scrub(sample.data)))
    except PermanentError:
        return None


def measure(bundle: Bundle, cases: Sequence[Case], *, level: str, seed: int = 0, alarms: float | None = None) -> Report:
    """Scores every case as it is and under every mutation that applies to it, at one threshold.

    The threshold is the bundle's own of that level; with ``alarms`` the one that this share of the clean harmless
    commands reaches, which says nothing of false alarms and more of what mutations do.
    """
    scores = _Scores(bundle)
    texts = {case: render(case.event.canonical) for case in cases}
    scores.learn(case.event for case in texts)
    threshold = bundle.thresholds.levels()[level]
    if alarms is not None:
        threshold = exceeded_by(alarms, [scores[case.event] for case in texts if not case.malicious])
    clean: dict[str, Tally] = defaultdict(Tally)
    for case in texts:
        hit = scores[case.event] >= threshold
        clean[case.source].add(changed=False, before=hit, after=hit)
    rows = [_row(mutation, texts, scores, threshold, seed) for mutation in MUTATIONS]
    return Report(
        bundle=bundle.ref,
        level=level if alarms is None else f"{alarms:.2%} of clean harmless commands",
        threshold=threshold,
        seed=seed,
        clean=dict(clean),
        recall=_share(clean, ATTACKS),
        alarms=_share(clean, ORDINARY),
        families=tuple(_family(name, rows) for name in dict.fromkeys(row.family for row in rows)),
        mutations=tuple(rows),
    )


class _Scores:
    """p_malicious by event; what was scored before is not scored again. No view counts as 0.

    A lone text member reads texts, so equal ones have one score. Among several, some read what no text tells.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: dict[str | bytes, float] = {}

    def learn(self, events: Iterable[Event]) -> None:
        """Scores the events that are new."""
        new = {key: event for event in events if (key := self._key(event)) not in self._known}
        keys = list(new)
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            predictions = self._bundle.predict_without_state([new[key] for key in part])
            for key, prediction in zip(part, predictions, strict=True):
                self._known[key] = 0.0 if math.isnan(prediction.p_malicious) else prediction.p_malicious

    def __getitem__(self, event: Event) -> float:
        return self._known[self._key(event)]

    def _key(self, event: Event) -> str | bytes:
        return render(event.canonical) if len(self._bundle.members) == 1 else msgspec.json.encode(event.ecs)


def exceeded_by(share: float, scores: Sequence[float]) -> float:
    """The lowest threshold that at most this share of the scores reaches; above 1 where every one of them is 1."""
    if not scores:
        raise ConfigError("no harmless command to set a threshold by")
    highest = sorted(scores, reverse=True)
    return math.nextafter(highest[min(int(share * len(scores)), len(scores) - 1)], 2.0)


def _row(mutation: Mutation, cases: Mapping[Case, str], scores: _Scores, threshold: float, seed: int) -> Row:
    """One mutation of all cases, which are given with their texts."""
    written: list[tuple[Case, str, Event]] = []
    for case in cases:
        draw = seeded(str(seed), mutation.name, case.event.fingerprint)
        if other := mutated(case.event, mutation, draw):
            written.append((case, render(other.canonical), other))
    scores.learn(other for _, _, other in written)
    attacks, ordinary = Tally(), Tally()
    for case, text, other in written:
        tally = attacks if case.malicious else ordinary
        before, after = scores[case.event] >= threshold, scores[other] >= threshold
        tally.add(changed=text != cases[case], before=before, after=after)
    return _of(mutation.family, mutation.name, attacks, ordinary)


def _family(name: str, rows: Sequence[Row]) -> Row:
    attacks, ordinary = Tally(), Tally()
    for row in rows:
        if row.family == name:
            attacks, ordinary = attacks.plus(row.attacks), ordinary.plus(row.ordinary)
    return _of(name, "", attacks, ordinary)


def _of(family: str, mutation: str, attacks: Tally, ordinary: Tally) -> Row:
    kept = attacks.after / attacks.before if attacks.before else None
    return Row(
        family=family,
        mutation=mutation,
        left_out=family in LEFT_OUT,
        attacks=attacks,
        ordinary=ordinary,
        kept=kept,
    )


def _share(clean: Mapping[str, Tally], sources: Iterable[str]) -> float | None:
    tallies = [clean[source] for source in sources if source in clean]
    events = sum(tally.events for tally in tallies)
    return sum(tally.before for tally in tallies) / events if events else None
