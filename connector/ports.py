"""The ports: what a SIEM, a SOAR and a model member must be able to do, and how one is registered.

A plug-in is one file and one entry-point line. The entry point (groups ``triaged.siem``, ``triaged.soar`` and
``triaged.member``) names a :class:`SiemPlugin`, :class:`SoarPlugin` or :class:`MemberPlugin`. Each class in it brings a
``Config`` of its own, which becomes part of the one settings tree. ``testbed`` names, lazily, a class of the package
that stands the other side up, so that the contract suites can run against every registered plug-in unasked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, runtime_checkable

import msgspec

from connector.types import (
    Action,
    Batch,
    Cursor,
    Delivery,
    DispositionChange,
    Event,
    Json,
    Position,
    RawEvent,
    Record,
    RunRef,
    RunStatus,
    Scores,
    Span,
    StateChange,
)

if TYPE_CHECKING:
    from connector.settings import HistorySettings, SoarSettings, SourceSettings, TargetSettings

Clock = Callable[[], datetime]
"""The time now, in UTC. A parameter wherever time matters, so that tests own it."""

State = Mapping[str, tuple[int, bytes]]
"""A member's stored rows: key → (version, value). A key that is absent has version 0."""


class EventSource(Protocol):
    """Reads events. The pipeline chooses spans; a source only reads them.

    Every method raises ``TransientError`` where the other side cannot answer now, ``ConfigError`` where it refuses us.
    """

    deployment: str
    """Names the SIEM, never the query: two sources on one SIEM share it, and so share event ids."""

    query_digest: str
    """Changes when the query changes: what was proven for one query proves nothing for another."""

    def heads(self) -> Sequence[Position]:
        """One position a partition, up to which it is safe to read.

        That is the server's clock minus settle, or the end of a file's last whole line.
        """
        ...

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:
        """At most ``limit`` events of the span, after the cursor, in a stable order."""
        ...

    def count(self, span: Span) -> int | None:
        """The server's own count of distinct identities in the span, by the same query. None: it cannot tell."""
        ...


class SiemWriter(Protocol):
    """Writes records. Delivery is at least once: a record may come again with the same ``record_id``."""

    accepts: frozenset[type[Record]]
    """The kinds of record that it takes; others are never routed to it."""

    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        """Exactly one outcome a record, in order. Raises ``TransientError`` where the whole call failed."""
        ...


class AlertHistory(Protocol):
    """Reads what analysts did with alerts."""

    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        """Every status change after the cursor, re-opens too, in the order in which they were observed."""
        ...


class Soar(Protocol):
    """Runs playbooks.

    ``uniqueness`` says what the platform offers against a second run: ``key`` (it honours ``Action.key``), ``search``
    (a run can be found by its key), ``none``. ``index_delay`` is how many seconds a run takes to become findable.
    """

    uniqueness: Literal["key", "search", "none"]
    index_delay: float

    def run(self, action: Action) -> RunRef:
        """Starts the action's playbook. ``TransientError.sent`` must tell whether any byte left."""
        ...

    def find(self, key: str) -> RunRef | None:
        """The run that carries this action key, if there is one."""
        ...

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """How the run stands."""
        ...


@runtime_checkable
class Previews(Protocol):
    """A SOAR that can show what it would send: optional, for people who decide on an action."""

    def preview(self, action: Action) -> Json:
        """The body by which ``run`` starts the action's playbook. Nothing is sent.

        Raises ``PermanentError`` where ``run`` would, before it sends anything.
        """
        ...


Evidence = Literal["whole", "found", "none"]


class MemberSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A member as the bundle's manifest lists it. ``options`` is the member's own business.

    ``evidence`` is what its vote adds to those of others: the ``whole`` of it; only what it ``found``, for a member that
    knows some kinds of attack alone, to which all others look harmless; or ``none``, for one that is told and no more.
    """

    name: str
    kind: str
    directory: str
    labels: tuple[str, ...]
    options: Mapping[str, Any] = {}
    evidence: Evidence = "whole"


class Member(Protocol):
    """One model that sees one view of an event."""

    name: str
    labels: tuple[str, ...]
    """Technique ids: the columns of its scores."""

    needs: tuple[str, ...]
    """Names of members whose scores it reads; it runs after them. A cycle is a ``ConfigError``."""

    def key(self, event: Event) -> str | None:
        """What its score depends on, as a digest; equal keys may share a score. None: never cached."""
        ...

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """The state rows that scoring these events reads and may change; empty for a member without state."""
        ...

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """Scores for each event, nan where it has no view, and the state rows that changed."""
        ...


@runtime_checkable
class Closes(Protocol):
    """An adapter that holds connections closes them."""

    def close(self) -> None:
        """Gives up what is held; calling it twice is fine."""
        ...


@runtime_checkable
class Settles(Protocol):
    """A member that finds its settings by short trials on the machine that it runs on. No score depends on them."""

    def settle(self) -> int:
        """How many threads it keeps to; called once, before it scores."""
        ...


class SourceFactory(Protocol):
    """An ``EventSource`` class: ``Config`` derives from ``connector.settings.SourceSettings``."""

    Config: ClassVar[type[SourceSettings]]

    def __call__(self, name: str, config: Any, clock: Clock) -> EventSource:
        """Makes one; raises ``ConfigError`` where the configuration cannot work."""
        ...


class WriterFactory(Protocol):
    """A ``SiemWriter`` class: ``Config`` derives from ``connector.settings.TargetSettings``."""

    Config: ClassVar[type[TargetSettings]]

    def __call__(self, name: str, config: Any, clock: Clock) -> SiemWriter:
        """Makes one; raises ``ConfigError`` where the configuration cannot work."""
        ...


class HistoryFactory(Protocol):
    """An ``AlertHistory`` class: ``Config`` derives from ``connector.settings.HistorySettings``."""

    Config: ClassVar[type[HistorySettings]]

    def __call__(self, name: str, config: Any, clock: Clock) -> AlertHistory:
        """Makes one; raises ``ConfigError`` where the configuration cannot work."""
        ...


class SoarFactory(Protocol):
    """A ``Soar`` class: ``Config`` derives from ``connector.settings.SoarSettings``."""

    Config: ClassVar[type[SoarSettings]]

    def __call__(self, name: str, config: Any, clock: Clock) -> Soar:
        """Makes one; raises ``ConfigError`` where the configuration cannot work."""
        ...


class MemberFactory(Protocol):
    """A ``Member`` class. ``directory`` holds its files, already verified against the manifest; ``threads`` is at least 1."""

    def __call__(self, spec: MemberSpec, directory: Path, threads: int) -> Member:
        """Makes one; raises ``ConfigError`` where the configuration cannot work."""
        ...


class SiemPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """What one SIEM package offers; each part is optional."""

    source: Any = None
    writer: Any = None
    history: Any = None
    testbed: str | None = None


class SoarPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """What one SOAR package offers."""

    soar: Any
    testbed: str | None = None


class MemberPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """What one member package offers."""

    member: Any
    testbed: str | None = None


class SiemTestbed(Protocol):
    """Stands a SIEM up for the contract suites; used as a context manager around a temporary directory."""

    def __init__(self, directory: Path) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def source_config(self) -> Mapping[str, Any]:
        """The TOML table (as a mapping, ``type`` included) of a source on this SIEM."""
        ...

    def writer_config(self) -> Mapping[str, Any]:
        """The TOML table of a writer on this SIEM."""
        ...

    def history_config(self) -> Mapping[str, Any]:
        """The TOML table of an alert history on this SIEM."""
        ...

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Makes these events searchable, each with an identity of its own."""
        ...

    def written(self) -> Sequence[Mapping[str, Any]]:
        """The documents that the SIEM holds after writes, asked of the SIEM itself."""
        ...

    def close_alert(self, alert_id: str, event_ids: Sequence[str], disposition: str) -> None:
        """An analyst closes an alert."""
        ...

    def clock(self) -> datetime:
        """The SIEM's time, which the adapter is given."""
        ...

    def settle(self) -> None:
        """Lets enough of the SIEM's time pass that all that was put lies before ``heads()``."""
        ...


class SoarTestbed(Protocol):
    """Stands a SOAR up for the contract suites."""

    def __init__(self, directory: Path) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def soar_config(self) -> Mapping[str, Any]:
        """The TOML table of this SOAR."""
        ...

    def runs(self) -> Mapping[str, int]:
        """Effective runs by action key, asked of the SOAR itself."""
        ...


class MemberTestbed(Protocol):
    """Lays a member's files out for the contract suites."""

    def __init__(self, directory: Path) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        ...

    def directory(self) -> Path:
        """Where its files lie."""
        ...
