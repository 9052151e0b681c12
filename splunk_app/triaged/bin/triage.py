"""The search command ``triage``: adds ATT&CK techniques and a verdict to events, in the order in which they came.

Nothing is scored here: events go to the Triaged daemon in batches (``mode=score``), or its stored verdicts are fetched by
id (``mode=lookup``). It fails open: where the daemon gives no answer, events pass with ``triage_error`` and the search is
warned once. Standard library alone, Python 3.9 to 3.13.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat
from typing import Any, Callable, NamedTuple, Optional, Union

from triaged_chunks import Answer, Cancelled, Command, Rows, SearchError, reader_left, serve
from triaged_daemon import Client, DaemonError, Request, client
from triaged_identity import IDENTITY, event_id, native_id
from triaged_verdicts import FIELDS, Added, Attack, added_by

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

BATCH_EVENTS = 1000
BATCH_BYTES = 4 << 20
BATCH_IDS = 5000
REST_S = 30.0
"""How long a daemon that did not answer is left alone, so that a long search does not wait for it chunk by chunk."""


class Options(NamedTuple):
    """What stands behind the command's name in the search."""

    fields: tuple[str, ...] = ()
    mode: str = "score"
    threshold: Optional[float] = None
    top: Optional[int] = None

    @property
    def required(self) -> list[str]:
        """The fields that Splunk must send; it keeps the others and puts them back."""
        if self.mode == "lookup":
            return list(IDENTITY)
        return list(self.fields) or ["*"]


def options_of(arguments: Iterable[str]) -> Options:
    """Reads ``[fields] [mode=score|lookup] [threshold=0..1] [top=1..]``. Raises SearchError with what to change."""
    fields: list[str] = []
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            fields += [field for field in re.split(r"[,\s]+", argument) if field]
        elif name not in READERS:
            raise SearchError(f"there is no option {name!r}; options are: {', '.join(READERS)}")
        elif name in given:
            raise SearchError(f"option {name} is given twice")
        else:
            given[name] = READERS[name](value)
    found = Options(fields=tuple(dict.fromkeys(fields)), **given)
    if found.fields and found.mode == "lookup":
        raise SearchError("mode=lookup reads no fields of the event: leave out " + ", ".join(found.fields))
    return found


def _mode(value: str) -> str:
    if value not in ("score", "lookup"):
        raise SearchError(f"mode must be score or lookup, not {value!r}")
    return value


def _threshold(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise SearchError(f"threshold must be a number from 0 to 1, not {value!r}")
    return number


def _top(value: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", value):
        raise SearchError(f"top must be a whole number from 1 on, not {value!r}")
    return int(value)


READERS: Mapping[str, Callable[[str], Any]] = {"mode": _mode, "threshold": _threshold, "top": _top}


class Triage:
    """One search: its options, the daemon, and whether the search was warned already."""

    def __init__(self, info: Mapping[str, Any], options: Options, alive: Callable[[], None]) -> None:
        """``alive`` raises Cancelled where the search is gone."""
        self._info = info
        self._options = options
        self._alive = alive
        self._attack = Attack()
        self._client: Optional[Client] = None
        self._problem: Optional[DaemonError] = None
        self._rest_until = 0.0
        self._warned = False

    def answer(self, body: bytes) -> Answer:
        """The rows of one chunk with what was added, and a warning when the daemon gives no answer for the first time."""
        rows = Rows(body)
        if rows.empty:
            return Answer(body)
        try:
            daemon = self._daemon()
            added = self._scored(daemon, rows) if self._options.mode == "score" else self._looked_up(daemon, rows)
        except DaemonError as error:
            self._note(error)
            added = repeat({"triage_error": [str(error)]})
        return Answer(rows.written(added, FIELDS), self._messages())

    def _daemon(self) -> Client:
        """The client. Raises DaemonError, also while a daemon that gave no answer is left alone."""
        if self._problem is not None and time.monotonic() < self._rest_until:
            raise self._problem
        if self._client is None:
            self._client = client(self._info, "search", self._alive)
        return self._client

    def _scored(self, daemon: Client, rows: Rows) -> Iterator[Added]:
        sizes: deque[int] = deque()

        def requests() -> Iterator[Request]:
            for size, body in batches(rows.events(self._options.fields, without=FIELDS)):
                sizes.append(size)
                yield Request("POST", "/v1/classify", body)

        for reply in daemon.replies(requests()):
            yield from self._read(reply, sizes.popleft())

    def _looked_up(self, daemon: Client, rows: Rows) -> Iterator[Added]:
        if not daemon.deployment:
            raise DaemonError("the set-up page names no deployment, by which verdicts are looked up")
        keys = zip(*(rows.column(name) for name in IDENTITY))
        ids = [event_id(daemon.deployment, native_id(*key)) if all(key) else "" for key in keys]
        unique = [id_ for id_ in dict.fromkeys(ids) if id_]
        parts = [unique[start : start + BATCH_IDS] for start in range(0, len(unique), BATCH_IDS)]
        replies = daemon.replies(Request("POST", "/v1/verdicts", json.dumps({"ids": part}).encode()) for part in parts)
        found: dict[str, Added] = {"": {"triage_error": ["mode=lookup needs _bkt and _cd of an indexed event"]}}
        for part, reply in zip(parts, replies):
            found.update(zip(part, self._read(reply, len(part))))
        return (found[id_] for id_ in ids)

    def _read(self, reply: Union[Any, DaemonError], size: int) -> Iterable[Added]:
        """What a reply adds to each of so many events; nothing to one without a verdict."""
        documents = reply.get("verdicts") if isinstance(reply, dict) else None
        if isinstance(documents, list) and len(documents) == size:
            return map(self._added, documents)
        if not isinstance(reply, DaemonError):
            reply = DaemonError("the daemon's answer does not hold one verdict for each event")
        self._note(reply)
        return [{"triage_error": [str(reply)]}] * size

    def _added(self, document: Optional[Mapping[str, Any]]) -> Added:
        return added_by(document, self._attack, self._options.threshold, self._options.top) if document else {}

    def _note(self, problem: DaemonError) -> None:
        if problem.broken and problem is not self._problem:
            self._rest_until = time.monotonic() + REST_S
        self._problem = problem

    def _messages(self) -> list[list[str]]:
        if self._problem is None or self._warned:
            return []
        self._warned = True
        return [["WARN", f"triage: events pass without a verdict: {self._problem}"]]


def batches(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, bytes]]:
    """Bodies of ``/v1/classify`` with how many events each holds, bounded by count and by bytes."""
    held: list[bytes] = []
    size = 0
    for event in events:
        line = b'{"data":%b}' % _encode(event).encode("utf-8", "replace")
        if held and (len(held) == BATCH_EVENTS or size + len(line) > BATCH_BYTES):
            yield len(held), _body(held)
            held, size = [], 0
        held.append(line)
        size += len(line)
    if held:
        yield len(held), _body(held)


def _body(lines: Iterable[bytes]) -> bytes:
    return b'{"events":[' + b",".join(lines) + b"]}"


def begin(info: Mapping[str, Any]) -> Command:
    """Reads the options of a search. Raises SearchError. The type "stateful" keeps the command on the search head."""
    options = options_of(str(argument) for argument in info.get("args") or ())
    triage = Triage(info, options, _alive)
    return Command({"type": "stateful", "required_fields": options.required}, triage.answer)


def _alive() -> None:
    if reader_left(sys.stdout.buffer):
        raise Cancelled


if __name__ == "__main__":
    sys.exit(serve(begin, sys.stdin.buffer, sys.stdout.buffer))
