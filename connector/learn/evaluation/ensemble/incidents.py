"""A recording replayed through the entity view: after how many events of the attack there is an incident of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.training.ensemble.opinions import Fold
from connector.learn.training.ensemble.recorded import ATTACK, BACKGROUND, Part, Recorded
from connector.pipeline.entities.fold import Contribution, add
from connector.pipeline.entities.incidents import taken
from connector.pipeline.entities.nouns import EntityState, IncidentState
from connector.pipeline.entities.points import points_of

LEAST, SHARE = 20, 0.1
"""An attack is found in time where it is part of an incident within its first 20 events, or its first tenth."""

PER: Final = 100_000

Named: TypeAlias = Callable[[NDArray[np.intp]], Sequence[tuple[str, ...]]]
"""For some of a fold's events the parents of the techniques that passed, the likeliest first."""


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """One recording. ``after``: events of the attack up to the first that was part of an incident; None: none was.

    ``false`` are incidents that no event of the attack, and none that may be of it, is part of. ``opened`` are those that
    background events opened and the attack joined: it was raised by what alarmed already.
    """

    recording: str
    set: str
    attack: int
    background: int
    after: int | None
    incidents: int
    false: int
    opened: int

    @property
    def in_time(self) -> bool:
        """Whether the attack was raised within its first 20 events or tenth."""
        return self.after is not None and self.after <= max(LEAST, SHARE * self.attack)


def replayed(
    recorded: Recorded, fold: Fold, p_malicious: NDArray[np.float64], levels: Mapping[str, float], named: Named
) -> list[Raised]:
    """Every recording of the fold, each on its own: all that is suspicious, in the order in which it was recorded."""
    suspicious = np.flatnonzero(p_malicious >= levels["suspicious"])  # nan is below all
    techniques = dict(zip(suspicious.tolist(), named(suspicious), strict=True))
    found, start = [], 0
    for number in fold.parts:
        part = recorded.parts[number]
        stop = start + part.stop - part.start
        if part.known:
            mine = suspicious[(suspicious >= start) & (suspicious < stop)]
            found.append(_of(recorded, part, _contributions(recorded, fold, mine, p_malicious, levels, techniques)))
        start = stop
    return found


def _contributions(  # noqa: PLR0917 (one caller, above)
    recorded: Recorded,
    fold: Fold,
    places: NDArray[np.intp],
    p_malicious: NDArray[np.float64],
    levels: Mapping[str, float],
    techniques: Mapping[int, tuple[str, ...]],
) -> list[tuple[int, Contribution]]:
    """(place among all recorded events, what it adds) of each suspicious event that is somebody's."""
    found = []
    for place in places.tolist():
        event = int(fold.events[place])
        whose = recorded.whose[int(recorded.owner[event])]
        if whose:
            points = points_of(float(p_malicious[place]), levels["suspicious"])
            one = Contribution(
                event=str(event), at=int(recorded.at[event]), points=points, techniques=techniques[place], whose=whose
            )
            found.append((event, one))
    return found


def _of(recorded: Recorded, part: Part, contributions: Sequence[tuple[int, Contribution]]) -> Raised:
    entities: dict[str, EntityState] = {}
    incidents: dict[str, IncidentState] = {}
    sides: dict[str, list[int]] = {}
    label = recorded.label[part.start : part.stop]
    before = np.cumsum(label == ATTACK)
    after: int | None = None
    for event, contribution in contributions:
        whose = [entities.get(key) or EntityState(key=key, entity=of, newest=0) for key, of in contribution.whose]
        outcome = taken(contribution, [add(state, contribution) for state in whose], incidents)
        entities |= {state.key: state for state in outcome.states}
        incidents |= outcome.incidents
        if outcome.incident is not None:
            side = int(label[event - part.start])
            sides.setdefault(outcome.incident, []).append(side)
            if side == ATTACK and after is None:
                after = int(before[event - part.start])
    return Raised(
        recording=part.name,
        set=part.set,
        attack=int((label == ATTACK).sum()),
        background=int((label == BACKGROUND).sum()),
        after=after,
        incidents=len(incidents),
        false=sum(set(found) == {BACKGROUND} for found in sides.values()),
        opened=sum(found[0] == BACKGROUND and ATTACK in found for found in sides.values()),
    )
