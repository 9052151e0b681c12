"""The nouns of Triaged: frozen, slotted values that every room shares.

They are :class:`msgspec.Struct` types: immutable, cheap to make by the hundred thousand, and encoded to JSON
without code of our own. Nothing here reads a clock, a file or a setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

Json: TypeAlias = Any
"""Any decoded JSON value; a name for readers, since JSON from outside has no static type."""

Document: TypeAlias = Mapping[str, Json]
"""A decoded JSON object, nested as ECS nests it."""

Pairs: TypeAlias = tuple[tuple[str, str], ...]
"""A canonical form: ordered (field, masked value) pairs."""

T = TypeVar("T")


class Noun(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of all nouns.

    The garbage collector does not visit them, so they hold values alone: nothing that could hold the noun again.
    """


class Position(Noun, order=True, frozen=True):
    """A place in a source.

    A SIEM has one partition, ``""``, whose offset is ingest time in microseconds since the epoch. A set of files
    has one partition a file (its identity), whose offset is a byte.
    """

    partition: str
    offset: int


class Span(Noun, frozen=True):
    """The half-open stretch ``start <= offset < stop`` of one partition."""

    partition: str
    start: int
    stop: int


class Cursor(Noun, frozen=True):
    """An adapter's own token. It means: after the last item of this span that was handed out."""

    token: str


class Batch(Noun, Generic[T], frozen=True):
    """What one read returned.

    ``done``: nothing of the span is left. ``complete``: the answer held everything the server has up to the cursor;
    a failed shard or an unreachable peer makes it false, with the ``reason``.
    """

    items: tuple[T, ...]
    cursor: Cursor | None
    done: bool
    complete: bool = True
    reason: str = ""


class SourceRef(Noun, frozen=True):
    """Where an event stands in its SIEM, as an analyst would look it up; ``event_id`` and ``module`` as it names them.

    ``alert`` is set by a source alone, where the event is itself an alert there: the name by which it can be changed.
    """

    siem: str
    index: str
    id: str
    event_id: str | None = None
    module: str | None = None
    alert: str | None = None


class RawEvent(Noun, frozen=True):
    """An event as its source holds it.

    ``native_id`` is the identity that the SIEM itself gives; ``data`` is a decoded object, or undecoded text or bytes;
    ``place`` is for people (``file:line``, ``index/id``). ``error`` is set where the source itself found the record
    unreadable: it then becomes a dead letter with that reason. ``position`` is None for pushed events.
    """

    deployment: str
    native_id: str
    ref: SourceRef
    data: Document | str | bytes
    position: Position | None = None
    place: str = ""
    error: str | None = None


class Event(Noun, frozen=True):
    """A normalised event.

    ``kind`` names the canonical table's row (``sysmon-1``, ``generic``); ``ecs`` is the nested ECS document;
    ``canonical`` is the masked form that alone feeds the text view; ``fingerprint`` is its SHA-256 in hex.
    """

    id: str
    ref: SourceRef
    kind: str
    ecs: Document
    canonical: Pairs
    fingerprint: str
    position: Position | None = None
    place: str = ""


class DispositionChange(Noun, frozen=True):
    """One change of an alert's status, as a SIEM reported it. ``techniques``: ids that the alert's own rule names."""

    alert_id: str
    event_ids: tuple[str, ...]
    status: str
    disposition: str | None
    changed_at: datetime
    observed_at: datetime
    analyst: str | None = None
    comment: str = ""
    tags: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    machine: bool = False
    techniques: tuple[str, ...] = ()


Disposition: TypeAlias = Literal[
    "true_positive",
    "benign_positive",
    "false_positive",
    "false_positive_logic",
    "false_positive_data",
    "duplicate",
    "other",
]
"""What was decided of an alert; ``false_positive`` where nobody said whether the rule's logic or its data was wrong."""

Cause: TypeAlias = Literal[
    "benign_software", "administration", "misconfigured_source", "stale_intelligence", "test", "other"
]
"""Why a false positive came about."""


class Scores(msgspec.Struct, frozen=True, eq=False):
    """One member's view of n events.

    ``techniques``: float32 (n, labels), independent probabilities; ``p_malicious``: float32 (n,); nan where the
    member has no view of an event. ``notes``: one tuple of explanations an event.
    """

    techniques: NDArray[np.float32]
    p_malicious: NDArray[np.float32]
    notes: tuple[tuple[str, ...], ...]


class StateChange(Noun, frozen=True):
    """New values of a member's rows, each with the version that it was computed from (0: a new row)."""

    rows: Mapping[str, tuple[int, bytes]] = {}


class TechniqueScore(Noun, frozen=True):
    """A technique (parent) with its probability and, where one stands out, its most probable sub-technique."""

    id: str
    probability: float
    subtechnique: TechniqueScore | None = None


class Prediction(Noun, frozen=True):
    """What the ensemble says of one event: two independent parts, and each member's vote."""

    p_malicious: float
    techniques: tuple[TechniqueScore, ...]
    passed: tuple[str, ...] = ()
    members: Mapping[str, float | None] = {}
    abstain: str | None = None
    explanation: tuple[str, ...] = ()


VerdictName: TypeAlias = Literal["malicious", "suspicious", "benign", "abstain"]


class ModelRef(Noun, frozen=True):
    """The bundle that scored."""

    name: str
    version: str
    attack_version: str


class PolicyRef(Noun, frozen=True):
    """The policy rule that matched, with the mode and playbook that it names."""

    rule: str
    mode: str
    playbook: str | None


class Entity(Noun, frozen=True):
    """Who and what an event is about. ``agent_id`` is the collector-attested identity; names may be chosen by anyone.

    ``address`` is where the event came from; ``aliases`` are the host's own addresses and its other name.
    """

    host: str | None = None
    user: str | None = None
    address: str | None = None
    agent_id: str | None = None
    aliases: tuple[str, ...] = ()


