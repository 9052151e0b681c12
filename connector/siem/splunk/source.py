"""Reads events from Splunk by the time of their indexing, each second whole.

**Positions** are ``_indextime`` in microseconds. Splunk keeps whole seconds, so an edge of a span is rounded up to one, and
a second belongs to exactly one of two spans that meet. ``heads()`` never lies within a second that is still being written.

**Paging.** Splunk has no cursor over an export, and streams events newest first by their own time. A span is therefore read
in windows of whole seconds that are narrowed until one fits into memory, and a window's events are handed out by (second,
native id): an order that depends on nothing but the events. A cursor is the last event's place in that order. Whoever goes
on after it, in this process or another, searches from its second on and leaves out what is not after it; what was handed
out is left out by its key and everything else of that second is still to come. A second with more events than fit is
streamed several times, each time for the first ones after the cursor (:mod:`connector.siem.splunk.smallest`).

A window that was read stays in memory until it is handed out, so that pages do not search again; it is used only by the
cursor that came from it. An event that is indexed behind the cursor meanwhile comes with a later re-read, like any late one.
"""

from __future__ import annotations

import hashlib
import itertools
import secrets
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Literal, NamedTuple

import msgspec
from pydantic import Field, field_validator

from connector.ports import Clock
from connector.settings import SourceSettings, Stretch
from connector.siem.splunk import notables, spl
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.connection import Connection
from connector.siem.splunk.counting import counted
from connector.siem.splunk.faults import CutError
from connector.siem.splunk.smallest import Key, Row
from connector.siem.splunk.window import Window, Windows
from connector.types import Batch, Cursor, Position, RawEvent, SourceRef, Span

SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CHECK_S: Final = 300.0
_READ_S: Final = 20.0
_BATCH_BYTES: Final = 64 << 20
_FIRST_WIDTH: Final = 900
_STEP: Final = 4
_LEAP: Final = 64


class SplunkSourceConfig(SourceSettings, Connection):
    """Which events of which Splunk."""

    type: Literal["splunk"] = "splunk"
    kind: Literal["events", "notables"] = Field(
        "events", description="notables: findings and notables of Enterprise Security, each with its `event_id`"
    )
    search: str = Field(
        "",
        description="which events: an expression of the `search` command (`index=win sourcetype=XmlWinEventLog`), and after "
        "`|` commands that look at each event alone (`where`, `eval`, `lookup`, …)",
    )
    exclude: tuple[str, ...] = Field(
        ("triaged",), description="indexes that are left out: those that Triaged's role alone may write"
    )
    fields: tuple[str, ...] = Field(("*",), description="fields of a row beside those that identify it; `*`: all")
    settle: Stretch = Field(timedelta(seconds=10), description="how far behind the search head's clock to stay")
    page: int = Field(10_000, ge=1, le=500_000, description="events a window; more are read in narrower windows")
    harmless: tuple[str, ...] = Field(
        (), description="beginnings of search messages that this site knows to be harmless; others make a span unproven"
    )

    @field_validator("search")
    @classmethod
    def _search_is_safe(cls, search: str) -> str:
        if search.strip():
            spl.parsed(search)
        return search

    @field_validator("exclude")
    @classmethod
    def _excludes_indexes(cls, exclude: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(spl.index_pattern, exclude))

    @field_validator("fields")
    @classmethod
    def _fields_are_names(cls, fields: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(spl.quoted_field, fields))

    def asked(self) -> spl.Asked:
        """The search in its parts. Raises ``ValueError`` where events are wanted without one."""
        return spl.parsed(self.search or (notables.SEARCH if self.kind == "notables" else "index=*"))


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A cursor's token: the second to go on at, after which event of it, how wide to look, and which window is in memory."""

    second: int
    after: str | None = None
    width: int = _FIRST_WIDTH
    held: str = ""

    @property
    def key(self) -> Key | None:
        """The last event that was handed out, in the order of windows."""
        return None if self.after is None else (self.second, self.after)


_PLACE: Final = msgspec.json.Decoder(Place)


class Held(NamedTuple):
    """A window in memory, under the name by which a cursor asks for it, and how wide the next one should be."""

    name: str
    window: Window
    width: int


