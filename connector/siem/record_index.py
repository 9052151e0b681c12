"""Which records a JSONL file holds, kept beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec


class _Written(msgspec.Struct, rename={"id": "_id"}):
    id: str


class RecordIndex:
    """The record ids that a file holds, up to a byte of it. SQLite in WAL mode: a lost commit is only work again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None

    def catch_up(self, file: BinaryIO, end: int) -> None:
        """Learns the ids of what the file holds beyond what is known; starts anew where it is another file."""
        status = os.fstat(file.fileno())
        identity = f"{status.st_dev:x}-{status.st_ino:x}"
        database = self._opened()
        row = database.execute("SELECT file, known FROM state").fetchone()
        if row is None or row[0] != identity or row[1] > end:
            with database:
                database.execute("DELETE FROM ids")
                database.execute("DELETE FROM state")
                database.execute("INSERT INTO state VALUES (?, 0)", (identity,))
            row = identity, 0
        if row[1] < end:
            file.seek(row[1])
            self.add(_ids(file), end)

    def known(self, ids: Iterable[str]) -> list[str]:
        """Those of the ids that the file holds."""
        asked = msgspec.json.encode(list(ids)).decode()
        find = "SELECT id FROM ids WHERE id IN (SELECT value FROM json_each(?))"
        return [row[0] for row in self._opened().execute(find, (asked,))]

    def add(self, ids: Iterable[str], end: int) -> None:
        """The file holds these too, and is known up to ``end``."""
        database = self._opened()
        with database:
            database.executemany("INSERT OR IGNORE INTO ids VALUES (?)", ((one,) for one in ids))
            database.execute("UPDATE state SET known = ?", (end,))

    def close(self) -> None:
        """Closes the database; it is opened again when it is needed."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            try:
                self._database = self._open()
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:
                for suffix in ("", "-wal", "-shm"):
                    self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
                self._database = self._open()
        return self._database

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, check_same_thread=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY) WITHOUT ROWID")
        database.execute("CREATE TABLE IF NOT EXISTS state (file TEXT, known INTEGER)")
        return database


def _ids(file: BinaryIO) -> Iterator[str]:
    decoder = msgspec.json.Decoder(_Written)
    for line in file:
        try:
            yield decoder.decode(line).id
        except msgspec.MsgspecError:
            continue  # a line of somebody else: it is no record of ours
