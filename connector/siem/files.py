"""Files as a SIEM: the default that needs nothing else.

The source reads every format that :mod:`connector.siem.formats` draws, each also compressed or inside an archive. A
partition is the identity of a file's content; its offset is the byte at which a record starts or, in everything that is
not lines, the ordinal of the record.

Files of lines are followed while they grow, as :mod:`connector.siem.tail` draws it: a rotated log keeps its identity under
its new name, as a copy and compressed. All others are read once they have been left alone for ``settle``.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import Field

from connector.errors import ConfigError, TransientError
from connector.ports import Clock, SiemPlugin
from connector.settings import SourceSettings
from connector.siem.formats import Limits, records
from connector.siem.formats.found import LINES, FoundFile, expand, look, whole_lines
from connector.siem.formats.framing import FRAMINGS
from connector.siem.formats.streams import DamagedError, opened
from connector.siem.jsonl import FilesHistory, FilesWriter
from connector.siem.tail import Content, Finder
from connector.siem.tail.answers import answer, no_answer
from connector.siem.tail.contents import SCARCE, tail_of
from connector.siem.tail.memory import Memory
from connector.siem.tail.packed import lines_in
from connector.siem.tail.rows import Place, Reading, RowReader, container_events, portion
from connector.telemetry import Signal, emit
from connector.types import Batch, Cursor, Position, RawEvent, SourceRef, Span

_COUNTED_AT_ONCE = 10_000
_TOKEN = re.compile(r"([0-9]{1,18})(?::([0-9]{0,18}))?")
"""Our own cursors. Of another the span is read from its start: what was read before is known by its id."""

_OPEN_STREAMS = 4
"""Compressed files and containers that stay open between two reads, so that the next need not unpack from the start."""

_LOOKS = 3
"""Looks at files that are being moved at this very moment, before that is called an outage."""

_ASKED_US = 7 * 86_400_000_000
"""How long it is told where a lost content ended: a reader that has not read up to there asks within it, unless its targets
were full or the daemon stood still for longer."""


class FilesSourceConfig(SourceSettings):
    """Which files to read. ``lookback`` is zero and cannot be changed: what a file holds, it holds at its place."""

    type: Literal["files"] = "files"
    paths: tuple[str, ...] = Field(min_length=1, description="files, folders (read with all below) or globs")
    follow: bool = Field(True, description="files still grow: a last line without its end is not there yet")
    lookback: timedelta = Field(timedelta(0), ge=timedelta(0), le=timedelta(0), description="files have none")
    start: Literal["now", "beginning"] = "beginning"
    max_event_bytes: int = Field(
        16 << 20,
        ge=1024,
        description="a longer line or event becomes a dead letter; one event may take 64 times this in memory",
    )
    max_unpacked_bytes: int = Field(32 << 30, ge=1024, description="what one compressed file may unpack to")
    memory: Path | None = Field(None, description="where it is remembered what files held; absent: in data_dir")

    def kept_in(self, folder: Path, name: str) -> Self:
        """The same, with its memory in a folder, where none was named."""
        return self if self.memory else self.model_copy(update={"memory": folder / f"{name}.files.sqlite"})


class _Stream(NamedTuple):
    """A file that stands open, since it cannot be entered in its middle: at which place, and as which version."""

    place: int
    version: tuple[int, int]
    events: Iterator[RawEvent]
    rows: RowReader | None = None

    def close(self) -> None:
        """Closes the file at once, and not when the garbage is collected."""
        if self.rows is not None:
            self.rows.close()


class _End(NamedTuple):
    """Up to where a file can be read, as which version of it, and the digest of its last bytes there ("": a container)."""

    version: tuple[str, int, int, bool]
    place: Place
    tail: str


class FilesSource:
    """Reads events from files. An event's native id is ``<identity>:<offset>``. One call at a time; others wait."""

    Config: ClassVar[type[SourceSettings]] = FilesSourceConfig

    def __init__(self, name: str, config: FilesSourceConfig, clock: Clock) -> None:
        self.name = name
        self.deployment = config.deployment
        self._clock = clock
        self._follow = config.follow
        self._reading = Reading(
            config.deployment, Limits(max_event=config.max_event_bytes, max_unpacked=config.max_unpacked_bytes)
        )
        self._memory = Memory(config.memory)
        self._finder = Finder(
            config.paths,
            partial(_refused, name),
            self._memory,
            follow=config.follow,
            quiet=config.settle,
            max_unpacked=config.max_unpacked_bytes,
        )
        self._files: dict[str, FoundFile] = {}
        self._ends: dict[str, _End] = {}
        self._open: dict[str, _Stream] = {}
        self._reached: dict[str, Place] = {}
        self._answered: set[str] = set()
        self._mutex = threading.RLock()

    @property
    def query_digest(self) -> str:
        """Of what changes how a file is read.

        Which files are read is told by the partitions, so that a path added to the configuration un-proves nothing.
        """
        limits = self._reading.limits
        return hashlib.sha256(f"files:1:{limits.max_event}:{limits.max_unpacked}".encode()).hexdigest()

    def heads(self) -> Sequence[Position]:
        """The end of the last whole record of each file of lines, or how many records a finished container holds.

        A file that cannot be read has no head, and is told of; it keeps no other file from being read. Of a content that
        no file holds any more the head is where it was last seen, until a read has told what is missing of it.
        """
        with self._mutex:
            heads: list[Position] = []
            seen: dict[str, tuple[int, str]] = {}
            for file in self._find().values():
                try:
                    end = self._end(file)
                except FileNotFoundError:
                    continue  # it was moved since it was found: the next look finds it under its new name
                except OSError as error:
                    self._finder.tell(file.path, f"cannot be read: {error.strerror}")
                except ConfigError as error:
                    self._finder.tell(file.path, f"cannot be read: {error}")
                else:
                    heads.append(Position(partition=file.identity, offset=end.place.offset))
                    if end.tail:
                        seen[file.identity] = end.place.offset, end.tail
            self._finder.reached(seen)
            return heads + [
                Position(partition=identity, offset=content.end) for identity, content in self._still_lost().items()
            ]

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        """At most ``limit`` events of the span, by seeking to the byte or going on with the open container.

        An event belongs to the span that its first byte or its ordinal lies in. Incomplete where the content is gone,
        shorter than the span, or cannot be read: that keeps no other file from being read, and is tried again.
        """
        with self._mutex:
            file = self._files.get(span.partition) or self._find().get(span.partition)
            for _ in range(_LOOKS):
                if file is None:
                    break
                try:
                    if batch := self._read(file, span, after, limit):
                        return batch
                except FileNotFoundError:
                    pass  # it was moved since it was found: the next look finds it under its new name
                except (OSError, DamagedError) as error:
                    if getattr(error, "errno", None) in SCARCE:
                        raise TransientError(f"reading {file.path}: {error}") from error
                    return no_answer(after, f"{file.path} cannot be read: {error}")
                file = self._find().get(span.partition)
            self._answered.add(span.partition)
            return no_answer(after, self._missing(span.partition))

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
        """Closes the files that stand open, and the memory."""
        with self._mutex:
            for identity in list(self._open):
                self._shut(identity)
            self._memory.close()

    def _find(self) -> dict[str, FoundFile]:
        for left in reversed(range(_LOOKS)):
            try:
                self._files = self._finder.find(self._clock())
                break
            except OSError as error:
                if not left:
                    raise TransientError(f"looking for files: {error}") from error
        for gone in self._open.keys() - self._files.keys():
            self._shut(gone)
        for forgetful in (self._ends, self._reached):
            for gone in forgetful.keys() - self._files.keys():
                del forgetful[gone]
        return self._files

    def _still_lost(self) -> dict[str, Content]:
        """Lost contents of which a read has not told yet, or that nobody asked for in long: nothing was missing."""
        now = round(self._clock().timestamp() * 1e6)
        done = {key for key, lost in self._finder.lost.items() if key in self._answered or now - lost.lost > _ASKED_US}
        if done:
            self._finder.told_of(done)
            self._answered -= done
        return {key: content for key, content in self._finder.lost.items() if key not in done}

    def _missing(self, identity: str) -> str:
        content = self._finder.content(identity)
        if content is None:
            return "the file is gone"
        return f"{content.path} is gone, or was cut and written anew, before byte {content.end} of it was read"

    def _end(self, file: FoundFile) -> _End:
        """Up to where a file can be read now. ``FileNotFoundError`` where it is not what was found any more."""
        known = self._ends.get(file.identity)
        growing = self._growing(file)
        version = (file.path, *file.version, growing)
        if known is not None and known.version == version:
            return known
        self._ends.pop(file.identity, None)  # what rules from there moves on with the reader
        place, tail = Place(file.size), ""
        if file.layout in LINES and not file.codec:
            with opened(file.path) as stream:
                if growing:
                    place = self._whole(stream, file, known)
                tail = tail_of(stream, place.offset)
                if not self._is_still(stream, file):
                    raise FileNotFoundError(file.path)
        elif not file.codec:
            with opened(file.path) as stream:
                place = Place(sum(1 for _ in records(stream, file.path, self._reading.limits)))
        self._ends[file.identity] = end = _End(version, place, tail)
        return end

    def _growing(self, file: FoundFile) -> bool:
        """Whether a last line without its end may still get it. What was once seen as whole stays so, across restarts."""
        seen = self._finder.end_of(file.identity)
        return self._follow and seen < file.size and not self._finder.finished(file, self._clock())

    def _whole(self, stream: BufferedReader, file: FoundFile, known: _End | None) -> Place:
        limit = self._reading.limits.max_event
        if not FRAMINGS[file.layout].remembers:
            return Place(whole_lines(stream, file.size, limit, file.encoding))
        rows = RowReader(stream, file, self._reading, whole=True)
        rows.enter(known.place if known else Place(0, 0))
        for _ in rows.events():
            pass
        return rows.place

    def _is_still(self, stream: BufferedReader, file: FoundFile) -> bool:
        """Whether an open file is the one that was found, and holds what it held."""
        status = os.fstat(stream.fileno())
        content = self._finder.content(file.identity)
        if status.st_ino != file.inode or content is None:
            return False
        return tail_of(stream, content.end) == content.tail

    def _read(self, file: FoundFile, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent] | None:
        """None where the file is not what was found any more."""
        if file.layout not in LINES:
            return self._read_container(file, span, after, limit)
        wanted = self._wanted(span, after)
        if file.codec:
            return self._read_packed(file, span, wanted, limit)
        self._reached.pop(file.identity, None)  # what rules from there moves on with the reader
        with opened(file.path) as stream:
            rows = RowReader(stream, file, self._reading, whole=self._growing(file))
            rows.enter(wanted)
            items, ended = rows.take(span.stop, limit)
            if not self._is_still(stream, file):
                return None
        self._reached[file.identity] = rows.place
        return answer(file, span, items, rows.place, self._finder.end_of(file.identity), ended=ended)

    def _read_packed(self, file: FoundFile, span: Span, wanted: Place, limit: int) -> Batch[RawEvent] | None:
        if _modified(file) != file.modified_ns:
            self._shut(file.identity)
            return None
        kept = self._open.get(file.identity)
        rows = kept.rows if kept is not None and (kept.place, kept.version) == (wanted.offset, file.version) else None
        try:
            if rows is None:
                self._shut(file.identity)
                unpacked = lines_in(file, self._reading.limits.max_unpacked)
                rows = RowReader(unpacked, file, self._reading, whole=False)
                self._keep(file, _Stream(wanted.offset, file.version, iter(()), rows))
                rows.enter(wanted)
            items, ended = rows.take(span.stop, limit)
        except BaseException:
            self._shut(file.identity)
            raise
        self._keep(file, _Stream(rows.place.offset, file.version, iter(()), rows))
        return answer(file, span, items, rows.place, file.size, ended=ended)

    def _keep(self, file: FoundFile, stream: _Stream) -> None:
        self._open.pop(file.identity, None)  # the newest stand last
        self._open[file.identity] = stream
        while len(self._open) > _OPEN_STREAMS:
            self._shut(next(iter(self._open)))

    def _shut(self, identity: str) -> None:
        if (stream := self._open.pop(identity, None)) is not None:
            stream.close()

    def _wanted(self, span: Span, after: Cursor | None) -> Place:
        """The place behind the last record that was read of the span."""
        wanted = Place(span.start, None if span.start else 0)
        if after is not None and (told := _TOKEN.fullmatch(after.token)):
            wanted = Place(int(told[1]), int(told[2]) if told[2] else None)
            if wanted.offset > span.stop:
                wanted = Place(span.stop)  # behind it nothing is wanted, and a file system may know no place so far
        reached = self._reached.get(span.partition)
        return reached if reached is not None and reached.offset == wanted.offset else wanted

    def _read_container(self, file: FoundFile, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent] | None:
        first = self._wanted(span, after).offset
        wanted = max(0, min(limit, span.stop - first))
        stream = self._open.pop(file.identity, None)
        if stream is None or (stream.place, stream.version) != (first, file.version):
            with opened(file.path) as found:
                now = look(found, file.path, follow=self._follow)
            if now is None or now.identity != file.identity:
                return None
            stream = _Stream(first, file.version, container_events(file, self._reading, first))
        items, ended = portion(stream.events, wanted)
        reached = first + len(items)
        if not ended:
            self._keep(file, stream._replace(place=reached))
        return Batch(
            items=items,
            cursor=Cursor(token=str(reached)),
            done=ended or reached >= span.stop,
            complete=not ended,
            reason=f"{file.path} holds fewer records than were to be read of it" if ended else "",
        )


def _modified(file: FoundFile) -> int:
    status = Path(file.path).stat()
    return status.st_mtime_ns if status.st_ino == file.inode else 0


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
    reading = Reading(deployment, limits or Limits())
    for path in expand(map(str, paths), _must_exist):
        try:
            with opened(path) as stream:
                file = look(stream, path, follow=False)
                if file is None:
                    continue
                if file.layout in LINES:
                    rows = RowReader(stream, file, reading, whole=False)
                    rows.enter(Place(0, 0))
                    yield from rows.events()
                else:
                    yield from container_events(file, reading, 0)
        except OSError as error:
            yield RawEvent(
                deployment=deployment,
                native_id=path,
                ref=SourceRef(siem=deployment, index=path, id=path),
                data=b"",
                place=path,
                error=f"the file cannot be read: {error.strerror}",
            )


plugin = SiemPlugin(
    source=FilesSource, writer=FilesWriter, history=FilesHistory, testbed="connector.testing:FilesTestbed"
)
