"""Many rows in one statement, which is what keeps a batch of a thousand events at some milliseconds.

Values go in by column. PostgreSQL takes them as arrays (``unnest``); SQLite steps one prepared statement over them, and
is told a set of ids as one blob that a recursive query cuts into pieces of 16 bytes, because a thousand bound
parameters cost more to parse than to look up; a set of numbers is one JSON list for the same reason.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import compress
from typing import Any, NamedTuple

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
    there = present(tx, columns[key], Place(table.c[key]))
    if there:
        new = [value not in there for value in columns[key]]
        columns = {name: list(compress(values, new)) for name, values in columns.items()}
    insert(tx, table, columns)
    return frozenset(columns[key])


class Place(NamedTuple):
    """A column that may hold an id, in rows that meet all conditions. Made once, as a constant: queries are kept by it."""

    column: sa.Column[Any]
    where: tuple[sa.ColumnElement[bool], ...] = ()


def present(tx: Tx, ids: Collection[str], *places: Place) -> frozenset[str]:
    """Those of the ids that are in at least one of the places."""
    listed = list(ids)
    query = _lookup(places, tx.dialect.name)
    found: set[str] = set()
    for start in range(0, len(listed), _BATCH):
        part = listed[start : start + _BATCH]
        if tx.dialect.name == "sqlite":
            values: dict[str, Any] = {"ids": b"".join(map(pack, part)), "count": len(part)}
        else:
            values = {"ids": part}
        found.update(tx.execute(query, values).scalars())
    return frozenset(found)


def within(tx: Tx, column: sa.Column[int]) -> sa.ColumnElement[bool]:
    """Whether a column holds one of the numbers that :func:`numbers` binds."""
    return _within(column, tx.dialect.name)


def numbers(tx: Tx, values: Collection[int]) -> Mapping[str, Any]:
    """The parameters of a statement with :func:`within`: one, however many numbers there are."""
    return {"numbers": json.dumps(list(values)) if tx.dialect.name == "sqlite" else list(values)}


@cache
def _within(column: sa.Column[int], dialect: str) -> sa.ColumnElement[bool]:
    if dialect == "sqlite":
        listed = sa.func.json_each(sa.bindparam("numbers", type_=sa.String)).table_valued("value")
        return column.in_(sa.select(listed.c.value))
    return column == sa.any_(sa.bindparam("numbers", type_=postgresql.ARRAY(sa.BigInteger)))


def _packed(column: sa.Column[Any], values: Sequence[Any]) -> Sequence[Any]:
    return list(map(pack, values)) if column.type is Id else values


@cache
def _lookup(places: tuple[Place, ...], dialect: str) -> sa.Select[Any]:
    asked = _cut_blob() if dialect == "sqlite" else _unnested()
    return sa.select(asked).where(sa.or_(*(sa.exists().where(place.column == asked, *place.where) for place in places)))


def _unnested() -> sa.ColumnElement[str]:
    listed = sa.bindparam("ids", type_=postgresql.ARRAY(postgresql.UUID(as_uuid=False)))
    return sa.func.unnest(listed).table_valued(sa.column("id", Id)).render_derived().c.id


def _cut_blob() -> sa.ColumnElement[str]:
    blob = sa.bindparam("ids", type_=sa.LargeBinary)

    def piece(number: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
        return sa.func.substr(blob, number * 16 + 1, 16, type_=Id)

    count = sa.bindparam("count", type_=sa.Integer)
    first = sa.literal(0)
    asked = sa.select(first.label("n"), piece(first).label("id")).where(count > 0).cte("asked", recursive=True)
    following = asked.c.n + 1
    asked = asked.union_all(sa.select(following, piece(following)).where(following < count))
    return asked.c.id


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
