"""What a search runs on and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.splunkd.events import Indexes
from tests.splunkd.faults import Faults
from tests.splunkd.spl.text import Macro
from tests.splunkd.timerange import TimeRange

Row = Mapping[str, Any]
Rows = Sequence[Row]


class Lookups(Protocol):
    """Lookup tables by name."""

    def read(self, name: str) -> list[dict[str, Any]] | None:
        """The rows; ``None`` where there is no such table."""

    def write(self, name: str, rows: Iterable[Row], *, append: bool) -> bool:
        """Whether there is such a table, which now holds these rows."""


class External(Protocol):
    """A custom search command."""

    def __call__(self, text: str, rows: Rows, job: Job, *, first: bool) -> Rows:
        """The rows after the command; what it has to say goes into the job's messages."""


@dataclass(slots=True)
class Site:
    """What every search of a server shares."""

    indexes: Indexes
    faults: Faults
    lookups: Lookups
    macros: dict[str, Macro]
    default_indexes: tuple[str, ...]
    internal: dict[str, Callable[[Rows, Job], Rows]] = field(default_factory=dict)
    commands: dict[str, External] = field(default_factory=dict)


@dataclass(slots=True)
class Job:
    """One run of a search: its time range and clock, and what it tells beside its rows."""

    site: Site
    range: TimeRange
    now: float
    sid: str = ""
    user: str = "nobody"
    app: str = "search"
    session: str = ""
    indexes: tuple[str, ...] = ("*", "_*")
    messages: list[tuple[str, str]] = field(default_factory=list)
    columns: list[str] | None = None
    reports: bool = False
    scanned: int = 0
