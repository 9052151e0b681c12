"""What an export holds: facts, events and rows. All text in them is redacted; names of people and machines are pseudonyms.

``SCHEMA`` is the version of all three. A field is only ever added at the end, with a default, and then the version grows.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, TypeAlias

import msgspec

from connector.types import Cause, Disposition

SCHEMA: Final = 1

TechniqueBasis: TypeAlias = Literal["analyst", "tag", "alert"]
CauseBasis: TypeAlias = Literal["review", "tag", "comment"]


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one alert, as it was told. ``query``: digest of the alert history's settings; ``run``: the export's."""

    id: str
    history: str
    alert: str
    event_ids: tuple[str, ...]
    status: str
    disposition: str | None
    changed_at: datetime
    observed_at: datetime
    analyst: str | None
    comment: str
    tags: tuple[str, ...]
    techniques: tuple[str, ...]
    machine: bool
    query: str
    run: int


class Sighted(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was when it was scored, and what was said of it then.

    ``text`` is what the text member reads, with classes in place of names; ``fingerprint`` is of that redacted form, and
    so differs from the verdict's where something was taken out; ``event`` is the ECS document with pseudonyms. Events
    of one ``group`` are near-duplicates.
    """

    event_id: str
    siem: str
    index: str
    source_id: str
    kind: str
    text: str
    fingerprint: str
    group: str
    event: msgspec.Raw
    occurred_at: str | None
    scored_at: datetime
    verdict: str
    confidence: float | None
    passed: tuple[str, ...]
    model: str


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A closure, or a re-open of one, of one alert on one event.

    ``malicious`` is the label; None: it labels nothing. ``superseded_by`` is the fact by which it no longer stands, as
    far as was observed. ``conflict``: another analyst labelled the same event otherwise.
    """

    row: str
    fact: str
    event_id: str
    group: str
    kind: str
    text: str
    fingerprint: str
    status: Literal["closed", "reopened"]
    disposition: Disposition | None
    malicious: bool | None
    techniques: tuple[str, ...]
    technique_basis: TechniqueBasis | None
    cause: Cause | None
    cause_basis: CauseBasis | None
    superseded_by: str | None
    conflict: bool
    analyst: str | None
    comment: str
    tags: tuple[str, ...]
    occurred_at: str | None
    scored_at: datetime
    changed_at: datetime
    observed_at: datetime
    verdict: str
    confidence: float | None
    passed: tuple[str, ...]
    model: str
    history: str
    alert: str
    siem: str
    index: str
    source_id: str
    query: str
    run: int
    event: msgspec.Raw

    @property
    def stands(self) -> bool:
        """Whether it is a label that nothing has superseded."""
        return self.malicious is not None and self.superseded_by is None
