"""The ledger's nouns: what goes into it and what comes out, as frozen values.

Offsets are integers as in :class:`connector.types.Position`: microseconds of ingest time, or bytes. Wall times are
aware ``datetime`` values in UTC; the tables hold them as integer microseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import msgspec

from connector.ledger.entities import EntityChanges
from connector.types import Action, DispositionChange, Noun, Record, RunRef, RunState, StateChange, Verdict

OutboxKind: TypeAlias = Literal["record", "action"]
Outcome: TypeAlias = Literal["delivered", "retry", "untried", "unknown", "rejected", "dead"]
ApprovalState: TypeAlias = Literal["pending", "approved", "rejected"]


class Lease(Noun, frozen=True):
    """The right to work on ``name`` until ``expires_at``. ``fence`` grows each time the lease changes hands."""

    name: str
    owner: str
    fence: int
    expires_at: datetime


class Reader(Noun, frozen=True):
    """Where one reader of a source partition stands.

    ``purpose`` is ``forward``, ``reread-<k>``, ``backfill-<id>`` or ``repair``. ``offset`` is where its present span
    starts, ``span_stop`` where it ends (None: no span begun), ``token`` the adapter's cursor inside it. ``attempts``
    counts how often its present batch was begun. ``complete``: every answer of the present span was whole so far.
    """

    source: str
    digest: str
    partition: str
    purpose: str
    offset: int
    span_stop: int | None = None
    token: str | None = None
    attempts: int = 0
    complete: bool = True

    def begun(self) -> Reader:
        """The reader with one more attempt at its present batch."""
        return msgspec.structs.replace(self, attempts=self.attempts + 1)


class Interval(Noun, frozen=True):
    """A stretch ``start <= offset < stop`` of one partition that was read by one query.

    ``read_at`` is the source's own time in microseconds when the read began (what ``stop + lookback`` is compared
    with). ``matched``, the number of distinct events sighted in it, is counted by the ledger when it is written.
    """

    source: str
    digest: str
    partition: str
    start: int
    stop: int
    read_at: int
    complete: bool
    reason: str = ""
    matched: int = 0


class Gap(Noun, frozen=True):
    """A stretch of one partition for which the promise is not proven, and why."""

    partition: str
    start: int
    stop: int
    reason: str


class OutboxRow(Noun, frozen=True):
    """One thing to send to one target.

    ``cause`` is the record id of the verdict that it hangs on: the row is inserted only if that verdict was really
    inserted. None: inserted regardless. ``payload`` is the msgspec JSON of the Record or Action; a verdict's own row
    (``record_id == cause``) stores none and is joined from the verdicts. For an action, ``record_id`` is its key.
    ``grouped``: the action stands for every verdict that proposes it, and each cause is counted for it.
    ``available_at`` None: at once. ``parked``: a reason not to send it now; it becomes a dead letter with replay.
    """

    record_id: str
    target: str
    cause: str | None = None
    payload: bytes | None = None
    kind: OutboxKind = "record"
    available_at: datetime | None = None
    parked: str = ""
    grouped: bool = False


class DeadLetter(Noun, frozen=True):
    """What could not be parsed, scored or delivered.

    ``subject`` is the event's id (kind ``event``) or the record's id (kind ``delivery``); ``source`` the source or the
    target that it belongs to; ``payload`` the raw event as the pipeline encoded it, to be pushed again. ``attempts``
    counts how often it died. The ledger gives ``id`` and the times.
    """

    subject: str
    source: str
    reason: str
    payload: bytes = b""
    place: str = ""
    kind: Literal["event", "delivery"] = "event"
    attempts: int = 1
    id: int = 0
    at: datetime | None = None
    replayed_at: datetime | None = None
    resolved_at: datetime | None = None


class Renewal(Noun, frozen=True):
    """A cool-down that begins anew with a verdict (``cause``: its record id) unless it is over by then.

    ``scope`` is what its actions were counted under, ``window`` how long it lasts.
    """

    cause: str
    scope: str
    window: timedelta


class Commit(Noun, frozen=True):
    """What one batch changes, written in one transaction.

    ``reader`` is the reader's new state; None for a pushed batch, which nobody can read again, and which is therefore
    on the disk when ``commit`` returns. ``sightings`` are (event id, partition, offset). ``own`` are ids of records of
    ours that were read back: they get tombstones. ``state`` is by member.
    """

    source: str
    digest: str
    lease: Lease | None = None
    reader: Reader | None = None
    interval: Interval | None = None
    sightings: Sequence[tuple[str, str, int]] = ()
    verdicts: Sequence[Verdict] = ()
    snapshots: Mapping[str, bytes] = {}
    outbox: Sequence[OutboxRow] = ()
    renewals: Sequence[Renewal] = ()
    dead: Sequence[DeadLetter] = ()
    own: Sequence[str] = ()
    state: Mapping[str, StateChange] = {}
    entities: EntityChanges = EntityChanges()


class Committed(Noun, frozen=True):
    """Event ids that got their verdict, and those that got their dead letter, in this transaction and no other."""

    inserted: frozenset[str]
    dead: frozenset[str]


class Claim(Noun, frozen=True):
    """An outbox row that is ours until its lease ends.

    ``attempt`` counts from 1. ``doubts`` is how many earlier tries may have arrived: their claim expired while open,
    or their outcome was unknown. ``fence`` is the claim's token: a settlement with an older one changes nothing.
    """

    id: int
    target: str
    record_id: str
    kind: OutboxKind
    record: Record | Action
    attempt: int
    doubts: int
    fence: int


Settlement: TypeAlias = tuple[Claim, Outcome, str, datetime | None]
"""(claim, outcome, reason, retry at).