class SplunkSource:
    """Events of one search. Their native ids are :func:`connector.siem.splunk.identity.native_id`'s."""

    Config: ClassVar[type[SourceSettings]] = SplunkSourceConfig

    def __init__(self, name: str, config: SplunkSourceConfig, _: Clock) -> None:
        self.name = name
        self.deployment = config.deployment
        self._config = config
        self._asked = config.asked()
        self._splunk = Splunk(config)
        more = (notables.EVENT_ID,) if config.kind == "notables" else ()
        search = spl.events(self._asked, config.exclude, config.fields, more)
        self._windows = Windows(self._splunk, search, harmless=config.harmless, with_event_id=config.kind == "notables")
        self._held: Held | None = None
        self._checked: float | None = None
        self._widest = _FIRST_WIDTH
        self._mutex = threading.RLock()

    @property
    def query_digest(self) -> str:
        """Of the search, and of what decides which events it finds."""
        parts = (1, self._config.kind, self._asked, self._config.exclude)
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def heads(self) -> Sequence[Position]:
        """The search head's clock minus settle, at the end of a whole second.

        Raises ``ConfigError`` where the search is refused.
        """
        now = self._splunk.now() - self._config.settle
        second = (now - _EPOCH) // timedelta(seconds=1)
        self._check(second - 1)
        return (Position(partition="", offset=second * SECOND),)

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        """At most ``limit`` events; fewer where windows are empty for long, or events are large."""
        stop = whole(span.stop)
        with self._mutex:
            place = placed(after, whole(span.start))
            found: list[Row] = []
            reasons: list[str] = []
            size, ends = 0, time.monotonic() + _READ_S
            while place.second < stop and len(found) < limit and size < _BATCH_BYTES and time.monotonic() < ends:
                held = self._window(place, stop, limit, ends)
                fresh = _next(held.window, place.key, limit - len(found), _BATCH_BYTES - size)
                found += fresh
                size += sum(len(row.data) for row in fresh)
                reasons += [held.window.reason] if held.window.reason else []
                place = self._moved(place, held, fresh)
        reason = "; ".join(dict.fromkeys(reasons))
        return Batch(
            items=tuple(self._event(row, span) for row in found),
            cursor=Cursor(token=msgspec.json.encode(place).decode()),
            done=place.second >= stop,
            complete=not reason,
            reason=reason,
        )

    def count(self, span: Span) -> int | None:
        """The server's count of distinct places; None where its answer was partial, or events have no place."""
        first, until = whole(span.start), whole(span.stop)
        if first >= until:
            return 0
        return counted(
            self._splunk, spl.counted(self._asked, self._config.exclude), first, until, self._config.harmless
        )

    def close(self) -> None:
        """Forgets what is in memory."""
        self._held = None
        self._splunk.close()

    def _window(self, place: Place, stop: int, limit: int, ends: float) -> Held:
        """The window that the cursor came from, or a new one that is as wide as its events allow.

        One whose stream ends too early is narrowed too, now or, where that took long, by the next call.
        """
        if self._held is not None and place.held and self._held.name == place.held:
            return self._held
        most, width = max(limit, self._config.page), max(1, min(place.width, self._widest))
        while True:
            until = min(stop, place.second + width)
            try:
                window = self._windows.read(place.second, until, place.key, most)
            except CutError:
                self._widest = max(1, (until - place.second) // _STEP)
                if until - place.second <= 1 or time.monotonic() >= ends:
                    raise
                window = Window(place.second, until, too_wide=True)
            if not window.too_wide:
                self._widest = max(self._widest, _LEAP * (until - place.second))
                self._held = Held(secrets.token_hex(6), window, _wider(window, width, most))
                return self._held
            width = max(1, (until - place.second) // _STEP)

    def _moved(self, place: Place, held: Held, fresh: Sequence[Row]) -> Place:
        """Where reading stands after these rows of a window: within it, or behind it."""
        window = held.window
        if fresh and fresh[-1] is not window.rows[-1]:
            second, after = fresh[-1].key
            return Place(second, after, place.width, held.name)
        self._held = None
        if window.overflowed and window.rows:
            second, after = window.rows[-1].key
            return Place(second, after, held.width)
        return Place(window.until, None, held.width)

    def _event(self, row: Row, span: Span) -> RawEvent:
        second, number = row.key
        return RawEvent(
            deployment=self.deployment,
            native_id=number,
            ref=SourceRef(siem=self.deployment, index=row.index, id=number, event_id=row.event_id, alert=row.event_id),
            data=row.data,
            position=Position(partition=span.partition, offset=second * SECOND),
            place=f"{row.index}/{number}",
        )

    def _check(self, second: int) -> None:
        """From time to time: that Splunk takes the search, and lets us make it."""
        now = time.monotonic()
        if self._checked is None or now - self._checked >= _CHECK_S:
            self._windows.check(second)
            self._checked = now


def whole(micros: int) -> int:
    """Microseconds as whole seconds, rounded up: a second lies in a span if its first microsecond does."""
    return -(-micros // SECOND)


def placed(after: Cursor | None, start: int) -> Place:
    """Where a cursor stands; at the start for none, and for one that nobody of ours wrote: the ledger knows what it has seen."""
    if after is None:
        return Place(start)
    try:
        return _PLACE.decode(after.token)
    except msgspec.MsgspecError:
        return Place(start)


def _next(window: Window, after: Key | None, limit: int, size: int) -> list[Row]:
    """The next rows of a window, at most so many, and so many bytes of them (but one at least)."""
    begin = 0 if after is None else bisect_right(window.rows, after, key=lambda row: row.key)
    chosen = window.rows[begin : begin + limit]
    sums = itertools.accumulate(len(row.data) for row in chosen)
    fitting = sum(1 for total in sums if total <= size)
    return list(chosen[: max(1, fitting)])


def _wider(window: Window, width: int, most: int) -> int:
    """How wide to look next: by how full this one was."""
    if window.overflowed:
        return max(1, width // _STEP)
    if not window.rows:
        return width * _LEAP
    return width * _STEP if len(window.rows) < most // _STEP else width
