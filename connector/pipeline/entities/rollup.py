"""A batch's verdicts added to the entities that they are about: between scoring and deciding.

Reads the rows of the entities that a batch's suspicious and malicious events name, and nothing else: a benign event costs
nothing. Nothing is kept between two batches. What changes is written with the batch, over the versions that were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from connector import identity
from connector.ledger import EntityChanges, EntityRow, IncidentRow, Ledger
from connector.pipeline.entities.fold import Added, Contribution, add
from connector.pipeline.entities.incidents import Outcome, taken
from connector.pipeline.entities.nouns import EntityState, IncidentState
from connector.pipeline.entities.points import MOST_POINTS, points_of, risk_at
from connector.pipeline.entities.records import Told
from connector.pipeline.entities.times import event_time
from connector.pipeline.entities.who import entities_of
from connector.policy import DecisionContext, verdict_name
from connector.policy.entity import entity_of
from connector.policy.facts import LISTED
from connector.types import Event, Noun, Prediction, Record

WORTH_TELLING: Final = 1.0
"""Points below which nobody is told: a copy of what was seen adds next to nothing."""

_ADDING: Final = frozenset({"suspicious", "malicious"})

_entity: Callable[[bytes], EntityState] = msgspec.json.Decoder(EntityState).decode
_incident: Callable[[bytes], IncidentState] = msgspec.json.Decoder(IncidentState).decode


class RolledUp(Noun, frozen=True):
    """What came of a batch: each event's context, what to write, and (record, cause) of what to tell."""

    contexts: tuple[DecisionContext, ...]
    changes: EntityChanges
    records: tuple[tuple[Record, str], ...]


class RollUp:
    """Adds verdicts to entities and incidents."""

    def __init__(self, ledger: Ledger, origin_key: bytes) -> None:
        self._ledger = ledger
        self._origin_key = origin_key

    def of(
        self,
        events: Sequence[Event],
        predictions: Sequence[Prediction],
        contexts: Sequence[DecisionContext],
        *,
        again: bool = False,
    ) -> RolledUp:
        """The batch's events, each with what it was scored. ``again``: some may have a verdict meanwhile."""
        places = {
            place: contribution
            for place, (event, prediction, context) in enumerate(zip(events, predictions, contexts, strict=True))
            if (contribution := contribution_of(event, prediction, context)) is not None
        }
        if again and places:
            known = self._ledger.known([contribution.event for contribution in places.values()])
            places = {place: found for place, found in places.items() if found.event not in known}
        if not places:
            return RolledUp(contexts=tuple(contexts), changes=EntityChanges(), records=())
        book = _Book(self._ledger, list(places.values()), Told(self._origin_key, contexts[0].now))
        seen = list(contexts)
        for place, contribution in sorted(places.items(), key=lambda item: (item[1].at, item[0])):
            risk, incident = book.enter(contribution)
            seen[place] = msgspec.structs.replace(seen[place], risk=risk, incident=incident)
        return RolledUp(contexts=tuple(seen), changes=book.changes(), records=tuple(book.records()))


def contribution_of(event: Event, prediction: Prediction, context: DecisionContext) -> Contribution | None:
    """What an event adds, by the name that its verdict gets; None where it is benign, an abstention, or nobody's."""
    listed = context.listed
    name = LISTED[listed.list] if listed is not None else verdict_name(prediction, context.thresholds)
    whose = tuple(entities_of(entity_of(event.ecs), event.ref.siem)) if name in _ADDING else ()
    if not whose:
        return None
    points = MOST_POINTS if listed else points_of(prediction.p_malicious, context.thresholds.suspicious)
    return Contribution(
        event=event.id,
        at=event_time(event, context.now),
        points=points,
        techniques=tuple(_techniques(prediction)),
        whose=whose,
    )


def _techniques(prediction: Prediction) -> Iterator[str]:
    """The parents of those that passed their threshold, the likeliest first."""
    passed = dict.fromkeys(technique.partition(".")[0] for technique in prediction.passed)
    likeliest = [score.id for score in prediction.techniques if score.id in passed]
    yield from dict.fromkeys((*likeliest, *passed))


