"""What is remembered of files, so that a restart tells a file that grew from one that was written anew.

It describes what files held when they were last looked at, never what was read of them: that the ledger knows. So it may
be older than the ledger, or lost, and costs no event that the ledger has proven.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from connector.errors import TransientError
from connector.siem.tail.contents import Content
from connector.siem.tail.packed import Unpacked
from connector.telemetry import Signal, emit

_WAIT_SECONDS = 30.0
_VERSION = 2
"""Of the tables. A memory of version 1 is carried over; any other is begun anew."""
_COLUMNS = Content.__struct_fields__
_TABLES = (
    f"CREATE TABLE IF NOT EXISTS contents ({', '.join(_COLUMNS)}, PRIMARY KEY (identity)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS packed (mark TEXT PRIMARY KEY, identity TEXT, size INTEGER, tail TEXT) WITHOUT ROWID",
)
_PUT = f"INSERT OR REPLACE INTO contents ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 - names of our own
_GET = f"SELECT {', '.join(_COLUMNS)} FROM contents"  # noqa: S608 - names of our own


class Memory:
    """Contents by identity, in an SQLite file; without a path for as long as the process lives."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self.known: dict[str, Content] = {}
        """Contents as of the last turn."""
        self._version = -1

    @contextmanager
    def turn(self) -> Iterator[dict[str, Content]]:
        """All contents, to be changed in place; what changed is kept. Turns of other processes wait meanwhile.

        Raises ``TransientError`` where the file cannot be read or written. One that is damaged is begun anew by the next.
        """
        try:
            database = self._opened()
            database.execute("BEGIN IMMEDIATE")
            try:
                self._refresh(database)
                contents = dict(self.known)
                yield contents
                self._write(database, contents)
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a full disk may have ended it
                    database.execute("ROLLBACK")
                raise
            self.known = contents
        except sqlite3.Error as error:
            if _is_damage(error):
                self.close()
                self._remove(str(error))
            raise TransientError(f"remembering files in {self._path}: {error}") from error

    def packed(self, mark: str) -> Unpacked | None:
        """What a compressed file holds; None where it was not looked into."""
        row = self._opened().execute("SELECT identity, size, tail FROM packed WHERE mark = ?", (mark,)).fetchone()
        return None if row is None else Unpacked(*row)

    def put_packed(self, mark: str, found: Unpacked) -> None:
        """Remembers what a compressed file holds; inside a turn."""
        row = (mark, *msgspec.structs.astuple(found))
        self._opened().execute("INSERT OR REPLACE INTO packed VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        """Closes the database; it is opened again when it is needed."""
        if self._database is not None and self._path is not None:
            self._database.close()
            self._database = None
            self._version = -1

    def _refresh(self, database: sqlite3.Connection) -> None:
        """Reads again what another process may have changed."""
        (version,) = database.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            rows = database.execute(_GET)
            contents = (Content(**dict(zip(_COLUMNS, row, strict=True))) for row in rows)
            self.known = {content.identity: content for content in contents}
            self._version = version

    def _write(self, database: sqlite3.Connection, contents: dict[str, Content]) -> None:
        changed = [content for key, content in contents.items() if self.known.get(key) != content]
        database.executemany(_PUT, (_row(content) for content in changed))
        gone = self.known.keys() - contents.keys()
        database.executemany("DELETE FROM contents WHERE identity = ?", ((key,) for key in gone))

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            try:
                self._database = self._open()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                self._remove(str(error))
                self._database = self._open()
        return self._database

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        where = ":memory:" if self._path is None else self._path
        database = sqlite3.connect(where, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")  # never older than the ledger, which relies on the identities
            if found := _lay(database):
                emit(Signal.MEMORY_RENEWED, path=str(where), reason=f"it is of version {found}, not {_VERSION}")
        except BaseException:
            database.close()
            raise
        return database

    def _remove(self, reason: str) -> None:
        if self._path is not None:
            emit(Signal.MEMORY_RENEWED, path=str(self._path), reason=reason)
            for suffix in ("", "-wal", "-shm"):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)


def _lay(database: sqlite3.Connection) -> int:
    """Makes the tables, or makes another version's anew; which version that was, or 0."""
    if database.execute("PRAGMA user_version").fetchone() == (_VERSION,):
        return 0
    database.execute("BEGIN IMMEDIATE")
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version == 1:
        database.execute("ALTER TABLE contents ADD COLUMN moved DEFAULT 0")
        database.execute(f"PRAGMA user_version = {_VERSION}")
    elif version != _VERSION:
        for name in ("contents", "packed"):
            database.execute(f"DROP TABLE IF EXISTS {name}")
        for table in _TABLES:
            database.execute(table)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    database.execute("COMMIT")
    return 0 if version in {1, _VERSION} else int(version)


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault: not locked, full or refused, which pass, but torn, or not a database at all."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _row(content: Content) -> tuple[Any, ...]:
    return msgspec.structs.astuple(content)
