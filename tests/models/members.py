"""Members as a third party could write them: a few lines each, with a known answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from connector.ports import State
from connector.types import Event, Scores, StateChange


def scores(techniques: Sequence[Sequence[float]], p_malicious: Sequence[float]) -> Scores:
    return Scores(
        techniques=np.array(techniques, np.float32).reshape(len(p_malicious), -1),
        p_malicious=np.array(p_malicious, np.float32),
        notes=((),) * len(p_malicious),
    )


class Fixed:
    """Gives every event whose text holds ``word`` the same score, and has no view of any other."""

    def __init__(self, name: str, p: float, *, word: str = "", labels=("T1059",), needs=(), cached: bool = True):
        self.name = name
        self.labels = tuple(labels)
        self.needs = tuple(needs)
        self.scored: list[str] = []
        self._p, self._word, self._cached = p, word, cached

    def key(self, event: Event) -> str | None:
        return event.fingerprint if self._cached else None

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        self.scored += [event.id for event in events]
        seen = [self._word in str(event.canonical) for event in events]
        p = [self._p if s else float("nan") for s in seen]
        return scores([[x] * len(self.labels) for x in p], p), StateChange()


class Highest(Fixed):
    """A meta member: the highest of the votes that it needs, for techniques and malice alike."""

    def __init__(self, name: str, needs: Sequence[str], **options):
        super().__init__(name, 0.0, needs=needs, **options)

    def key(self, event: Event) -> str | None:
        return "" if self._cached else None

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        self.scored += [event.id for event in events]
        assert set(views) == set(self.needs)
        best = np.fmax.reduce([views[need].p_malicious for need in self.needs])
        return scores([[x] * len(self.labels) for x in best], best.tolist()), StateChange()


class Counting(Fixed):
    """Counts the events that it has seen in one state row; its vote grows with them."""

    def __init__(self, name: str):
        super().__init__(name, 0.0, cached=False)

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        return frozenset({"seen"}) if events else frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        version, value = state.get("seen", (0, b"0"))
        start = int(value)
        p = [min(0.9, 0.1 * (start + i + 1)) for i in range(len(events))]
        rows = {"seen": (version, str(start + len(events)).encode())}
        return scores([[x] for x in p], p), StateChange(rows=rows)


class Columned(Fixed):
    """Gives no key, and its techniques as they come from a table of columns: in Fortran's order."""

    def __init__(self, name: str, p: float, **options):
        super().__init__(name, p, cached=False, **options)

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        said, change = super().score(events, views, state)
        return msgspec.structs.replace(said, techniques=np.asfortranarray(said.techniques)), change


class Reciting(Fixed):
    """Gives no key; says of one event after the other what its script has: a vote, and a note where that is not empty."""

    def __init__(self, name: str, script: Sequence[tuple[float, str]]):
        super().__init__(name, 0.0, cached=False)
        self._script = list(script)

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        said, self._script = self._script[: len(events)], self._script[len(events) :]
        p = [vote for vote, _ in said]
        notes = tuple((note,) if note else () for _, note in said)
        return msgspec.structs.replace(scores([[vote] for vote in p], p), notes=notes), StateChange()
