"""Two databases, one way to use them: a transaction that writes, and a transaction that reads.

**SQLite**: write-ahead log, one writer connection guarded by a lock, writes begun with ``BEGIN IMMEDIATE`` (so a second
process waits instead of failing half-way), reads on connections of their own. ``synchronous=NORMAL``: a killed process
loses nothing; a power loss may lose the newest transactions, but whole ones and in order, so that the cursor goes back
together with the verdicts and the batch is read again. A ``durable`` transaction is on the disk when it ends, and all
before it: for what nobody can read again, and for claims and marks of playbook runs.

**PostgreSQL**: a connection a transaction, READ COMMITTED, and explicit locks where a rule needs them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from connector.errors import ConfigError, TransientError

Tx = sa.Connection
"""A connection inside a transaction."""

T = TypeVar("T")

_BUSY_SECONDS = 30.0
_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 32_000
"""128 MiB of log before it is folded into the database: pages that many batches touch are then written once."""

_SQLITE_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA cache_size = -{_CACHE_KIB}",
    f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}",
    "PRAGMA journal_size_limit = 268435456",
    "PRAGMA temp_store = MEMORY",
)


class Database:
    """Connections to the one state. Thread-safe."""

    def __init__(self, url: str) -> None:
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError as error:
            raise ConfigError(
                "ledger.url is not a database URL; use sqlite:///FILE or postgresql+psycopg://…"
            ) from error
        self.shown = parsed.render_as_string(hide_password=True)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._lock = threading.Lock()
        self._here = threading.local()
        if self.is_sqlite:
            if parsed.database in {None, "", ":memory:"}:
                raise ConfigError("ledger.url names no file: the ledger must outlive the process")
            _private_file(str(parsed.database), self.shown)
            self._writer = _sqlite_engine(parsed, begin="BEGIN IMMEDIATE", pool=1)
            self._reader = _sqlite_engine(parsed, begin="BEGIN", pool=8)
        elif parsed.drivername == "postgresql+psycopg":
            self._writer = self._reader = sa.create_engine(parsed, pool_pre_ping=True, pool_size=8)
        else:
            raise ConfigError(f"ledger.url {self.shown}: use sqlite:///FILE or postgresql+psycopg://…")

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Tx]:
        """A transaction that may write; it commits at the end of the block, and rolls back on any exception.

        Raises ``RuntimeError`` inside another one of the same thread, which would wait for itself for ever.
        """
        if getattr(self._here, "writing", False):
            raise RuntimeError("the ledger is written to inside an open transaction, such as an admission")
        self._here.writing = True
        try:
            with (
                _mapped(self.shown),
                self._only_writer(durable=durable) if self.is_sqlite else self._writer.begin() as tx,
            ):
                yield tx
        finally:
            self._here.writing = False

    @contextmanager
    def _only_writer(self, *, durable: bool) -> Iterator[Tx]:
        """SQLite's only writer. ``durable``: the transaction, and all before it, is on the disk when it ends."""
        with self._lock, self._writer.connect() as connection:
            driver: Any = connection.connection.driver_connection
            if durable:
                driver.execute("PRAGMA synchronous = FULL")
            try:
                with connection.begin():
                    yield connection
            finally:
                if durable:
                    driver.execute("PRAGMA synchronous = NORMAL")

    @contextmanager
    def read(self) -> Iterator[Tx]:
        """A transaction that only reads; on SQLite it sees one moment."""
        with _mapped(self.shown), self._reader.begin() as tx:
            yield tx

    def close(self) -> None:
        """Closes all connections; the log is folded into the file by the last one."""
        self._reader.dispose()
        self._writer.dispose()


def _private_file(path: str, shown: str) -> None:
    """Makes the file readable to its owner alone before SQLite does: it will hold events. Its log takes on the mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigError(f"cannot open the ledger {shown}: {error.strerror}") from error


def _sqlite_engine(url: sa.URL, *, begin: str, pool: int) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.QueuePool,
        pool_size=pool,
        max_overflow=0 if pool == 1 else 32,
        connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False, "cached_statements": 256},
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself; `begin` below does
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def _mapped(shown: str) -> Iterator[None]:
    """The one place where the databases' errors become ours; faults of our own SQL stay what they are."""
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError) as error:
        raise TransientError(f"the ledger {shown} did not answer: {_first_line(error)}") from error


def _first_line(error: sa.exc.SQLAlchemyError) -> str:
    cause = getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0]


Insert = sqlite.Insert | postgresql.Insert
"""An INSERT that knows ON CONFLICT, which both dialects spell alike but SQLAlchemy's generic one lacks."""


def insert(tx: Tx, table: sa.Table) -> Insert:
    """An INSERT in the transaction's own dialect."""
    return sqlite.insert(table) if tx.dialect.name == "sqlite" else postgresql.insert(table)


def lock(tx: Tx, table: sa.Table) -> None:
    """Keeps all other writers off a table until the end of the transaction. SQLite has only one writer anyway."""
    if tx.dialect.name != "sqlite":
        tx.execute(sa.text(f'LOCK TABLE "{table.name}" IN EXCLUSIVE MODE'))


def chunks(items: Sequence[T], size: int = 5_000) -> Iterator[Sequence[T]]:
    """Slices that stay below both databases' limits of bound parameters."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