class Verdict(Noun, tag="verdict", frozen=True):
    """The one contract: what Triaged says of an event. ``passed`` are the technique ids above their threshold.

    ``at`` is when it was decided: what a target files it by, since ``timestamp`` is whatever the event says. None in
    verdicts of ledgers that are older than the field. ``scored`` is what the scores alone say, set only where a list had
    the last word; ``severity`` is the event's own. Both are kept so that rules can be asked again. ``risk`` is the highest
    of the event's host, user and address with the event, and ``incident`` what it is part of; None of benign events.
    """

    record_id: str
    event_id: str
    revision: int
    verdict: VerdictName
    confidence: float | None
    techniques: tuple[TechniqueScore, ...]
    passed: tuple[str, ...]
    members: Mapping[str, float | None]
    model: ModelRef
    fingerprint: str
    source: SourceRef
    origin: str | None
    timestamp: str | None = None
    at: datetime | None = None
    kind: str = "generic"
    entity: Entity = Entity()
    scope: str = "event"
    tags: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()
    policy: PolicyRef | None = None
    supersedes: str | None = None
    severity: int | None = None
    scored: VerdictName | None = None
    risk: float | None = None
    incident: str | None = None


RunState: TypeAlias = Literal["running", "succeeded", "failed", "timed_out", "refused"]


class RunStatus(Noun, tag="run_status", frozen=True):
    """How a playbook run stands; a follow-up record of the verdict that proposed it."""

    record_id: str
    cause: str
    action_key: str
    playbook: str
    state: RunState
    detail: str
    at: datetime
    run_id: str | None = None
    origin: str | None = None


class Note(Noun, tag="note", frozen=True):
    """A sentence for the analyst, attached to an event's verdict."""

    record_id: str
    cause: str
    text: str
    at: datetime
    origin: str | None = None


class RiskEvent(Noun, tag="risk_event", frozen=True):
    """A contribution to an entity's risk, for risk-based alerting."""

    record_id: str
    cause: str
    entity: Entity
    score: float
    techniques: tuple[str, ...]
    message: str
    at: datetime
    origin: str | None = None


class EntityRisk(Noun, tag="entity_risk", frozen=True):
    """An entity's risk as of an event time, with the tactics and techniques seen in order, and its open incident."""

    record_id: str
    entity: Entity
    risk: float
    tactics: tuple[str, ...]
    at: datetime
    techniques: tuple[str, ...] = ()
    incident: str | None = None
    as_of: datetime | None = None
    origin: str | None = None


class IncidentStep(Noun, frozen=True):
    """A technique of an incident: when it was first seen, in which event, and on whom."""

    technique: str
    first: datetime
    event_id: str
    entity: Entity | None = None


class Incident(Noun, tag="incident", frozen=True):
    """An incident as it has grown by the verdict ``cause``: whose it is, and the chain in order.

    ``incident`` is its id; ``risk`` the highest that any of its entities had; ``opened`` and ``newest`` are event times.
    """

    record_id: str
    cause: str
    incident: str
    entities: tuple[Entity, ...]
    tactics: tuple[str, ...]
    steps: tuple[IncidentStep, ...]
    risk: float
    events: int
    opened: datetime
    newest: datetime
    at: datetime
    origin: str | None = None


class AlertUpdate(Noun, tag="alert_update", frozen=True):
    """A change to an alert in the SIEM itself: tags and a note; a status only where a policy says so.

    ``disposition`` and ``urgency`` are for SIEMs that have them.
    """

    record_id: str
    cause: str
    alert: SourceRef
    tags: tuple[str, ...]
    note: str
    status: str | None = None
    disposition: str | None = None
    urgency: str | None = None
    origin: str | None = None


class ReviewRequest(Noun, tag="review_request", frozen=True):
    """A question to analysts about a verdict, the ``cause``; not ``open``: the same cause needs no label any more."""

    record_id: str
    cause: str
    reason: str
    at: datetime
    open: bool = True
    origin: str | None = None


class LookupEntry(Noun, tag="lookup_entry", frozen=True):
    """A text prediction published by fingerprint; it carries no policy and starts nothing.

    ``passed`` are the technique ids above their threshold, as a verdict has them.
    """

    record_id: str
    fingerprint: str
    canonical_version: str
    model: ModelRef
    p_malicious: float
    techniques: tuple[TechniqueScore, ...]
    expires_at: datetime
    kind: str = "generic"
    verdict: VerdictName = "abstain"
    passed: tuple[str, ...] = ()
    origin: str | None = None


Record: TypeAlias = (
    Verdict | RunStatus | Note | RiskEvent | EntityRisk | Incident | AlertUpdate | ReviewRequest | LookupEntry
)


class Delivery(Noun, frozen=True):
    """What became of one record: delivered; retry it; unknown whether it arrived; or rejected, with the reason."""

    outcome: Literal["delivered", "retry", "unknown", "rejected"]
    reason: str = ""


Tier: TypeAlias = Literal["log", "note", "ticket", "contain"]
Mode: TypeAlias = Literal["suggest", "approve", "auto"]


class Action(Noun, frozen=True):
    """A proposed playbook run. ``key`` is the idempotency key: a UUIDv5 of subject and rule.

    ``entity_key`` is what cool-downs and caps per entity count by; ``subject`` is what the key was derived from.
    """

    key: str
    cause: str
    rule: str
    playbook: str
    soar: str
    tier: Tier
    mode: Mode
    subject: str
    entity: Entity
    entity_key: str
    verdict: Verdict
    proposed_at: datetime


class RunRef(Noun, frozen=True):
    """A run in a SOAR."""

    soar: str
    run_id: str
