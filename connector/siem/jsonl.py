"""Records appended to a JSONL file, and what analysts decided read from one."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO, ClassVar, Literal, get_args

import msgspec
from pydantic import Field

from connector.errors import TransientError
from connector.policy import record_document
from connector.ports import Clock
from connector.settings import HistorySettings, TargetSettings
from connector.siem.formats.found import look, whole_lines
from connector.siem.formats.lines import lines
from connector.siem.formats.streams import PIECE
from connector.siem.record_index import RecordIndex
from connector.types import Batch, Cursor, Delivery, DispositionChange, Record

_LONGEST_LINE = 16 << 20
_DELIVERED = Delivery(outcome="delivered")


class FilesWriterConfig(TargetSettings):
    """Where records go."""

    type: Literal["files"] = "files"
    path: Path = Field(description="the JSONL file; its folder is made where it is missing")
    unique: bool = Field(True, description="keep an index of record ids beside the file, and write none twice")


class FilesWriter:
    """Appends one JSON document a line, its ``_id`` being the record's id.

    Delivery is at least once: nothing is answered ``delivered`` before it is on the disk, and a crash between writing
    and answering makes the record come again. With ``unique`` the file holds each record exactly once all the same: an
    SQLite index beside it (``.<name>.ids``) knows the ids that the file holds, and catches up with the file, byte by
    byte, before each write. It can be deleted at any time. Without ``unique``, readers keep the last document of each
    ``_id``. A file that was moved away starts anew, and knows nothing of the ids in the old one. Several processes may
    write to one file; a last line that a crash tore is cut off before the next write, since it was never acknowledged.
    """

    Config: ClassVar[type[TargetSettings]] = FilesWriterConfig
    accepts: frozenset[type[Record]] = frozenset(get_args(Record))

    def __init__(self, name: str, config: FilesWriterConfig, _: Clock) -> None:
        self.name = name
        self._path = config.path
        self._index = RecordIndex(config.path.with_name(f".{config.path.name}.ids")) if config.unique else None
        self._mutex = threading.Lock()

    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        """Appends what the file does not hold yet; ``rejected`` is what cannot be written as JSON."""
        outcomes: list[Delivery] = []
        documents: dict[str, bytes] = {}
        for record in records:
            try:
                documents[record.record_id] = encode(record)
                outcomes.append(_DELIVERED)
            except (TypeError, ValueError, msgspec.MsgspecError) as error:
                outcomes.append(Delivery(outcome="rejected", reason=f"cannot be written as JSON: {error}"))
        try:
            with self._mutex, _locked(self._path) as file:
                self._append(file, documents)
        except (OSError, sqlite3.Error) as error:
            raise TransientError(f"writing {self._path}: {error}", sent=True) from error
        return outcomes

    def close(self) -> None:
        """Closes the index."""
        if self._index is not None:
            self._index.close()

    def _append(self, file: BinaryIO, documents: dict[str, bytes]) -> None:
        size = file.seek(0, os.SEEK_END)
        end = whole_lines(file, size, size)
        if end < size:
            file.truncate(end)
        if self._index is not None:
            self._index.catch_up(file, end)
            for known in self._index.known(documents):
                del documents[known]
        data = b"".join(documents.values())
        if not data:
            return
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            raise TransientError(f"writing {self._path}: {error}", sent=False) from error
        if self._index is not None:
            self._index.add(documents, end + len(data))


def encode(record: Record) -> bytes:
    """A record as one line of JSON: its document, and ``_id``."""
    return msgspec.json.encode({"_id": record.record_id, **record_document(record)}) + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The file, open for appending and ours alone; made durable together with its folder where it is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        new = not path.exists()
        with path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):
                continue  # it was moved away while we waited for the lock
            if new:
                _sync_folder(path.parent)
            yield file
            return


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


_OFFSET = re.compile(r"[0-9]{1,18}")


class FilesHistoryConfig(HistorySettings):
    """Where dispositions are read."""

    type: Literal["files"] = "files"
    path: Path = Field(description="a JSONL file; see FilesHistory for its fields")


_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Change(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the file. Unknown fields are left alone, so that an alert may be closed with notes of one's own."""

    alert_id: str
    status: str
    changed_at: _Time
    event_ids: tuple[str, ...] = ()
    disposition: str | None = None
    observed_at: _Time | None = None
    analyst: str | None = None
    comment: str = ""
    tags: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    machine: bool = False
    techniques: tuple[str, ...] = ()


class FilesHistory:
    """Reads status changes of alerts from a JSONL file that something else appends to.

    A line is an object with ``alert_id``, ``status`` (``open``, ``acknowledged``, ``closed``, …) and ``changed_at``
    (RFC 3339, with its zone), and where they are known ``event_ids`` (ids of the events, as verdicts carry them),
    ``disposition``, ``observed_at`` (absent: when it is read), ``analyst``, ``comment``, ``tags``, ``assignees``, ``machine``
    and ``techniques``. The cursor is the file's identity and a byte of it: a file that was replaced is read from its start. A
    line that is no such object makes its batch incomplete, with the reason, and is passed over.
    """

    Config: ClassVar[type[HistorySettings]] = FilesHistoryConfig

    def __init__(self, name: str, config: FilesHistoryConfig, clock: Clock) -> None:
        self.name = name
        self._path = config.path
        self._clock = clock
        self._decoder = msgspec.json.Decoder(_Change)

    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        """The next lines of the file, in its order."""
        try:
            with self._path.open("rb", buffering=PIECE) as stream:
                return self._read(stream, after, limit)
        except FileNotFoundError:
            return Batch(items=(), cursor=after, done=True)
        except OSError as error:
            raise TransientError(f"reading {self._path}: {error}") from error

    def _read(self, stream: BinaryIO, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        file = look(stream, str(self._path), follow=True)
        if file is None:
            return Batch(items=(), cursor=after, done=True)
        identity, _, offset = after.token.partition(":") if after is not None else ("", "", "")
        ours = identity == file.identity and _OFFSET.fullmatch(offset) is not None
        reached = int(offset) if ours and int(offset) <= file.size else 0
        stream.seek(reached)
        items: list[DispositionChange] = []
        reason = ""
        done = True
        for start, behind, _, line, error in lines(stream, _LONGEST_LINE, offset=reached, whole=True):
            if len(items) == limit:
                done = False
                break
            reached = behind
            try:
                change = self._decoder.decode(line)
            except msgspec.MsgspecError as refused:
                reason = reason or f"{self._path}, byte {start}: {error or refused}"
                continue
            items.append(self._change(change))
        return Batch(
            items=tuple(items),
            cursor=Cursor(token=f"{file.identity}:{reached}"),
            done=done,
            complete=not reason,
            reason=reason,
        )

    def _change(self, line: _Change) -> DispositionChange:
        fields = msgspec.structs.asdict(line)
        return DispositionChange(**fields | {"observed_at": line.observed_at or self._clock()})
