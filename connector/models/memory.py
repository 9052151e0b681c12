"""A member with a memory: what it scored before under the same key is not scored again."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from connector.models.cache import Cache
from connector.ports import Member, State
from connector.telemetry import CACHE
from connector.types import Event, Scores, StateChange

Row = tuple[NDArray[np.float32], float, tuple[str, ...]]
"""A member's view of one event: techniques, p_malicious, notes."""

Keys: TypeAlias = Mapping[str, Sequence[str | None]]
"""Every member's key of each event of a batch, by the member's name. Asked for once a batch: to name what is read costs."""


class Memory:
    """Asks one member, and only for what it does not remember.

    ``lineage`` is the member and all that it needs: its score depends on all their keys. A ``capacity`` of 0 is for a
    bundle of one member, whose predictions are remembered whole: then every call goes through.
    """

    def __init__(self, member: Member, lineage: Sequence[Member], capacity: int) -> None:
        self._member = member
        self._lineage = tuple(above.name for above in lineage)
        self._rows: Cache[Hashable, Row] | None = Cache(capacity) if capacity else None

    def score(
        self, events: Sequence[Event], keys: Keys, views: Mapping[str, Scores], state: State
    ) -> tuple[Scores, StateChange]:
        """The member's scores of these events, and the state rows that changed. ``keys``: at least those of the lineage."""
        needed = {name: views[name] for name in self._member.needs}
        if self._rows is None:
            return self._member.score(events, needed, state)
        together = joined(self._lineage, keys)
        if together and together.count(None) == len(together):
            CACHE.labels(member=self._member.name, outcome="miss").inc(len(events))
            return self._member.score(events, needed, state)
        first, which = _apart(together)
        rows = [None if (key := together[place]) is None else self._rows.get(key) for place in first]
        todo = [place for place, row in zip(first, rows, strict=True) if row is None]
        change = StateChange()
        if todo:
            asked = {name: taken(view, todo) for name, view in needed.items()}
            scores, change = self._member.score([events[place] for place in todo], asked, state)
            fresh = iter(zip(scores.techniques, scores.p_malicious.tolist(), scores.notes, strict=True))
            for number, place in enumerate(first):
                if rows[number] is None:
                    techniques, p_malicious, notes = next(fresh)
                    row = rows[number] = (techniques.copy(), p_malicious, notes)
                    if (key := together[place]) is not None:
                        self._rows.put(key, row)
        CACHE.labels(member=self._member.name, outcome="hit").inc(len(events) - len(todo))
        CACHE.labels(member=self._member.name, outcome="miss").inc(len(todo))
        return self._stacked([row for row in rows if row is not None], which), change

    def _stacked(self, rows: Sequence[Row], which: Sequence[int]) -> Scores:
        """A row for each event, most of which have one in common."""
        techniques = np.array([row[0] for row in rows], np.float32).reshape(len(rows), len(self._member.labels))
        return Scores(
            techniques=techniques[which],
            p_malicious=np.array([row[1] for row in rows], np.float32)[which],
            notes=tuple([rows[number][2] for number in which]),
        )


def keys_of(members: Sequence[Member], events: Sequence[Event]) -> Keys:
    """Asks the members for their keys of a batch, one event after the other: what one has read of it is near for the next."""
    each = [[member.key(event) for member in members] for event in events]
    return {member.name: [keys[place] for keys in each] for place, member in enumerate(members)}


def joined(names: Sequence[str], keys: Keys) -> list[Hashable]:
    """These members' keys of each event as one; None where a member gives none."""
    if len(names) == 1:
        return list(keys[names[0]])
    return [None if None in key else key for key in zip(*(keys[name] for name in names), strict=True)]


def _apart(keys: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """The first place of each key, and which of these each event shares; an event without a key shares none."""
    numbers: dict[Hashable, int] = {}
    first: list[int] = []
    which: list[int] = []
    for place, key in enumerate(keys):
        number = None if key is None else numbers.get(key)
        if number is None:
            number = len(first)
            first.append(place)
            if key is not None:
                numbers[key] = number
        which.append(number)
    return first, which


def spoken(view: Scores) -> list[Hashable]:
    """What a member says of each event, to be told apart by."""
    # a member may give its techniques column by column in memory
    scores = np.ascontiguousarray(np.column_stack([view.techniques, view.p_malicious]))
    rows = scores.view(np.dtype((np.void, scores.shape[1] * scores.itemsize))).ravel().tolist()
    return list(zip(rows, view.notes, strict=True))


def taken(view: Scores, places: Sequence[int]) -> Scores:
    """What a member says of some of the events."""
    return Scores(
        techniques=view.techniques[places],
        p_malicious=view.p_malicious[places],
        notes=tuple(view.notes[place] for place in places),
    )
