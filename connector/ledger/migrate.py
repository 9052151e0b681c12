"""Brings a ledger to this release's schema. The migrations are part of the package; there is no alembic.ini."""

from __future__ import annotations

import sqlite3

import sqlalchemy as sa

from connector.errors import ConfigError, TransientError
from connector.ledger.database import Database, Tx

HEAD = "0003"
"""The newest revision: a ledger that stands there is opened without alembic."""

_LOCK = 0x7472_6961_6765_64  # "triaged": replicas that start together migrate one after the other

_REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist")
"""What a server says that knows no such user or database. libpq keeps no SQLSTATE of a connection that was never made; a
server that says it in another language is tried again like one that does not answer."""


def to_head(database: Database) -> None:
    """Migrates, in one transaction.

    Raises ``TransientError`` where a server does not answer or another process holds the file, and ``ConfigError`` where
    the file cannot be opened, the server refuses us, or a newer release wrote it.
    """
    try:
        with database.read() as tx:
            if current(tx) == HEAD:
                return
        with database.write() as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            from connector.ledger.upgrade import upgrade  # noqa: PLC0415 - told there

            upgrade(tx)
    except TransientError as error:
        cause = getattr(error.__cause__, "orig", None)
        passes = _is_locked(cause) if database.is_sqlite else not _is_refusal(cause)
        raise (TransientError if passes else ConfigError)(f"cannot open the ledger: {error}") from error


def _is_locked(error: BaseException | None) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _is_refusal(error: BaseException | None) -> bool:
    """Whether a PostgreSQL server turned us away for good."""
    return getattr(error, "sqlstate", None) is None and any(text in str(error) for text in _REFUSALS)


def current(tx: Tx) -> str | None:
    """The revision that the database stands at; None: it is empty."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
