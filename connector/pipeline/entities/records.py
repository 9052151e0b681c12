"""What SIEMs are told: points as they are added, how an entity stands, and incidents as they grow."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from connector import identity
from connector.attack import catalogue
from connector.ledger.times import moment
from connector.pipeline.entities.chain import tactics_of, techniques_of
from connector.pipeline.entities.fold import Added
from connector.pipeline.entities.nouns import EntityState, IncidentState
from connector.pipeline.entities.points import risk_at
from connector.types import EntityRisk, Incident, IncidentStep, RiskEvent


class Told:
    """Makes the records of one batch, each with its mark. ``at`` is when they are made."""

    def __init__(self, origin_key: bytes, at: datetime) -> None:
        self._key = origin_key
        self._at = at

    def points(self, cause: str, added: Added, techniques: tuple[str, ...]) -> RiskEvent:
        """That a verdict (its record id) added points to an entity."""
        record = identity.follow_up_id(cause, "risk_event", added.state.key)
        return RiskEvent(
            record_id=record,
            cause=cause,
            entity=added.state.entity,
            score=round(added.points, 1),
            techniques=techniques,
            message=", ".join(map(_named, techniques)) or "no known technique",
            at=self._at,
            origin=identity.origin_mark(self._key, record),
        )

    def standing(self, cause: str, state: EntityState) -> EntityRisk:
        """How an entity stands after a verdict, as of its newest event."""
        record = identity.follow_up_id(cause, "entity_risk", state.key)
        return EntityRisk(
            record_id=record,
            entity=state.entity,
            risk=round(risk_at(state.steps, state.newest), 1),
            tactics=tactics_of(state.steps),
            techniques=techniques_of(state.steps),
            incident=state.incident if state.newest <= state.until else None,
            as_of=moment(state.newest),
            at=self._at,
            origin=identity.origin_mark(self._key, record),
        )

    def incident(self, cause: str, state: IncidentState) -> Incident:
        """An incident as it is after a verdict."""
        record = identity.follow_up_id(cause, "incident", state.id)
        return Incident(
            record_id=record,
            cause=cause,
            incident=state.id,
            entities=tuple(entity for _, entity in state.entities),
            tactics=tactics_of(state.steps),
            steps=tuple(_steps(state)),
            risk=round(state.peak, 1),
            events=state.events,
            opened=moment(state.opened),
            newest=moment(state.newest),
            at=self._at,
            origin=identity.origin_mark(self._key, record),
        )


def _steps(state: IncidentState) -> Iterator[IncidentStep]:
    entities = dict(state.entities)
    for step in state.steps:
        if step.technique:
            yield IncidentStep(
                technique=step.technique,
                first=moment(step.first),
                event_id=step.first_event,
                entity=entities.get(step.entity),
            )


def _named(technique: str) -> str:
    known = catalogue().technique(technique)
    return technique if known is None else f"{technique} {known.name}"
