"""The Linux audit log: the records of one event stand in consecutive lines with one ``audit(time:serial)``.

They become one message, its lines as they stand. Several processors write at once, so that the records of events stand
mixed. An event is whole at its ``EOE`` or ``PROCTITLE`` record; when a record came that is more than two seconds later, or
sixteen more events; or at once where its type stands alone: messages of programs and of the daemon itself (Linux,
``include/uapi/linux/audit.h``: 1100 to 1299, and 2000 on).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, TypeAlias

from connector.siem.formats.lines import Encoding, Line, lines
from connector.types import Document

Row: TypeAlias = tuple[int, int, int, Document | bytes, str | None]

_RECORD = re.compile(
    rb"(?:node=[^ ]{1,255} )?type=([A-Z0-9_\[\]]{1,40}) msg=(audit\(([0-9]{1,18})[0-9.]{0,16}:[0-9]{1,20}\)):"
)
_UNKNOWN = re.compile(rb"UNKNOWN\[1[12][0-9][0-9]\]")
_LAST = frozenset({b"EOE", b"PROCTITLE"})
_ALONE_STARTS = (
    b"USER_",
    b"CRED_",
    b"DAEMON_",
    b"SERVICE_",
    b"CRYPTO_",
    b"ADD_",
    b"DEL_",
    b"GRP_",
    b"CHGRP_",
    b"VIRT_",
)
_ALONE = frozenset({
    b"USER", b"TRUSTED_APP", b"ROLE_ASSIGN", b"ROLE_REMOVE", b"LABEL_OVERRIDE", b"SYSTEM_BOOT",
    b"SYSTEM_SHUTDOWN", b"SYSTEM_RUNLEVEL", b"CHUSER_ID", b"ACCT_LOCK", b"ACCT_UNLOCK", b"DEV_ALLOC", b"DEV_DEALLOC",
    b"FS_RELABEL", b"MAC_CHECK", b"SOFTWARE_UPDATE", b"TEST",
})  # fmt: skip
_MOST_LINES = 1000
"""Records that one event may have; the kernel's own are a few dozen. More are another message."""

_MOST_OPEN = 16
"""Events whose records may stand mixed in a log. With more of them the oldest counts as whole."""

_LATE_SECONDS = 2
"""A record later than an event by more than this closes it, as the audit library has it (``auparse``)."""


def is_record(line: bytes) -> bool:
    """Whether a file that starts with this line is such a log."""
    return _RECORD.match(line) is not None


class _Event:
    """An event whose records are being gathered. ``serial`` is empty for a line of no event."""

    __slots__ = ("behind", "closed", "error", "first", "lines", "seconds", "serial", "size", "start")

    def __init__(self, serial: bytes, seconds: int, start: int, first: int) -> None:
        self.serial = serial
        self.seconds = seconds
        self.start = start
        self.first = first
        self.lines: list[bytes] = []
        self.size = 0
        self.behind = start
        self.closed = False
        self.error: str | None = None

    def add(self, line: bytes, behind: int) -> None:
        self.lines.append(line)
        self.size += len(line)
        self.behind = behind

    @property
    def data(self) -> Document | bytes:
        whole = b"\n".join(self.lines)
        return {"message": whole.decode("utf-8", "replace")} if self.error is None else whole


class AuditRecords:
    """The lines of an audit log, those of an event together, in the order of their first lines.

    Behind an event reading stands at the first line of the oldest event that still lacks records. Records of events that
    were given before and reach beyond that place are remembered, so that going on from there gives none of them again.
    """

    remembers: ClassVar[bool] = True

    def __init__(self) -> None:
        self.line = 0
        self._given: list[tuple[bytes, int, int]] = []

    def rows(
        self,
        stream: BinaryIO,
        limit: int,
        *,
        offset: int = 0,
        number: int = 0,
        whole: bool = False,
        encoding: Encoding = "utf-8",
    ) -> Iterator[Row]:
        """Each event as a message; a line that is none of the kind is one by itself."""
        self._given = [given for given in self._given if given[1] < offset < given[2]]
        held: deque[_Event] = deque()
        size, end, last = 0, offset, number
        for at, end, last, line, error in lines(
            stream, limit, offset=offset, number=number, whole=whole, encoding=encoding
        ):
            found = _RECORD.match(line) if error is None else None
            if found:
                _close_older(held, int(found[3]))
            if not (found and self._was_given(found[2], at)):
                _gather(held, found, (at, end, last, line, error), limit)
                size += len(line)
            while held and (held[0].closed or len(held) > _MOST_OPEN or (size > limit and len(held) > 1)):
                event = held.popleft()
                size -= event.size
                yield self._give(event, held, end, last)
        while held and not whole:
            yield self._give(held.popleft(), held, end, last)

    def _was_given(self, serial: bytes, at: int) -> bool:
        return any(serial == given and at < behind for given, _, behind in self._given)

    def _give(self, event: _Event, held: deque[_Event], end: int, last: int) -> Row:
        """The event, and where reading stands behind it: what is held is read again from there."""
        self._given = [given for given in self._given if given[2] > event.start]
        self._given.append((event.serial, event.start, event.behind))
        if held:
            end, last = held[0].start, held[0].first - 1
        self.line = last
        return event.start, end, event.first, event.data, event.error


def _close_older(held: deque[_Event], seconds: int) -> None:
    """Nothing comes any more of events that are older than the record that came now by more than the kernel mixes."""
    for event in held:
        if seconds - event.seconds > _LATE_SECONDS:
            event.closed = True


def _gather(held: deque[_Event], found: re.Match[bytes] | None, line: Line, limit: int) -> None:
    """Adds a line to the event that it belongs to, or begins one."""
    at, end, number, data, error = line
    serial = found[2] if found else b""
    event = next((event for event in held if found and event.serial == serial and not event.closed), None)
    if event is not None and (event.size + len(data) > limit or len(event.lines) == _MOST_LINES):
        event.closed, event = True, None
    if event is None:
        event = _Event(serial, int(found[3]) if found else 0, at, number)
        event.error = error
        held.append(event)
    event.add(data, end)
    if found is None or _completes(found[1]):
        event.closed = True


def _completes(kind: bytes) -> bool:
    alone = kind in _ALONE or kind.startswith(_ALONE_STARTS) or _UNKNOWN.fullmatch(kind)
    return kind in _LAST or bool(alone)