class _Book:
    """The entities and incidents of one batch, as they were read and as they become."""

    def __init__(self, ledger: Ledger, contributions: Sequence[Contribution], told: Told) -> None:
        whose = {key: entity for contribution in contributions for key, entity in contribution.whose}
        rows = ledger.entity_rows(list(whose))
        self._versions: dict[str, int] = {key: version for key, (version, _) in rows.items()}
        found = {key: _entity(document) for key, (_, document) in rows.items()}
        self._entities = {key: found.get(key) or EntityState(key=key, entity=whose[key], newest=0) for key in whose}
        wanted = {state.incident for state in found.values() if state.incident is not None}
        of_incidents = ledger.incident_rows(list(wanted))
        self._versions |= {key: version for key, (version, _) in of_incidents.items()}
        self._incidents = {key: _incident(document) for key, (_, document) in of_incidents.items()}
        self._told = told
        self._causes: set[str] = set()
        self._points: list[tuple[Record, str]] = []
        self._standing: dict[str, str] = {}
        self._grown: dict[str, str] = {}
        self._changed: set[str] = set()

    def enter(self, contribution: Contribution) -> tuple[float, str | None]:
        """Adds one verdict; returns the highest risk of its entities now, and its incident."""
        cause = identity.record_id(contribution.event, 1)
        self._causes.add(cause)
        added = [add(self._entities[key], contribution) for key, _ in contribution.whose]
        outcome = taken(contribution, added, self._incidents)
        self._tell(cause, contribution, added, outcome)
        for state in outcome.states:
            if state != self._entities[state.key]:
                self._changed.add(state.key)
            self._entities[state.key] = state
        self._incidents |= outcome.incidents
        self._changed |= outcome.incidents.keys()
        return max(risk_at(state.steps, state.newest) for state in outcome.states), outcome.incident

    def _tell(self, cause: str, contribution: Contribution, added: Sequence[Added], outcome: Outcome) -> None:
        for gained in added:
            if gained.points >= WORTH_TELLING:
                self._points.append((self._told.points(cause, gained, contribution.techniques), cause))
            if gained.points >= WORTH_TELLING or gained.new:
                self._standing[gained.state.key] = cause
        for key, now in outcome.incidents.items():
            before = self._incidents.get(key)
            if before is None or _extent(before) != _extent(now):
                self._grown[key] = cause

    def changes(self) -> EntityChanges:
        """What to write: only what changed."""
        entities = {key: self._entity_row(state) for key, state in self._entities.items() if key in self._changed}
        incidents = {key: self._incident_row(state) for key, state in self._incidents.items() if key in self._changed}
        causes = frozenset(self._causes) if entities else frozenset[str]()
        return EntityChanges(causes=causes, entities=entities, incidents=incidents)

    def records(self) -> Iterator[tuple[Record, str]]:
        """What to tell, as all stands after the batch: of an entity and an incident once, however often they changed."""
        yield from self._points
        for key, cause in self._standing.items():
            yield self._told.standing(cause, self._entities[key]), cause
        for key, cause in self._grown.items():
            yield self._told.incident(cause, self._incidents[key]), cause

    def _entity_row(self, state: EntityState) -> EntityRow:
        return EntityRow(
            version=self._versions.get(state.key, 0),
            risk=risk_at(state.steps, state.newest),
            document=msgspec.json.encode(state),
        )

    def _incident_row(self, state: IncidentState) -> IncidentRow:
        return IncidentRow(
            version=self._versions.get(state.id, 0),
            entity_key=state.opener,
            opened_at=state.opened,
            until=state.until,
            document=msgspec.json.encode(state),
        )


def _extent(state: IncidentState) -> tuple[Any, ...]:
    """What makes an incident another one for an analyst: who is part of it, and what was seen."""
    return ([key for key, _ in state.entities], sorted(step.technique for step in state.steps))


def read_entities(documents: Sequence[bytes]) -> list[EntityState]:
    """Entities as the ledger keeps them."""
    return list(map(_entity, documents))


def read_incidents(documents: Sequence[bytes]) -> list[IncidentState]:
    """Incidents as the ledger keeps them."""
    return list(map(_incident, documents))
