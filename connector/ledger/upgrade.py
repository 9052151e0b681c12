"""Runs the migrations by alembic.

Apart from :mod:`connector.ledger.migrate`, because alembic takes a fifth of the time that a command takes to start, and
almost every start finds nothing to migrate.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from connector.errors import ConfigError
from connector.ledger.database import Tx


def config(tx: Tx) -> Config:
    """Alembic's settings, bound to an open transaction."""
    settings = Config()
    settings.set_main_option("script_location", "connector.ledger:migrations")
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = tx
    return settings


def upgrade(tx: Tx) -> None:
    """Runs what is missing. Raises ``ConfigError`` where the database stands at a revision that is not ours."""
    try:
        command.upgrade(config(tx), "head")
    except CommandError as error:
        raise ConfigError(f"the ledger was written by a newer release of Triaged: {error}") from error
