"""Documents that wrap a list of events, as vendors' interfaces answer: which list it is, told from a document's start.

``{"Records": […]}`` (CloudTrail), ``{"value": […]}`` (Microsoft Graph), ``{"hits": {"hits": […]}}`` (a search's answer),
``{"results": […]}`` (Splunk), ``{"items": […]}`` (Google Workspace, Kubernetes). An event may have a field of such a name
too, so what stands beside the list must be what an envelope has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BufferedReader
from typing import Final, Literal

from connector.siem.formats.elements import BETWEEN, QUOTE, Element, Window, bracket

LISTS: Final = frozenset({b"Records", b"records", b"Events", b"events", b"value", b"items", b"results", b"logEvents"})
"""Keys of a document under which its events stand."""

HITS: Final = b"hits"
"""The key of a search's answer, and inside that of its list."""

_ENVELOPE = frozenset({
    b"@odata.context", b"@odata.nextLink", b"@odata.count", b"@odata.deltaLink", b"took", b"timed_out", b"_shards",
    b"_scroll_id", b"pit_id", b"num_reduce_phases", b"kind", b"apiVersion", b"metadata", b"etag", b"nextPageToken",
    b"preview", b"init_offset", b"messages", b"fields", b"highlighted", b"post_process_count", b"next_token",
    b"NextToken", b"nextToken", b"total", b"count", b"status", b"success", b"pagination", b"meta", b"max_score",
    b"messageType", b"owner", b"logGroup", b"logStream", b"subscriptionFilters",
})  # fmt: skip
_KEY = re.compile(rb'[\s,]*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+', re.DOTALL)
_SCALAR = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"|[^\s,{}\[\]"]++)\s*+', re.DOTALL)
_LIST = re.compile(rb"\[\s*+\{")
_TOKEN = re.compile(rb'[^"{}\[\]]*+(?:"(?:[^"\\]++|\\.)*+"|[{}\[\]])', re.DOTALL)
_MOST_KEYS = 64
_KEY_BEFORE = re.compile(rb'"(\w{1,40})"\s*+:\s*+\Z')
_KEY_REACH = 128
_SHOWN = 4096


def is_wrapped(head: bytes) -> bool:
    """Whether a document that starts with ``head`` holds its events in a list under one of the known keys."""
    return _finds(head, 1, inside=False)


def _finds(head: bytes, at: int, *, inside: bool) -> bool:
    for _ in range(_MOST_KEYS):
        key = _KEY.match(head, at)
        if key is None:
            return False
        name, at = key[1], key.end()
        if not inside and name == HITS and head[at : at + 1] == b"{":
            return _finds(head, at + 1, inside=True)
        if _LIST.match(head, at) and (name == HITS if inside else name in LISTS):
            return True
        if name not in _ENVELOPE:
            return False
        passed = _passed(head, at)
        if passed is None:
            return False
        at = passed
    return False


def _passed(head: bytes, at: int) -> int | None:
    """Behind the value that stands here; None where it does not end."""
    if head[at : at + 1] not in {b"{", b"["}:
        scalar = _SCALAR.match(head, at)
        return scalar.end() if scalar else None
    depth = 0
    while token := _TOKEN.match(head, at):
        at = token.end()
        depth += {0x7B: 1, 0x5B: 1, 0x7D: -1, 0x5D: -1}.get(head[at - 1], 0)
        if depth == 0:
            return at
    return None


def wrapped_objects(stream: BufferedReader, limit: int) -> Iterator[Element]:
    """The objects of the list that each document wraps; a document without that list is itself an event.

    What else a document holds is passed over once its list was found, so memory holds one event at a time.
    """
    window = Window(stream, limit)
    document = _Document()
    start = pos = 0
    while True:
        pos = bracket(window.data, pos)
        if pos == len(window.data) or window.data[pos] == QUOTE:
            pos -= start
            if not window.grow(start):
                break
            start = 0
            continue
        between = document.between_events or document.depth == 0
        if between and (stray := window.data[start:pos].strip(BETWEEN)):
            yield window.line_at(start), stray, "is not an event, but stands between the events of a document"
        fate = document.take(window.data[pos], window.data[max(start, pos - _KEY_REACH) : pos])
        pos += 1
        if fate == "begins":
            start = pos - 1
        elif fate == "whole":
            yield window.line_at(start), window.data[start:pos], None
            start = pos
        elif fate == "passed":
            start = pos
    rest = window.data.strip(BETWEEN)
    if rest or document.depth:
        yield window.line_at(0), rest[:_SHOWN], "the document ends before its last event or list does"


class _Document:
    """Where reading stands among the brackets of a document, and what each bracket means for the bytes before it."""

    def __init__(self) -> None:
        self.depth = 0
        self._list_depth = 0
        self._listed = False
        self._hits = False
        self._key = b""

    @property
    def between_events(self) -> bool:
        """Whether reading stands in the list, and in none of its events."""
        return self._list_depth > 0 and self.depth == self._list_depth

    def take(self, at: int, before: bytes) -> Literal["begins", "whole", "passed", "kept"]:
        """``begins``: an event or a document starts here; ``whole``: it ends here; ``passed``: what came is not needed."""
        opens = at in b"{["
        if self.depth == 0:
            return self._begin(opens)
        if self._list_depth:
            return self._in_list(opens=opens)
        if opens and self._is_list(at, before):
            self._list_depth = self.depth = self.depth + 1
            self._listed = True
            return "passed"
        self.depth += 1 if opens else -1
        self._hits = self._hits and self.depth > 1
        if self.depth == 0 and not self._listed:
            return "whole"
        return "passed" if self._listed else "kept"

    def _begin(self, opens: bool) -> Literal["begins", "passed"]:
        self._listed = self._hits = False
        self.depth = int(opens)
        return "begins" if opens else "passed"

    def _in_list(self, *, opens: bool) -> Literal["begins", "whole", "passed", "kept"]:
        began = self.depth == self._list_depth
        self.depth += 1 if opens else -1
        if began and not opens:
            self._list_depth = 0
            return "passed"
        if began:
            return "begins"
        return "whole" if self.depth == self._list_depth else "kept"

    def _is_list(self, at: int, before: bytes) -> bool:
        """Whether this bracket opens the list; the first that is found names the key that all others must have."""
        key = _KEY_BEFORE.search(before)
        if key is None:
            return False
        if at == ord("{"):
            self._hits = self._hits or (self.depth == 1 and key[1] == HITS)
            return False
        known = key[1] == HITS if self.depth == 2 and self._hits else self.depth == 1 and key[1] in LISTS
        if known and self._key in {b"", key[1]} and not self._listed:
            self._key = key[1]
            return True
        return False
