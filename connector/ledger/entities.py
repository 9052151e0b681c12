"""Entities and incidents: small rows, changed by compare-and-set inside the batch's transaction.

What they say is the pipeline's business (:mod:`connector.pipeline.entities`); here they are documents with the few columns
that they are found by.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from connector.errors import TransientError
from connector.ledger.database import Tx, chunks, insert
from connector.ledger.room import Room
from connector.ledger.schema import entities, incidents
from connector.types import Noun

KEPT: Final = timedelta(days=14)
"""An entity that no verdict added to for so long is forgotten: by then nothing is left of its risk."""

MOST: Final = 300_000
"""Entities that retention leaves: a host, a user and an address for each of 100,000 hosts. The oldest go first."""

_STEP: Final = 2_000


class EntityRow(Noun, frozen=True):
    """An entity's new value, with the version that it was computed from (0: a new row). ``risk``: as of its newest event."""

    version: int
    risk: float
    document: bytes


class IncidentRow(Noun, frozen=True):
    """An incident's new value, likewise; times are event times in microseconds."""

    version: int
    entity_key: str
    opened_at: int
    until: int
    document: bytes


class EntityChanges(Noun, frozen=True):
    """What a batch changes. ``causes``: record ids of the verdicts that it was computed from: all of them, or none."""

    causes: frozenset[str] = frozenset()
    entities: Mapping[str, EntityRow] = {}
    incidents: Mapping[str, IncidentRow] = {}


class EntitiesMovedError(TransientError):
    """Another batch was first: what this one changes must be computed anew from what is there now."""


Rows = Mapping[str, tuple[int, bytes]]
"""(version, document) by key."""


def change(tx: Tx, changes: EntityChanges, inserted: Collection[str], now: int) -> None:
    """Writes new values, each only over the version that it was computed from.

    Raises ``EntitiesMovedError`` where another batch was first, be it only with one of the verdicts: the transaction must
    be rolled back.
    """
    if not changes.causes.issubset(inserted):
        raise EntitiesMovedError("another batch has some of these verdicts already")
    _write(tx, entities.c.key, {key: _values(row, now) for key, row in changes.entities.items()})
    _write(tx, incidents.c.id, {key: _values(row, now) for key, row in changes.incidents.items()})


def _values(row: EntityRow | IncidentRow, now: int) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return {**fields, "version": row.version + 1, "updated_at": now}


def _write(tx: Tx, key: sa.Column[Any], values: Mapping[str, dict[str, Any]]) -> None:
    """In the order of the keys, so that two replicas never wait for each other."""
    if not values:
        return
    rows = [{key.name: name, **values[name]} for name in sorted(values)]
    statement = insert(tx, key.table)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=[key.name],
        set_={column.name: new[column.name] for column in key.table.columns if column is not key},
        where=key.table.c.version == new.version - 1,
    )
    # a row of another version is not overwritten, and so not returned
    written = len(tx.execute(statement.returning(key), rows).all())
    if written != len(rows):
        raise EntitiesMovedError(f"{key.table.name} moved while this batch was decided")


class Entities(Room):
    """What is known of entities, and of the incidents that they are part of."""

    def entity_rows(self, keys: Collection[str]) -> Rows:
        """(version, document) of these entities by key; those that have no row are absent."""
        return self._rows(entities.c.key, keys)

    def incident_rows(self, ids: Collection[str]) -> Rows:
        """(version, document) of these incidents by id; those that have no row are absent."""
        return self._rows(incidents.c.id, ids)

    def riskiest(self, limit: int) -> list[bytes]:
        """The documents of the entities whose risk was highest at their newest event."""
        query = sa.select(entities.c.document).order_by(entities.c.risk.desc(), entities.c.key).limit(limit)
        with self._db.read() as tx:
            return list(tx.execute(query).scalars())

    def newest_incidents(self, limit: int) -> list[bytes]:
        """The documents of the incidents that were opened last, by event time, the newest first."""
        query = sa.select(incidents.c.document).order_by(incidents.c.opened_at.desc(), incidents.c.id).limit(limit)
        with self._db.read() as tx:
            return list(tx.execute(query).scalars())

    def _rows(self, key: sa.Column[Any], names: Collection[str]) -> Rows:
        query = sa.select(key, key.table.c.version, key.table.c.document)
        with self._db.read() as tx:
            return {
                row[0]: (row.version, row.document)
                for part in chunks(sorted(names))
                for row in tx.execute(query.where(key.in_(part)))
            }


def forget(tx: Tx, cutoff: int) -> int:
    """Deletes some entities that nothing added to since, or that are more than :data:`MOST`; returns how many."""
    surplus = tx.execute(sa.select(sa.func.count()).select_from(entities)).scalar_one() - MOST
    oldest = sa.select(entities.c.key).order_by(entities.c.updated_at, entities.c.key)
    gone = list(tx.execute(oldest.where(entities.c.updated_at < cutoff).limit(_STEP)).scalars())
    if not gone and surplus > 0:
        gone = list(tx.execute(oldest.limit(min(surplus, _STEP))).scalars())
    for part in chunks(gone):
        tx.execute(sa.delete(entities).where(entities.c.key.in_(part)))
    return len(gone)
