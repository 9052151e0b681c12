"""A loaded bundle: events in, predictions out; what was scored before is not scored again.

An event is looked up by everything that its prediction depends on: the keys of all members. Where one member gives no
key (it has state, or reads more than it can name), the prediction is made anew, and only the scores of the members
with keys come from their caches. A member that needs others is keyed by its own key and theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from connector.models import fingerprints
from connector.models.cache import Cache
from connector.models.ensemble import Combiner, in_order
from connector.models.manifest import Manifest, Thresholds
from connector.models.predictions import Predictor
from connector.ports import Closes, Member, State
from connector.telemetry import CACHE, UNTRAINED
from connector.types import Event, ModelRef, Prediction, Scores, StateChange

Row = tuple[NDArray[np.float32], float, tuple[str, ...]]
"""One member's view of one event: techniques, p_malicious, notes."""


class Bundle:
    """The members of one version, run as one. Several threads may predict at once."""

    def __init__(
        self,
        manifest: Manifest,
        members: Sequence[Member],
        *,
        cache_entries: int = 200_000,
        trained_on: fingerprints.TrainFingerprints | None = None,
    ) -> None:
        self.manifest = manifest
        self.model = ModelRef(name=manifest.name, version=manifest.version, attack_version=manifest.attack_version)
        self._ordered = in_order(members)
        self.members: Mapping[str, Member] = {member.name: member for member in members}
        self._all = tuple(members)
        self._names = tuple(self.members)
        self._lineage = {member.name: self._above(member) for member in members}
        self._combiner = Combiner(members, manifest.labels, manifest.calibration)
        self._predictor = Predictor(manifest.labels, manifest.thresholds.techniques, manifest.abstention)
        self._predictions: Cache[Hashable, Prediction] = Cache(cache_entries)
        self._rows: dict[str, Cache[Hashable, Row]] = (
            {name: Cache(cache_entries) for name in self._names} if len(members) > 1 else {}
        )
        self._kinds = frozenset(manifest.canonical_versions)
        self._trained_on = trained_on

    @property
    def ref(self) -> str:
        """``name/version``."""
        return self.manifest.ref

    @property
    def thresholds(self) -> Thresholds:
        """The levels of p_malicious, and the techniques' thresholds."""
        return self.manifest.thresholds

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
        keys = self._keys(events)
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
            fresh, changes = self._score([events[place] for place in todo], states)
            for place, prediction in zip(todo, fresh, strict=True):
                found[place] = prediction
                if (key := keys[place]) is not None:
                    self._predictions.put(key, prediction)
        return [found[place] if place in found else found[first[key]] for place, key in enumerate(keys)], changes

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

    def _keys(self, events: Sequence[Event]) -> list[Hashable]:
        """Everything that each event's prediction depends on; None where a member cannot name it."""
        return _joined(self._all, events)

    def _score(
        self, events: Sequence[Event], states: Mapping[str, State]
    ) -> tuple[list[Prediction], Mapping[str, StateChange]]:
        views: dict[str, Scores] = {}
        changes: dict[str, StateChange] = {}
        for member in self._ordered:
            views[member.name], change = self._view(member, events, views, states.get(member.name, {}))
            if change.rows:
                changes[member.name] = change
        combined = self._combiner.combine(views, len(events))
        notes = [tuple(note for name in self._names for note in views[name].notes[row]) for row in range(len(events))]
        return self._predictor.predict(combined, self._names, notes), changes

    def _view(
        self, member: Member, events: Sequence[Event], views: Mapping[str, Scores], state: State
    ) -> tuple[Scores, StateChange]:
        """A member's scores of these events, those it scored before from its cache."""
        needed = {name: views[name] for name in member.needs}
        cache = self._rows.get(member.name)
        if cache is None:
            return member.score(events, needed, state)
        keys = _joined(self._lineage[member.name], events)
        rows: dict[Hashable, Row] = {}
        todo: list[int] = []
        for place, key in enumerate(keys):
            if key is None:
                todo.append(place)
            elif key not in rows:
                if (row := cache.get(key)) is None:
                    todo.append(place)
                    row = _PENDING
                rows[key] = row
        scores, change = member.score(
            [events[place] for place in todo], {name: _taken(view, todo) for name, view in needed.items()}, state
        )
        fresh: dict[int, Row] = {}
        for i, place in enumerate(todo):
            fresh[place] = (scores.techniques[i].copy(), float(scores.p_malicious[i]), scores.notes[i])
            if (key := keys[place]) is not None:
                rows[key] = fresh[place]
                cache.put(key, fresh[place])
        CACHE.labels(member=member.name, outcome="hit").inc(len(events) - len(todo))
        CACHE.labels(member=member.name, outcome="miss").inc(len(todo))
        return _stacked([fresh[p] if p in fresh else rows[k] for p, k in enumerate(keys)], member), change

    def _count_untrained(self, events: Sequence[Event]) -> None:
        kinds = self._kinds
        strange = [event.kind for event in events if event.kind not in kinds]
        for kind, count in Counter(strange).items():
            UNTRAINED.labels(kind=kind).inc(count)


_PENDING: Row = (np.empty(0, np.float32), float("nan"), ())


def _joined(members: Sequence[Member], events: Sequence[Event]) -> list[Hashable]:
    """The members' keys of each event as one; None where a member gives none."""
    if len(members) == 1:
        key_of = members[0].key
        return [key_of(event) for event in events]
    joined: list[Hashable] = []
    for event in events:
        keys = tuple([member.key(event) for member in members])
        joined.append(None if None in keys else keys)
    return joined


def _taken(view: Scores, places: Sequence[int]) -> Scores:
    return Scores(
        techniques=view.techniques[places],
        p_malicious=view.p_malicious[places],
        notes=tuple(view.notes[place] for place in places),
    )


def _stacked(rows: Sequence[Row], member: Member) -> Scores:
    return Scores(
        techniques=np.array([row[0] for row in rows], np.float32).reshape(len(rows), len(member.labels)),
        p_malicious=np.array([row[1] for row in rows], np.float32),
        notes=tuple(row[2] for row in rows),
    )