``retry``, ``untried`` and ``unknown`` need a time; without one they are dead letters. ``untried``: nothing was sent, and
the attempt does not count. ``rejected``: it certainly did not happen, so that a cool-down forgets an action; ``dead``
leaves that open.
"""


class OpenRun(Noun, frozen=True):
    """A playbook run whose end has not been seen."""

    action: Action
    ref: RunRef
    state: RunState
    started_at: datetime


class RunRow(Noun, frozen=True):
    """What became of an action. ``run_id`` is None where it was refused before it was sent."""

    state: RunState
    detail: str
    run_id: str | None


class Switch(Noun, frozen=True):
    """A switch that a person set, such as the kill switch."""

    name: str
    on: bool
    who: str
    at: datetime


class Silence(Noun, frozen=True):
    """No playbook for ``scope`` until then. ``scope`` is what the policy calls it, such as ``rule:…`` or ``entity:…``."""

    scope: str
    until: datetime
    who: str
    reason: str
    id: int = 0


class PastSilence(Noun, frozen=True):
    """A silence with its beginning."""

    since: datetime
    silence: Silence


class PastAction(Noun, frozen=True):
    """What became of an action. ``failed``: it is a dead letter, because its SOAR was full, refused it or is unclear.

    ``number``: actions are numbered in the order in which they were proposed.
    """

    number: int
    state: Literal["ran", "refused", "waiting", "failed"]
    reason: str


class Counted(Noun, frozen=True):
    """An action that was counted under a scope."""

    scope: str
    key: str
    at: datetime


class Approval(Noun, frozen=True):
    """A person's decision on an action."""

    key: str
    state: ApprovalState
    who: str
    at: datetime
    reason: str = ""
    expires_at: datetime | None = None


class AuditEntry(Noun, frozen=True):
    """One link of the audit chain: ``hash`` = SHA-256 over ``prev`` and the content."""

    seq: int
    at: datetime
    actor: str
    what: str
    detail: str
    prev: str
    hash: str


class Replayed(Noun, frozen=True):
    """What a replay set in motion: event dead letters to push through ingest again, and deliveries queued again."""

    push: tuple[DeadLetter, ...]
    requeued: int


class Status(Noun, frozen=True):
    """Counts for people. ``pending`` and ``dead_letters`` are by target or source."""

    verdicts: Mapping[str, int]
    tombstones: int
    snapshots: int
    pending: Mapping[str, int]
    dead_letters: Mapping[str, int]
    open_runs: int
    readers: tuple[Reader, ...]
    leases: tuple[Lease, ...]
    switches: tuple[Switch, ...]


class Noted(Noun, frozen=True):
    """A change of an alert as the ledger has it: its id, and the alert history that told it."""

    id: str
    history: str
    change: DispositionChange


class Scored(Noun, frozen=True):
    """An event's first verdict, when it was written, and the snapshot that it was decided on (compressed)."""

    verdict: Verdict
    at: datetime
    snapshot: bytes


ReviewState: TypeAlias = Literal["open", "answered", "withdrawn"]


class Review(Noun, frozen=True):
    """A question to analysts about one event, asked once.

    ``group`` is what near-duplicates share. ``outcome``: the disposition that was answered, or why it was withdrawn;
    ``analyst``: who answered last. ``told``: the SIEMs know that it is closed.
    """

    id: str
    event_id: str
    reason: str
    fingerprint: str
    group: str
    asked_at: datetime
    state: ReviewState = "open"
    closed_at: datetime | None = None
    analyst: str | None = None
    outcome: str = ""
    told: bool = False
