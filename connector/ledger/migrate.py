"""Brings a ledger to this release's schema. The migrations are part of the package; there is no alembic.ini."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from connector.errors import ConfigError, TransientError
from connector.ledger.database import Database, Tx

HEAD = "0001"
"""The newest revision: a ledger that stands there is opened without alembic's machinery."""

_LOCK = 0x7472_6961_6765_64  # "triaged": replicas that start together migrate one after the other


def to_head(database: Database) -> None:
    """Migrates, in one transaction. Raises ``ConfigError`` where the database cannot be opened or is of a newer release."""
    try:
        with database.read() as tx:
            if current(tx) == HEAD:
                return
        with database.write() as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            command.upgrade(config(tx), "head")
    except CommandError as error:
        raise ConfigError(f"the ledger {database.shown} was written by a newer release of Triaged: {error}") from error
    except TransientError as error:
        raise ConfigError(f"cannot open the ledger: {error}") from error


def current(tx: Tx) -> str | None:
    """The revision that the database stands at; None: it is empty."""
    if not sa.inspect(tx).has_table("alembic_version"):
        return None
    return tx.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def config(tx: Tx) -> Config:
    """Alembic's settings, bound to an open transaction."""
    settings = Config()
    settings.set_main_option("script_location", "connector.ledger:migrations")
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = tx
    return settings
