"""Many rows in one statement, which is what keeps a batch of a thousand events at some milliseconds.

Values go in by column. PostgreSQL takes them as arrays (``unnest``); SQLite steps one prepared statement over them, and
is told a set of ids as one blob that a recursive query cuts into pieces of 16 bytes, because a thousand bound
parameters cost more to parse than to look up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from connector.ledger.columns import Id, pack
from connector.ledger.database import Tx

Columns = Mapping[str, Sequence[Any]]
"""Values by column, all of one length. Ids are text."""

_BATCH = 5_000


def insert(tx: Tx, table: sa.Table, columns: Columns) -> None:
    """Inserts rows; one that is there already stays as it was."""
    names = tuple(columns)
    if tx.dialect.name == "sqlite":
        values = (_packed(table.c[name], columns[name]) for name in names)
        rows = list(zip(*values, strict=True))
        if rows:
            tx.exec_driver_sql(_sqlite_insert(table, names), rows)
    else:
        arrays = tuple(list(columns[name]) for name in names)
        tx.exec_driver_sql(_postgres_insert(table, names, None), arrays)


def insert_new(tx: Tx, table: sa.Table, key: str, columns: Columns) -> frozenset[str]:
    """Inserts rows whose id is new, and returns the ids of those that were really inserted.

    On SQLite a look before the insert is enough, because a write transaction is the only one. On PostgreSQL another
    transaction may be inserting the same id: then the database waits for it, and says what it inserted itself.
    """
    if tx.dialect.name != "sqlite":
        arrays = tuple(list(values) for values in columns.values())
        return frozenset(
            str(found) for found in tx.exec_driver_sql(_postgres_insert(table, tuple(columns), key), arrays).scalars()
        )
    there = present(tx, table.c[key], columns[key])
    if there:
        new = [value not in there for value in columns[key]]
        columns = {name: list(compress(values, new)) for name, values in columns.items()}
    insert(tx, table, columns)
    return frozenset(columns[key])


def present(tx: Tx, column: sa.Column[str], ids: Collection[str], *where: sa.ColumnElement[bool]) -> frozenset[str]:
    """Those of the ids that the column holds, in rows that meet all conditions."""
    listed = list(ids)
    query = _lookup(column, where, tx.dialect.name)
    found: set[str] = set()
    for start in range(0, len(listed), _BATCH):
        part = listed[start : start + _BATCH]
        if tx.dialect.name == "sqlite":
            values: dict[str, Any] = {"ids": b"".join(map(pack, part)), "count": len(part)}
        else:
            values = {"ids": part}
        found.update(tx.execute(query, values).scalars())
    return frozenset(found)


def _packed(column: sa.Column[Any], values: Sequence[Any]) -> Sequence[Any]:
    return list(map(pack, values)) if column.type is Id else values


@cache
def _lookup(column: sa.Column[str], where: tuple[sa.ColumnElement[bool], ...], dialect: str) -> sa.Select[Any]:
    if dialect != "sqlite":
        listed = sa.bindparam("ids", type_=postgresql.ARRAY(postgresql.UUID(as_uuid=False)))
        return sa.select(column).where(column == sa.any_(listed), *where)
    number = sa.select(sa.literal(0).label("n")).where(sa.bindparam("count", type_=sa.Integer) > 0).cte(recursive=True)
    number = number.union_all(sa.select(number.c.n + 1).where(number.c.n + 1 < sa.bindparam("count")))
    piece = sa.func.substr(sa.bindparam("ids", type_=sa.LargeBinary), number.c.n * 16 + 1, 16)
    # A LEFT JOIN makes SQLite step over the ids and look each one up; it would scan a small-looking table otherwise.
    joined = number.outerjoin(column.table, sa.and_(sa.type_coerce(column, sa.LargeBinary) == piece, *where))
    return sa.select(column).select_from(joined).where(column.is_not(None))


@cache
def _sqlite_insert(table: sa.Table, names: tuple[str, ...]) -> str:
    marks = ", ".join("?" * len(names))
    return f"INSERT INTO {_target(table, names)} VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - schema names


@cache
def _postgres_insert(table: sa.Table, names: tuple[str, ...], key: str | None) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    arrays = ", ".join(f"%s::{table.c[name].type.compile(dialect)}[]" for name in names)
    returning = "" if key is None else f' RETURNING "{key}"'
    select = f"SELECT * FROM unnest({arrays})"  # noqa: S608 - types of the schema
    return f"INSERT INTO {_target(table, names)} {select} ON CONFLICT DO NOTHING{returning}"


def _target(table: sa.Table, names: tuple[str, ...]) -> str:
    return f'"{table.name}" ({", ".join(f"{chr(34)}{name}{chr(34)}" for name in names)})'
