"""What can go wrong, as switches: set them before or between requests, in any combination."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Refusal(NamedTuple):
    """One request whose path contains ``path`` gets this status instead of its answer (0: the connection breaks)."""

    status: int
    path: str = ""
    text: str = "Server is busy"
    retry_after: int | None = None


class Cut(NamedTuple):
    """One export stream ends early, after ``rows`` final rows.

    ``broken``: the connection dies in the midst of a row. ``reset``: and the peer says so (RST). ``quiet``: the stream ends well, but without its last row.
    ``told``: as quiet, with a WARN message that results were truncated.
    """

    rows: int
    how: Literal["broken", "reset", "quiet", "told"] = "broken"


@dataclass(slots=True)
class Faults:
    """The switches. All are off at first; those that are queues are used up one by one, the others stay until changed."""

    # sessions and requests
    session_s: float | None = None
    """Sessions from a password end after this many seconds; ``Splunkd.forget_sessions()`` ends all at once."""
    refuse: deque[Refusal] = field(default_factory=deque)
    """The next requests that are refused; each entry waits for a request that fits its path."""
    slow_s: float = 0.0
    """Seconds that an answer takes, where the path contains ``slow_path``."""
    slow_path: str = ""
    """Which answers are slow; empty: all."""

    # searches
    peers_down: set[str] = field(default_factory=set)
    """Indexers that don't answer: their events are missing, and nothing but a message says so."""
    peer_message: Literal["WARN", "ERROR", ""] = "WARN"
    """How that message is typed; empty: not even a message, as no Splunk does."""
    messages: list[tuple[str, str]] = field(default_factory=list)
    """(type, text) of messages that every search also carries."""
    quota: int | None = None
    """Searches that may run at once; one more is refused with 503. 0 refuses all."""
    previews: int = 0
    """Preview rows that stand in an export stream before its final rows."""
    cuts: deque[Cut] = field(default_factory=deque)
    """The next exports that end early."""
    most_rows: int | None = None
    """Every search gives at most so many rows, and a WARN message that says it was truncated."""
    job_polls: int = 0
    """How often a normal job is asked for before it is done: QUEUED, PARSING, RUNNING, then DONE."""
    job_fails: str = ""
    """A normal job ends as FAILED with this message."""
    job_s: float | None = None
    """Jobs are gone this many seconds after their creation: ``Unknown sid.``"""

    # time
    clock_skew_s: float = 0.0
    """How far the search head's clock is ahead of the true time."""
    indexer_skew_s: dict[str, float] = field(default_factory=dict)
    """How far each indexer's clock is ahead: it stamps ``_indextime`` by it."""
    search_delay_s: float = 0.0
    """Seconds from an event's arrival until a search finds it."""

    # the HTTP event collector
    hec_busy: int = 0
    """So many of the next posts are answered with 503 and code 9, and nothing of them is indexed."""
    hec_no_answer: int = 0
    """So many of the next posts are indexed, and their answer never arrives: the connection breaks."""
    hec_max_bytes: int | None = None
    """A longer body (after unpacking) is refused with 413."""
    acks: Literal["told", "pending", "lost", "never", "twice"] = "told"
    """What becomes of acknowledgements. ``told``: true once, then forgotten. ``pending``: false until the switch changes.
    ``lost``: the events are never indexed and the answer stays false. ``never``: the events are indexed and the answer stays
    false. ``twice``: true however often it is asked."""
    ack_polls: int = 0
    """How often an acknowledgement is asked for in vain before it is told."""
    ack_busy: int = 0
    """So many of the next questions for acknowledgements are answered with 503 and code 9."""

    # the event is not what it seems
    shadows: bool = False
    """Fields inside an event named ``host``, ``source``, ``sourcetype`` or ``index`` hide the real ones in results."""
