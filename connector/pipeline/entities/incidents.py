"""Incidents: entities whose risk is high at once, joined by the events that name them together.

An incident opens where an entity's risk reaches :data:`OPENS_AT` by at least two techniques: no event is one by itself,
however sure its verdict. It is over for an entity once its risk has decayed to :data:`ENDS_AT`. An entity whose risk gets so high by an event of another one that is part of an incident joins that one.
Two incidents are never made one: an id that was given to a playbook stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from connector import identity
from connector.pipeline.entities import fold
from connector.pipeline.entities.fold import Added, Contribution, highest, in_time, joined
from connector.pipeline.entities.nouns import EntityState, IncidentState, Step
from connector.pipeline.entities.points import falls_to, risk_at
from connector.types import Entity, Noun

OPENS_AT: Final = 100.0
"""The risk that opens an incident: what Splunk's risk-based alerting asks for, within a day, too."""

ENDS_AT: Final = OPENS_AT / 2
"""The risk at which it is over; half, so that a risk about the limit makes one incident and not many."""

MOST_ENTITIES: Final = 16
"""Entities of one incident. Beyond, an entity opens its own: an account that acts everywhere joins no whole site."""

MOST_STEPS: Final = 2 * fold.MOST_STEPS
"""Techniques that an incident's chain keeps: the first ones."""


class Outcome(Noun, frozen=True):
    """The entities of an event after it, and the incident that it is part of, if any."""

    states: tuple[EntityState, ...]
    incident: str | None
    incidents: Mapping[str, IncidentState]
    """The incidents that the event changed."""


def taken(contribution: Contribution, added: Sequence[Added], known: Mapping[str, IncidentState]) -> Outcome:
    """What an event makes of incidents. ``known`` are those that its entities were part of last."""
    changed: dict[str, IncidentState] = {}
    states: list[EntityState] = []
    home = next((a.state.incident for a in added if _is_part(a.state, contribution.at, known)), None)
    for gained in added:
        state = gained.state
        if fold.is_late(state, contribution.at):
            states.append(state)
            continue
        mine = state.incident if _is_part(state, contribution.at, known) else None
        if mine is None and highest(state, contribution.at) >= OPENS_AT:
            mine = home if home is not None and _has_room(changed.get(home) or known[home]) else None
            if mine is None and highest(state, contribution.at, techniques=2) >= OPENS_AT:
                mine = identity.derive("incident", state.key, contribution.event)
            home = home or mine
        if mine is not None:
            before = changed.get(mine) or known.get(mine) or _opened(mine, state.key, contribution.at)
            state, changed[mine] = _in(state, mine, before, contribution.at)
        states.append(state)
    if home is None:
        return Outcome(states=tuple(states), incident=None, incidents={})
    changed = {key: msgspec.structs.replace(found, events=found.events + 1) for key, found in changed.items()}
    return Outcome(states=tuple(states), incident=home, incidents=changed)


def _is_part(state: EntityState, at: int, known: Mapping[str, IncidentState]) -> bool:
    return state.incident in known and at <= state.until


def _has_room(incident: IncidentState) -> bool:
    return len(incident.entities) < MOST_ENTITIES


def _opened(incident: str, key: str, at: int) -> IncidentState:
    return IncidentState(id=incident, opener=key, entities=(), steps=(), opened=at, newest=at, until=at, peak=0.0)


def _in(state: EntityState, incident: str, before: IncidentState, at: int) -> tuple[EntityState, IncidentState]:
    """The entity as part of the incident by an event of then, and the incident with all that the entity went through."""
    risk = risk_at(state.steps, state.newest)
    until = max(state.until, falls_to(risk, ENDS_AT, state.newest))
    state = msgspec.structs.replace(state, incident=incident, until=until)
    entities = dict[str, Entity](before.entities) | {state.key: state.entity}
    return state, msgspec.structs.replace(
        before,
        entities=tuple(entities.items()),
        steps=_chain(before.steps, state.steps),
        newest=max(before.newest, state.newest),
        until=max(before.until, until),
        peak=max(before.peak, highest(state, at)),
    )


def _chain(steps: Sequence[Step], more: Sequence[Step]) -> tuple[Step, ...]:
    """The techniques of both in the order in which each was first seen. Doing it twice changes nothing."""
    found = {step.technique: step for step in steps}
    for step in more:
        known = found.get(step.technique)
        if known is not None:
            most = max(known.count, step.count)  # an event that names a host and a user is one event
            step = msgspec.structs.replace(joined(known, step), count=most)  # noqa: PLW2901 (one step a technique)
        found[step.technique] = step
    return tuple(sorted(found.values(), key=in_time)[:MOST_STEPS])
