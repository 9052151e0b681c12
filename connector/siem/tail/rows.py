"""The events of an open file of lines, from any record on."""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader
from itertools import islice
from typing import NamedTuple

from connector.siem.formats import Limits, records
from connector.siem.formats.found import FoundFile
from connector.siem.formats.framing import FRAMINGS, Framing, Row
from connector.siem.formats.lines import reads, skip_line
from connector.siem.formats.streams import PIECE, DamagedError, opened
from connector.types import Position, RawEvent, SourceRef

PORTION = 32 << 20
"""Bytes of a file that one read gives at most, beyond its first event: a batch of the largest events is a short one."""


class Reading(NamedTuple):
    """What every reader of a file needs to know."""

    deployment: str
    limits: Limits


class Place(NamedTuple):
    """Where reading of a file stands: the byte, the lines before it where they were counted, and what rules from here."""

    offset: int
    line: int | None = None
    framing: Framing | None = None


class RowReader:
    """Reads records forwards; ``place`` is where reading stands behind the last one that was given."""

    def __init__(self, stream: BufferedReader, file: FoundFile, reading: Reading, *, whole: bool) -> None:
        self._stream = stream
        self._file = file
        self._reading = reading
        self._whole = whole
        self._framing: Framing = FRAMINGS[file.layout]()
        self._rows: Iterator[Row] = iter(())
        self._ahead: Row | None = None
        self._failure: OSError | DamagedError | None = None
        self.place = Place(0, 0)

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()

    def enter(self, wanted: Place) -> None:
        """Goes to the first record that starts at or behind a place; one that rules need is read from the file's start.

        A line's number is known where reading went on from a place that knew it, or from the start.
        """
        if wanted.offset <= self._file.begin:
            self._start(Place(self._file.begin, 0))
        elif wanted.framing is not None:
            self._framing = wanted.framing
            self._pass_to(wanted.offset)
            self._start(wanted)
        elif self._framing.remembers:
            self._start(Place(self._file.begin, 0))
            while (row := self._next()) is not None:
                if row[0] >= wanted.offset:
                    self._ahead = row
                    break
                self._stand_behind(row)
            if self.place.offset < wanted.offset:
                # no record ends here for certain: what rules from here is not known
                self.place = self.place._replace(offset=wanted.offset, framing=None)
        else:
            self._start(self._line_behind(wanted))

    def take(self, stop: int, limit: int) -> tuple[tuple[RawEvent, ...], bool]:
        """At most ``limit`` events, and ``PORTION`` bytes, of those that start before ``stop``; whether that was all.

        What came before a failure is given first; the failure is raised by the next call.
        """
        found: list[RawEvent] = []
        size = 0
        while len(found) < limit and size < PORTION:
            try:
                row = self._next()
            except (OSError, DamagedError) as error:
                self._failure = error
                if not found:
                    raise
                return tuple(found), False
            if row is None:
                break
            if row[0] >= stop:
                self._ahead = row
                break
            self._stand_behind(row)
            found.append(self._event(row))
            size += row[1] - row[0]
        return tuple(found), len(found) < limit and size < PORTION

    def events(self) -> Iterator[RawEvent]:
        """All that is left."""
        while (row := self._next()) is not None:
            self._stand_behind(row)
            yield self._event(row)

    def _next(self) -> Row | None:
        if self._ahead is not None:
            row, self._ahead = self._ahead, None
            return row
        if self._failure is not None:
            raise self._failure
        return next(self._rows, None)

    def _start(self, place: Place) -> None:
        """Reads from a place at which the stream stands, or can be made to."""
        if self._stream.seekable():
            self._stream.seek(place.offset)
        self.place = place._replace(framing=self._framing if self._framing.remembers else None)
        self._rows = self._framing.rows(
            self._stream,
            self._reading.limits.max_event,
            offset=place.offset,
            number=place.line or 0,
            whole=self._whole,
            encoding=self._file.encoding,
        )

    def _pass_to(self, offset: int) -> None:
        if self._stream.seekable():
            self._stream.seek(offset)
            return
        while offset > 0 and (piece := self._stream.read(min(offset, PIECE))):
            offset -= len(piece)

    def _line_behind(self, wanted: Place) -> Place:
        """The wanted place, or behind the line in whose middle it lies."""
        encoding = self._file.encoding
        width = len("\n".encode(encoding))
        before = max(0, wanted.offset - width)
        self._pass_to(before)
        _, ended = reads(self._stream, encoding)
        if ended(self._stream.read(wanted.offset - before)):
            return wanted
        skipped = skip_line(self._stream, self._reading.limits.max_event, encoding)
        return wanted._replace(offset=wanted.offset + skipped)

    def _stand_behind(self, row: Row) -> None:
        _, behind, number, _, _ = row
        counted = None
        if self.place.line is not None:
            counted = self._framing.line if self._framing.remembers else number
        self.place = self.place._replace(offset=behind, line=counted)

    def _event(self, row: Row) -> RawEvent:
        start, _, number, data, error = row
        deployment = self._reading.deployment
        identity, path = self._file.identity, self._file.path
        native = f"{identity}:{start}"
        return RawEvent(
            deployment=deployment,
            native_id=native,
            ref=SourceRef(siem=deployment, index=path, id=native),
            data=data,
            position=Position(partition=identity, offset=start),
            place=f"{path}:{number}" if self.place.line is not None else f"{path}@{start}",
            error=error,
        )


def portion(events: Iterator[RawEvent], limit: int) -> tuple[tuple[RawEvent, ...], bool]:
    """At most ``limit`` of the events, and ``PORTION`` bytes; whether that was all."""
    found: list[RawEvent] = []
    size = 0
    for event in islice(events, limit):
        found.append(event)
        data = event.data
        size += len(data) if isinstance(data, bytes | str) else sum(map(len, map(str, data.values())))
        if size >= PORTION:
            break
    return tuple(found), len(found) < limit and size < PORTION


def container_events(file: FoundFile, reading: Reading, skip: int) -> Iterator[RawEvent]:
    """The events of a container from an ordinal on; it is unpacked from its start."""
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
