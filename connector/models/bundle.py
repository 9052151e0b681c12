"""A loaded bundle: events in, predictions out; what was scored before is not scored again.

An event is looked up by everything that its prediction depends on: the keys of all members. Where one member gives no
key (it has state, or reads more than it can name), the prediction is made anew, and only the scores of the members
with keys come from their caches. A member that needs others is keyed by its own key and theirs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import chain

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.models import fingerprints
from connector.models.cache import Cache
from connector.models.ensemble import TEXT, Combiner, in_order
from connector.models.explain import Explanation, Readable, explain, like
from connector.models.manifest import Manifest, Thresholds
from connector.models.memory import Keys, Memory, joined, keys_of, spoken, taken
from connector.models.neighbours import Examples
from connector.models.predictions import Predictor
from connector.models.site import SiteLayer
from connector.ports import Closes, Member, Settles, State
from connector.telemetry import CACHE, UNTRAINED, Signal, emit
from connector.types import Event, ModelRef, Prediction, Scores, StateChange

EXPLAINED = 10_000
"""Explanations that are remembered by fingerprint: a member that remembers hosts has every copy of an event predicted anew."""


class Bundle:
    """The members of one version, run as one. Several threads may predict at once."""

    def __init__(
        self,
        manifest: Manifest,
        members: Sequence[Member],
        *,
        cache_entries: int = 200_000,
        trained_on: fingerprints.TrainFingerprints | None = None,
        examples: Examples | None = None,
        explains: bool = False,
        attacks: NDArray[np.float64] | None = None,
        site: SiteLayer | None = None,
    ) -> None:
        self.manifest = manifest
        self.attacks = attacks
        self.site = site
        self._cache_entries = cache_entries
        self.model = ModelRef(name=manifest.name, version=manifest.version, attack_version=manifest.attack_version)
        self._ordered = in_order(members)
        self.members: Mapping[str, Member] = {member.name: member for member in members}
        self._all = tuple(members)
        self._names = tuple(self.members)
        evidence = {spec.name: spec.evidence for spec in manifest.members}
        self._combiner = Combiner(members, manifest.labels, manifest.calibration, evidence)
        self._predictor = Predictor(manifest.labels, manifest.thresholds.techniques, manifest.abstention)
        self._alone = Predictor(manifest.labels, manifest.thresholds_alone.techniques, manifest.abstention)
        self._predictions: Cache[Hashable, Prediction] = Cache(cache_entries)
        self._explanations: Cache[tuple[str, bool], tuple[str, ...]] = Cache(min(cache_entries, EXPLAINED))
        rows = cache_entries if len(members) > 1 else 0
        self._memories = {m.name: Memory(m, self._above(m), rows) for m in members}
        self._kinds = frozenset(manifest.canonical_versions)
        self._trained_on = trained_on
        self._examples = examples
        self._explains = explains
        self._reader = _reader(self.members.get(TEXT))

    @property
    def ref(self) -> str:
        """``name/version``."""
        return self.manifest.ref

    @property
    def thresholds(self) -> Thresholds:
        """The levels of p_malicious, and the techniques' thresholds."""
        return self.manifest.thresholds

    @property
    def thresholds_alone(self) -> Thresholds:
        """The same for :meth:`text_alone`."""
        return self.manifest.thresholds_alone

    def on_site(self, layer: SiteLayer | None) -> Bundle:
        """The same members with another site layer, or with none; what was predicted is not remembered."""
        return Bundle(
            self.manifest,
            self._all,
            cache_entries=self._cache_entries,
            trained_on=self._trained_on,
            examples=self._examples,
            explains=self._explains,
            attacks=self.attacks,
            site=layer,
        )

    def saw_in_training(self, fingerprint: str) -> bool:
        """Whether training saw this fingerprint; False too where the bundle does not say what it saw."""
        return self._trained_on is not None and fingerprint in self._trained_on

    def state_keys(self, events: Sequence[Event]) -> Mapping[str, frozenset[str]]:
        """The state rows that each member reads for these events; members without state are left out."""
        wanted = {name: member.state_keys(events) for name, member in self.members.items()}
        return {name: keys for name, keys in wanted.items() if keys}

    def predict(
        self, events: Sequence[Event], states: Mapping[str, State]
    ) -> tuple[list[Prediction], Mapping[str, StateChange]]:
        """One prediction an event, in order, and the state rows that changed, by member."""
        self._count_untrained(events)
        own = keys_of(self._all, events)
        keys = joined(self._names, own)
        found: dict[int, Prediction] = {}
        first: dict[Hashable, int] = {}
        todo: list[int] = []
        for place, key in enumerate(keys):
            if key is None:
                todo.append(place)
            elif (hit := self._predictions.get(key)) is not None:
                found[place] = hit
            elif first.setdefault(key, place) == place:
                todo.append(place)
        CACHE.labels(member="bundle", outcome="hit").inc(len(events) - len(todo))
        CACHE.labels(member="bundle", outcome="miss").inc(len(todo))
        changes: Mapping[str, StateChange] = {}
        if todo:
            asked = {name: [told[place] for place in todo] for name, told in own.items()}
            fresh, changes = self._score([events[place] for place in todo], asked, states)
            for place, prediction in zip(todo, fresh, strict=True):
                found[place] = prediction
                if (key := keys[place]) is not None:
                    self._predictions.put(key, prediction)
        return [found[place] if place in found else found[first[key]] for place, key in enumerate(keys)], changes

    def predict_without_state(self, events: Sequence[Event]) -> list[Prediction]:
        """One prediction an event, in order, by the members that need no state; those that need it have no view."""
        silent = self.state_keys(events).keys()
        if not silent:
            return self.predict(events, {})[0]
        self._count_untrained(events)
        return self._score(events, keys_of(self._all, events), {}, silent)[0]

    def text_alone(self, events: Sequence[Event]) -> list[Prediction]:
        """What the text member alone says of each event: a function of the fingerprint, fit to be published by it.

        Its levels are :attr:`thresholds_alone`.
        A bundle without a text member, or one that needs others, abstains.
        """
        text = self.members.get(TEXT)
        if text is None or text.needs:
            silent = Prediction(p_malicious=math.nan, techniques=(), abstain="no text member stands alone")
            return [silent] * len(events)
        if len(self.members) == 1:
            return self.predict(events, {})[0]
        scores = self._here(events, self._memories[TEXT].score(events, keys_of((text,), events), {}, {})[0])
        alone = Combiner((text,), self.manifest.labels, self.manifest.calibration_alone).combine(
            {TEXT: scores}, len(events)
        )
        return self._alone.predict(alone, (TEXT,), scores.notes)

    def explain(self, event: Event) -> Explanation | None:
        """What weighed most in an event and what it is like, whatever its score; None without a member that reads texts."""
        return None if self._reader is None else explain(event, self._reader, self._examples)

    def settle(self) -> None:
        """Lets members find how many threads are fastest here, by short trials: for what scores long, before it begins."""
        for member in self.members.values():
            if isinstance(member, Settles):
                emit(Signal.THREADS_FOUND, member.name, threads=member.settle())

    def close(self) -> None:
        """Ends what the members hold open."""
        for member in self.members.values():
            if isinstance(member, Closes):
                member.close()

    def _above(self, member: Member) -> tuple[Member, ...]:
        """The member and all that it needs, directly or not."""
        lineage = {member.name: member}
        for need in member.needs:
            lineage |= {above.name: above for above in self._above(self.members[need])}
        return tuple(lineage.values())

    def _score(
        self, events: Sequence[Event], keys: Keys, states: Mapping[str, State], silent: Collection[str] = ()
    ) -> tuple[list[Prediction], Mapping[str, StateChange]]:
        views: dict[str, Scores] = {}
        changes: dict[str, StateChange] = {}
        for member in self._ordered:
            if member.name in silent:
                views[member.name] = _no_view(member, len(events))
                continue
            memory = self._memories[member.name]
            scores, change = memory.score(events, keys, views, states.get(member.name, {}))
            views[member.name] = self._here(events, scores) if member.name == TEXT else scores
            if change.rows:
                changes[member.name] = change
        said = self._said(views, keys)
        unlike = {what: place for place, what in enumerate(said)}
        made = dict(zip(unlike, self._made(views, list(unlike.values())), strict=True))
        predictions = [made[what] for what in said]
        if self._explains:
            predictions = [self._told(event, told) for event, told in zip(events, predictions, strict=True)]
        return predictions, changes

    def _said(self, views: Mapping[str, Scores], keys: Keys) -> list[Hashable]:
        """All that each event's prediction is made of: the members' keys, and of a member that gives none its scores."""
        parts = (spoken(views[name]) if None in keys[name] else keys[name] for name in self._names)
        return list(zip(*parts, strict=True))

    def _made(self, views: Mapping[str, Scores], places: Sequence[int]) -> list[Prediction]:
        """The predictions of some of the events that members have scored."""
        seen = {name: taken(views[name], places) for name in self._names}
        notes = zip(*(seen[name].notes for name in self._names), strict=True)
        combined = self._combiner.combine(seen, len(places))
        return self._predictor.predict(combined, self._names, [tuple(chain.from_iterable(each)) for each in notes])

    def _told(self, event: Event, prediction: Prediction) -> Prediction:
        """The prediction with what it is like, and from ``trigger`` on with what weighed most, if its reader did not say so."""
        p, levels = prediction.p_malicious, self.thresholds
        reader = self._reader
        if reader is None or not p >= levels.suspicious:  # nan is below all
            return prediction
        whole = p >= levels.trigger and not any(note.startswith(f"{reader.name}: ") for note in prediction.explanation)
        key = (event.fingerprint, whole)
        if (told := self._explanations.get(key)) is None:
            told = self._explained(event, reader, whole=whole)
            self._explanations.put(key, told)
        return msgspec.structs.replace(prediction, explanation=(*prediction.explanation, *told))

    def _explained(self, event: Event, reader: Readable, *, whole: bool) -> tuple[str, ...]:
        if whole:
            return explain(event, reader, self._examples).notes(reader.name)
        return Explanation(fields=(), words=(), examples=like(event, reader, self._examples)).notes(reader.name)

    def _here(self, events: Sequence[Event], scores: Scores) -> Scores:
        """The text member's scores as they are on this site."""
        return scores if self.site is None else self.site.adjusted(events, scores)

    def _count_untrained(self, events: Sequence[Event]) -> None:
        kinds = self._kinds
        strange = [event.kind for event in events if event.kind not in kinds]
        for kind, count in Counter(strange).items():
            UNTRAINED.labels(kind=kind).inc(count)


def _reader(member: object) -> Readable | None:
    """The member, where it reads texts by itself."""
    return member if isinstance(member, Readable) and not member.needs else None


def _no_view(member: Member, count: int) -> Scores:
    techniques = np.full((count, len(member.labels)), np.nan, np.float32)
    return Scores(techniques=techniques, p_malicious=np.full(count, np.nan, np.float32), notes=((),) * count)
