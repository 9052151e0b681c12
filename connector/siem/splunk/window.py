"""One search over a window of index times: its rows in our order, and what the search said of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from typing import Any, Final

import msgspec

from connector.errors import ConfigError
from connector.siem.splunk import rows as stream
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.faults import RAISED, CutError, Fault, failed, fault
from connector.siem.splunk.identity import index_of, native_id
from connector.siem.splunk.messages import Message, meaning, told
from connector.siem.splunk.smallest import Key, Row, Smallest
from connector.transport import Body

ALL_TIME: Final = {"earliest_time": "1", "latest_time": "4102444800"}
"""From 1970 to 2100: without them a search ends at *now*, and events whose own time lies ahead would never be found."""

_SIZE: Final = 64 << 20
_TOO_MANY: Final = 4
"""A window with this many times the wanted rows is given up while it streams, and read in smaller ones."""

_ELSEWHERE: Final = "a row came that was not indexed in the window: `search` changes _indextime"


class Window(msgspec.Struct, frozen=True):
    """Rows of the seconds ``first <= second < until``, in order.

    ``overflowed``: there are more, all after the last one here. ``too_wide``: there are so many that none was kept.
    ``reason``: why rows may be missing.
    """

    first: int
    until: int
    rows: tuple[Row, ...] = ()
    overflowed: bool = False
    too_wide: bool = False
    reason: str = ""


class Windows:
    """Searches windows with one search. Safe to use from several threads."""

    def __init__(self, splunk: Splunk, search: str, *, harmless: Sequence[str], with_event_id: bool = False) -> None:
        self._splunk = splunk
        self._search = search
        self._harmless = tuple(harmless)
        self._with_event_id = with_event_id

    def read(self, first: int, until: int, after: Key | None, most: int) -> Window:
        """The first ``most`` rows or so of a window that come after a key.

        Raises ``ConfigError`` where the search is refused, ``TransientError`` where it could not be made or failed as a
        whole, ``CutError`` where its stream ended too early in a window of several seconds; in one of one second, what
        came is given, and is incomplete.
        """
        kept = Smallest(most, _SIZE)
        reasons: list[str] = []
        elsewhere = ""
        narrow = until - first <= 1
        body = self._opened(first, until)  # a search that never began to answer is an outage, and no cut
        try:
            for row in self._rows(body, reasons):
                if not first <= row.key[0] < until:
                    elsewhere = _ELSEWHERE
                elif after is None or row.key > after:
                    kept.add(row)
                    if kept.seen > _TOO_MANY * most and not narrow:
                        return Window(first, until, too_wide=True)
        except CutError as error:
            if not narrow:
                raise
            reasons.append(str(error))
        finally:
            body.close()
        reason = "; ".join(dict.fromkeys([*reasons, elsewhere] if elsewhere else reasons))
        return Window(first, until, tuple(kept.sorted()), overflowed=kept.overflowed, reason=reason)

    def check(self, second: int) -> None:
        """Asks for one second and reads no further than its first row: whether the search is one, and allowed."""
        with closing(self._opened(second, second + 1)) as body, suppress(CutError):
            next(self._rows(body, []), None)

    def _rows(self, body: Body, reasons: list[str]) -> Iterator[Row]:
        """The rows as they come; what keeps them from being all is added to ``reasons``."""
        try:
            for item in stream.read(body.lines()):
                if isinstance(item, Message):
                    self._heed(item, reasons)
                else:
                    yield self._row(item)
        except RAISED as error:
            found = fault(error, f"reading a search on {self._splunk.address}")
            # the stream had begun: a connection that is lost in its midst may be one that took too long
            raise (CutError(str(found), sent=True) if isinstance(error, OSError) else found) from error

    def _opened(self, first: int, until: int) -> Body:
        times = {**ALL_TIME, "index_earliest": str(first), "index_latest": str(until)}
        return self._splunk.export("searching", self._search, search_mode="normal", **times)

    def _heed(self, message: Message, reasons: list[str]) -> None:
        """Notes what keeps the window from being whole; raises what ended the search."""
        found = meaning(message, self._harmless)
        if isinstance(found, Fault):
            raise failed(found, f"searching on {self._splunk.address}: {told(message)}")
        if found == "partial":
            reasons.append(told(message))

    def _row(self, data: bytes) -> Row:
        fields = stream.fields(data)
        named = fields.get("event_id") if self._with_event_id else None
        return Row(
            (_second(fields), native_id(fields)),
            index_of(fields),
            data,
            event_id=named if isinstance(named, str) else None,
        )


def _second(fields: dict[str, Any]) -> int:
    value: Any = fields.get("_indextime")
    try:
        return int(float(value[0] if isinstance(value, list) else value))
    except (IndexError, OverflowError, TypeError, ValueError):
        raise ConfigError(
            "a row of the search has no _indextime, so it is no event of an index: `search` must give events as they lie"
        ) from None
