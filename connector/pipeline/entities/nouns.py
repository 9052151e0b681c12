"""What the ledger keeps of an entity and of an incident. Times are event times, in microseconds since the epoch."""

from __future__ import annotations

from connector.types import Entity, Noun


class Step(Noun, frozen=True):
    """One technique on one entity (``""``: events that show no known one).

    ``points``, ``at`` and ``event`` are those of the event that still counts most; ``first`` (in ``first_event``) and
    ``last`` are when it was seen, ``count`` in how many events. ``entity`` is whose it is.
    """

    technique: str
    points: float
    at: int
    event: str
    first: int
    first_event: str
    last: int
    entity: str
    count: int = 1


class EntityState(Noun, frozen=True):
    """A host, a user or an address, with at most :data:`connector.pipeline.entities.fold.MOST_STEPS` steps.

    ``newest`` is the latest event time; ``incident`` the last incident that it was part of, which is over for it after
    ``until``.
    """

    key: str
    entity: Entity
    newest: int
    steps: tuple[Step, ...] = ()
    incident: str | None = None
    until: int = 0


class IncidentState(Noun, frozen=True):
    """What entities went through together, in the order in which it was first seen.

    ``opened`` is the event time at which an entity's risk first was high enough, ``until`` when it will have decayed
    enough for the incident to be over. ``peak`` is the highest risk of any of its entities.
    """

    id: str
    opener: str
    entities: tuple[tuple[str, Entity], ...]
    steps: tuple[Step, ...]
    opened: int
    newest: int
    until: int
    peak: float
    events: int = 0
