"""Members' state rows, changed by compare-and-set inside the batch's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa

from connector.errors import TransientError
from connector.ledger.database import Tx, chunks, insert
from connector.ledger.room import Room
from connector.ledger.schema import member_state
from connector.ports import State
from connector.types import StateChange

_ROWS = sa.select(member_state.c.key, member_state.c.version, member_state.c.value).where(
    member_state.c.member == sa.bindparam("member"), member_state.c.key.in_(sa.bindparam("keys", expanding=True))
)


def change(tx: Tx, changes: Mapping[str, StateChange], now: int) -> None:
    """Writes new values, each only over the version that it was computed from.

    Raises ``TransientError`` where another batch was first: the transaction must be rolled back and replayed.
    """
    for member, rows in sorted((name, entry.rows) for name, entry in changes.items()):
        found = {
            row.key: row.version
            for keys in chunks(sorted(rows))
            for row in tx.execute(_ROWS.with_for_update(), {"member": member, "keys": keys})
        }
        if any(found.get(key, 0) != version for key, (version, _) in rows.items()):
            raise _moved(member)
        values = [
            {"member": member, "key": key, "version": version + 1, "value": value, "updated_at": now}
            for key, (version, value) in sorted(rows.items())
        ]
        if values:
            _upsert(tx, member, values)


def _upsert(tx: Tx, member: str, values: list[dict[str, object]]) -> None:
    statement = insert(tx, member_state)
    new = statement.excluded
    statement = statement.on_conflict_do_update(
        index_elements=["member", "key"],
        set_={"version": new.version, "value": new.value, "updated_at": new.updated_at},
        where=member_state.c.version == new.version - 1,
    )
    # A row that another transaction inserted since the look above is not overwritten, and so not returned.
    if len(tx.execute(statement.returning(member_state.c.key), values).all()) != len(values):
        raise _moved(member)


def _moved(member: str) -> TransientError:
    return TransientError(f"the state of member {member!r} moved while this batch was scored; it is scored again")


class States(Room):
    """What members remember between batches."""

    def member_state(self, member: str, keys: Collection[str]) -> State:
        """A member's rows by key: (version, value). Keys without a row are absent."""
        with self._db.read() as tx:
            return {
                row.key: (row.version, row.value)
                for part in chunks(sorted(keys))
                for row in tx.execute(_ROWS, {"member": member, "keys": part})
            }
