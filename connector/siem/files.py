"""Files as a SIEM: the default that needs nothing else.

The source reads JSON lines, JSON arrays and concatenated JSON, Windows event XML, EVTX and plain text, each also
gzipped or inside a zip or a tar, as :mod:`connector.siem.formats` draws it. A partition is a file's identity; its
offset is the byte at which a line starts or, in everything that is not lines, the ordinal of the record.

Only files of lines are followed while they grow. All others are read once they have been left alone for ``settle``.
A rotated log keeps its identity under its new name; its compressed copy is another file, which a glob should not match.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

from pydantic import Field

from connector.errors import ConfigError, TransientError
from connector.ports import Clock, SiemPlugin
from connector.settings import SourceSettings
from connector.siem.formats import Limits, records
from connector.siem.formats.found import LINES, Finder, FoundFile, expand, look, whole_lines
from connector.siem.formats.lines import lines, skip_line
from connector.siem.formats.reader import message
from connector.siem.formats.streams import opened
from connector.siem.jsonl import FilesHistory, FilesWriter
from connector.telemetry import Signal, emit
from connector.types import Batch, Cursor, Position, RawEvent, SourceRef, Span

_COUNTED_AT_ONCE = 10_000
_OPEN_STREAMS = 4
"""Containers that stay open between two reads, so that the next batch need not unpack from the start."""


class FilesSourceConfig(SourceSettings):
    """Which files to read. ``lookback`` is zero and cannot be changed: what a file holds, it holds at its place."""

    type: Literal["files"] = "files"
    paths: tuple[str, ...] = Field(min_length=1, description="files, folders (read with all below) or globs")
    follow: bool = Field(True, description="files still grow: a last line without its end is not there yet")
    lookback: timedelta = Field(timedelta(0), ge=timedelta(0), le=timedelta(0), description="files have none")
    start: Literal["now", "beginning"] = "beginning"
    max_event_bytes: int = Field(16 << 20, ge=1024, description="a longer line or event becomes a dead letter")
    max_unpacked_bytes: int = Field(32 << 30, ge=1024, description="what one compressed file may unpack to")


class _Reading(NamedTuple):
    """What every reader of a file needs to know."""

    deployment: str
    limits: Limits


class _Here(NamedTuple):
    """Where reading of a file of lines stands: the byte, and the lines before it where they were counted."""

    offset: int
    line: int | None


class _Stream(NamedTuple):
    """A container that stands open: at which ordinal, and as which version of the file."""

    ordinal: int
    version: tuple[int, int]
    events: Iterator[RawEvent]


class FilesSource:
    """Reads events from files. An event's native id is ``<file identity>:<offset>``. One call at a time; others wait."""

    Config: ClassVar[type[SourceSettings]] = FilesSourceConfig

    def __init__(self, name: str, config: FilesSourceConfig, clock: Clock) -> None:
        self.name = name
        self.deployment = config.deployment
        self._clock = clock
        self._follow = config.follow
        self._reading = _Reading(
            config.deployment, Limits(max_event=config.max_event_bytes, max_unpacked=config.max_unpacked_bytes)
        )
        self._finder = Finder(config.paths, partial(_refused, name), follow=config.follow, quiet=config.settle)
        self._files: dict[str, FoundFile] = {}
        self._ends: dict[str, tuple[tuple[int, int], int]] = {}
        self._open: dict[str, _Stream] = {}
        self._reached: dict[str, _Here] = {}
        self._mutex = threading.RLock()

    @property
    def query_digest(self) -> str:
        """Of what changes how a file is read.

        Which files are read is told by the partitions, so that a path added to the configuration un-proves nothing.
        """
        limits = self._reading.limits
        return hashlib.sha256(f"files:1:{limits.max_event}:{limits.max_unpacked}".encode()).hexdigest()

    def heads(self) -> Sequence[Position]:
        """The end of the last whole line of each file, or how many records a finished container holds.

        A file that cannot be read has no head, and is told of; it keeps no other file from being read.
        """
        heads: list[Position] = []
        with self._mutex:
            for file in self._find().values():
                try:
                    heads.append(Position(partition=file.identity, offset=self._head(file)))
                except OSError as error:
                    self._finder.tell(file.path, f"cannot be read: {error.strerror}")
                except ConfigError as error:
                    self._finder.tell(file.path, f"cannot be read: {error}")
        return heads

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        """At most ``limit`` events of the span, by seeking to the byte or going on with the open container.

        An event belongs to the span that its first byte or its ordinal lies in. Incomplete where the file is gone, or
        shorter than the span.
        """
        with self._mutex:
            file = self._files.get(span.partition) or self._find().get(span.partition)
            if file is None:
                return Batch(items=(), cursor=after, done=True, complete=False, reason="the file is gone")
            try:
                if file.layout in LINES:
                    return self._read_lines(file, span, after, limit)
                return self._read_container(file, span, after, limit)
            except FileNotFoundError:
                del self._files[span.partition]
                return Batch(items=(), cursor=after, done=True, complete=False, reason=f"{file.path} is gone")
            except OSError as error:
                raise TransientError(f"reading {file.path}: {error}") from error

    def count(self, span: Span) -> int | None:
        """Events in the span; None where the file is gone."""
        total, cursor = 0, None
        while True:
            batch = self.read(span, cursor, _COUNTED_AT_ONCE)
            if not batch.complete:
                return None
            total += len(batch.items)
            if batch.done:
                return total
            cursor = batch.cursor

    def close(self) -> None:
        """Closes the containers that stand open."""
        with self._mutex:
            self._open.clear()

    def _find(self) -> dict[str, FoundFile]:
        self._files = {file.identity: file for file in self._finder.find(self._clock())}
        for forgetful in (self._ends, self._reached, self._open):
            for gone in forgetful.keys() - self._files.keys():
                del forgetful[gone]
        return self._files

    def _head(self, file: FoundFile) -> int:
        known = self._ends.get(file.identity)
        if known is None or known[0] != file.version:
            known = self._ends[file.identity] = file.version, self._end(file)
        return known[1]

    def _end(self, file: FoundFile) -> int:
        if file.layout in LINES and not self._follow:
            return file.size
        with opened(file.path) as stream:
            if file.layout in LINES:
                return whole_lines(stream, file.size, self._reading.limits.max_event)
            return sum(1 for _ in records(stream, file.path, self._reading.limits))

    def _read_lines(self, file: FoundFile, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        with opened(file.path) as stream:
            now = look(stream, file.path, follow=self._follow)
            if now is None or now.identity != file.identity:
                return self._replaced(file, after)
            reader = _LineReader(stream, file, self._reading, self._seek(stream, span, after))
            items = tuple(islice(reader.events(span.stop, whole=self._follow), limit))
            here, reason = reader.here, ""
            if len(items) < limit:
                if here.offset < span.stop > self._head(now):
                    reason = f"{file.path} is shorter than what was to be read of it"
                here = here._replace(offset=max(here.offset, span.stop))
        self._reached[file.identity] = here
        return Batch(
            items=items,
            cursor=Cursor(token=f"{here.offset}:{'' if here.line is None else here.line}"),
            done=here.offset >= span.stop,
            complete=not reason,
            reason=reason,
        )

    def _replaced(self, file: FoundFile, after: Cursor | None) -> Batch[RawEvent]:
        self._find()
        return Batch(items=(), cursor=after, done=True, complete=False, reason=f"{file.path} was replaced")

    def _seek(self, stream: BufferedReader, span: Span, after: Cursor | None) -> _Here:
        """Goes to the first line of the span that was not read; a line's number is known where reading went on."""
        reached = self._reached.get(span.partition)
        if after is not None:
            offset, _, line = after.token.partition(":")
            here = _Here(int(offset), int(line) if line else None)
        elif reached is not None and reached.offset == span.start:
            here = reached
        else:
            here = _Here(span.start, None if span.start else 0)
        if here.offset > 0:
            stream.seek(here.offset - 1)
            if stream.read(1) != b"\n":
                here = here._replace(offset=here.offset + skip_line(stream, self._reading.limits.max_event))
        stream.seek(here.offset)
        return here

    def _read_container(self, file: FoundFile, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        first = int(after.token) if after is not None else span.start
        wanted = max(0, min(limit, span.stop - first))
        stream = self._open.pop(file.identity, None)
        if stream is None or (stream.ordinal, stream.version) != (first, file.version):
            with opened(file.path) as found:
                now = look(found, file.path, follow=self._follow)
            if now is None or now.identity != file.identity:
                return self._replaced(file, after)
            stream = _Stream(first, file.version, _container_events(file, self._reading, first))
        items = tuple(islice(stream.events, wanted))
        reached = first + len(items)
        ended = len(items) < wanted
        if not ended:
            self._open[file.identity] = stream._replace(ordinal=reached)
            while len(self._open) > _OPEN_STREAMS:
                del self._open[next(iter(self._open))]
        return Batch(
            items=items,
            cursor=Cursor(token=str(reached)),
            done=ended or reached >= span.stop,
            complete=not ended,
            reason=f"{file.path} holds fewer records than were to be read of it" if ended else "",
        )


def _must_exist(path: str) -> None:
    raise ConfigError(f"no event file at {path!r}")


def _refused(source: str, path: str, reason: str) -> None:
    emit(Signal.READ_INCOMPLETE, source, reason=f"{path} {reason}")


def open_paths(
    paths: Iterable[str | Path], *, deployment: str = "files", limits: Limits | None = None
) -> Iterator[RawEvent]:
    """Every event of the files, folders and globs, in the order given, to their very end, in constant memory.

    Positions and native ids are those that :class:`FilesSource` gives. A file that cannot be read is one event with an
    error. ``ConfigError`` for a path that names nothing.
    """
    reading = _Reading(deployment, limits or Limits())
    for path in expand(map(str, paths), _must_exist):
        try:
            with opened(path) as stream:
                file = look(stream, path, follow=False)
                if file is None:
                    continue
                stream.seek(0)
                if file.layout in LINES:
                    yield from _LineReader(stream, file, reading, _Here(0, 0)).events(sys.maxsize, whole=False)
                else:
                    yield from _container_events(file, reading, 0)
        except OSError as error:
            yield RawEvent(
                deployment=deployment,
                native_id=path,
                ref=SourceRef(siem=deployment, index=path, id=path),
                data=b"",
                place=path,
                error=f"the file cannot be read: {error.strerror}",
            )


class _LineReader:
    """The events of an open file of lines; ``here`` is where reading stands behind the last one that was given."""

    def __init__(self, stream: BufferedReader, file: FoundFile, reading: _Reading, here: _Here) -> None:
        self._stream = stream
        self._file = file
        self._reading = reading
        self._numbered = here.line is not None
        self._offset = here.offset
        self._line = here.line or 0

    @property
    def here(self) -> _Here:
        return _Here(self._offset, self._line if self._numbered else None)

    def events(self, stop: int, *, whole: bool) -> Iterator[RawEvent]:
        """Those that start before ``stop``. ``whole``: a last line without its end is not there yet."""
        deployment, limits = self._reading
        identity, path, text = self._file.identity, self._file.path, self._file.layout == "text"
        found = lines(self._stream, limits.max_event, offset=self._offset, number=self._line, whole=whole)
        for start, behind, number, line, error in found:
            if start >= stop:
                return
            self._offset, self._line = behind, number
            native = f"{identity}:{start}"
            yield RawEvent(
                deployment=deployment,
                native_id=native,
                ref=SourceRef(siem=deployment, index=path, id=native),
                data=message(line) if text else line,
                position=Position(partition=identity, offset=start),
                place=f"{path}:{number}" if self._numbered else f"{path}@{start}",
                error=error,
            )


def _container_events(file: FoundFile, reading: _Reading, skip: int) -> Iterator[RawEvent]:
    deployment, limits = reading
    with opened(file.path) as stream:
        found = islice(records(stream, file.path, limits), skip, None)
        for ordinal, (data, place, error) in enumerate(found, skip):
            native = f"{file.identity}:{ordinal}"
            yield RawEvent(
                deployment=deployment,
                native_id=native,
                ref=SourceRef(siem=deployment, index=file.path, id=native),
                data=data,
                position=Position(partition=file.identity, offset=ordinal),
                place=place,
                error=error,
            )


plugin = SiemPlugin(
    source=FilesSource, writer=FilesWriter, history=FilesHistory, testbed="connector.testing:FilesTestbed"
)
