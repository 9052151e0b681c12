"""Which index holds a record: fixed by the record alone, so that a retry months later goes to the same one.

An index holds a month of one kind of record (``triaged-verdicts-2026.03``). The month is that of ``at``, the time at
which the record was made. A record's own time and no clock decides, since an ``_id`` is unique only within one index;
and never the event's time, since events come with any time and would make an index for each month that they invent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from connector.policy import record_document
from connector.types import Document, EntityRisk, Incident, Note, Record, ReviewRequest, RiskEvent, RunStatus, Verdict

FAMILIES: Final[Mapping[type[Record], str]] = {
    Verdict: "verdicts",
    RunStatus: "runs",
    Note: "notes",
    RiskEvent: "risk",
    EntityRisk: "entities",
    Incident: "incidents",
    ReviewRequest: "reviews",
}
"""The kinds of record that are documents of their own, and the name of their indices: ``<prefix>-<family>-<month>``."""

UNDATED: Final = "undated"
"""The month of a record without a time: verdicts from ledgers that did not keep one yet."""


def index_of(prefix: str, record: Record) -> str:
    """The concrete index of a record. Raises ``KeyError`` for a kind that is no document of its own."""
    at: datetime | None = getattr(record, "at", None)
    month = UNDATED if at is None else at.astimezone(UTC).strftime("%Y.%m")
    return f"{prefix}-{FAMILIES[type(record)]}-{month}"


def source_of(record: Record) -> Document:
    """The document that is written, with the time that a data view needs where the record has none of its own."""
    document = record_document(record)
    if "@timestamp" not in document and (at := getattr(record, "at", None)) is not None:
        document["@timestamp"] = at
    return document
