"""Records as events of Splunk: the same ECS document that every target gets, and beside it what Splunk's apps read.

Splunk has no unique keys: a record that comes twice is two events. Each therefore carries ``triaged.record_id``, and
whoever reads takes one of each (``docs/splunk.md`` has the SPL).

An event's time is that at which the record was *made*, never the time that the classified event claims, since events
claim any, and an index sorts its buckets by it.

Sources: "Format events for HTTP Event Collector"; the fields of risk events as Enterprise Security's risk index has them
(``risk_object``, ``risk_object_type``, ``risk_score``, ``risk_message``, ``annotations.mitre_attack``, ``search_name``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from connector.policy import record_document
from connector.siem.splunk.packing import HecEvent
from connector.types import Entity, EntityRisk, Incident, Note, Record, ReviewRequest, RiskEvent, RunStatus, Verdict

EVENTS: Final[frozenset[type[Record]]] = frozenset(
    {Verdict, RunStatus, Note, RiskEvent, EntityRisk, Incident, ReviewRequest}
)
"""The kinds of record that are events of their own."""

SOURCE: Final = "triaged"
"""The metadata field ``source`` of every event, and what a risk event names as its search."""

_RISK_OBJECTS: Final = (("host", "system"), ("user", "user"), ("address", "system"), ("agent_id", "other"))


def sourcetype_of(kind: type[Record]) -> str:
    """``triaged:verdict``, ``triaged:risk_event`` and so on."""
    return f"{SOURCE}:{kind.__struct_config__.tag}"


def event_of(record: Record, *, index: str | None, risk_index: str | None) -> HecEvent:
    """The event of a record. Raises ``TypeError`` or ``ValueError`` for what cannot be one."""
    document = record_document(record)
    document["triaged"]["record_id"] = record.record_id
    indexed: dict[str, Any] = {}
    if techniques := _techniques(record):
        document["annotations"] = {"mitre_attack": list(techniques)}
        # under this very name: extracted from the JSON it is `annotations.mitre_attack{}`, which nothing reads
        indexed["annotations.mitre_attack"] = list(techniques)
    if isinstance(record, RiskEvent):
        document |= risk_fields(record)
        # not in the document: there it would make a finding of it, which a source of ours takes for an event
        indexed["search_name"] = SOURCE
        index = risk_index
    envelope: dict[str, Any] = {
        "source": SOURCE,
        "sourcetype": sourcetype_of(type(record)),
        "event": document,
        **_times(record),
    }
    if index is not None:
        envelope["index"] = index
    if indexed:
        envelope["fields"] = indexed
    return HecEvent(key=record.record_id, index=index, body=msgspec.json.encode(envelope))


def risk_fields(record: RiskEvent) -> Mapping[str, Any]:
    """What risk-based alerting reads. Raises ``ValueError`` for an entity without any name."""
    name, kind = risk_object_of(record.entity)
    return {
        "risk_object": name,
        "risk_object_type": kind,
        "risk_score": record.score,
        "risk_message": record.message,
    }


def risk_object_of(entity: Entity) -> tuple[str, str]:
    """The one name by which risk is counted, and its type: in the order in which policies count by them."""
    for field, kind in _RISK_OBJECTS:
        if name := getattr(entity, field):
            return name, kind
    raise ValueError("its entity has no name, so there is nothing to which risk could be added")


def _techniques(record: Record) -> Sequence[str]:
    if isinstance(record, RiskEvent | EntityRisk):
        return record.techniques
    if isinstance(record, Incident):
        return tuple(step.technique for step in record.steps)
    if isinstance(record, Verdict) and record.verdict in {"malicious", "suspicious"}:
        return record.passed
    return ()


def _times(record: Record) -> Mapping[str, float]:
    at: datetime | None = getattr(record, "at", None)
    return {} if at is None else {"time": round(at.timestamp(), 3)}
