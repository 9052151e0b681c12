"""A detection alert as a change of its status: who decided what, and about which event.

Pure: a document comes in, a :class:`DispositionChange` goes out. An alert document holds text of the events that it was
made of, and so of whoever wrote those; what it says of ``triaged.*`` is believed only where Kibana's own fields
(``kibana.alert.ancestors``, which the rule engine writes) name the very same document.

Fields: ``docs`` of Elastic's alert schema; reasons exist from 9.2 on, before that analysts used tags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Final

from connector.identity import event_id
from connector.types import DispositionChange, Document, Json, Noun

TAG_REASONS: Final[Mapping[str, str]] = {
    "false positive": "false_positive",
    "duplicate": "duplicate",
    "true positive": "true_positive",
    "benign positive": "benign_positive",
    "further investigation required": "other",
}
"""Kibana's own alert tags before 9.2, in lower case, as the close reasons that followed them."""

MACHINE_REASON: Final = "automated_closure"

_ALERTS: Final = re.compile(r"(partial-|restored-)?\.(internal\.)?alerts-security\.alerts-")
_LONGEST = 1024
_MOST_NAMES = 100


class Reading(Noun, frozen=True, gc=True):
    """What an alert is read by: whose events they are, how a source names them, and what is no person's work."""

    deployment: str
    own_indices: str
    """The pattern of indices that only Triaged's role may write; their documents are our records."""
    native: Callable[[str, str], str]
    """The identity of a document by its index and id, as the source of this deployment forms it."""
    by_event_id: bool
    """Whether that source takes ``event.id`` for an event's identity."""
    service_users: frozenset[str]
    tag_reasons: Mapping[str, str]


def change_of(index: str, alert_id: str, alert: Document, reading: Reading, observed_at: datetime) -> DispositionChange:
    """The alert's present status as a change. Raises ``ValueError`` where it has no status or no time of it."""
    status = _text(value_at(alert, "kibana.alert.workflow_status"))
    changed_at = _time(value_at(alert, "kibana.alert.workflow_status_updated_at"))
    if status is None or changed_at is None:
        raise ValueError("it has no workflow status, or no time at which that changed")
    tags = _texts(value_at(alert, "kibana.alert.workflow_tags"))
    reason = _text(value_at(alert, "kibana.alert.workflow_reason")) or _tagged(tags, reading.tag_reasons)
    user = _text(value_at(alert, "kibana.alert.workflow_user"))
    return DispositionChange(
        alert_id=_text(value_at(alert, "kibana.alert.uuid")) or alert_id,
        event_ids=events_of(index, alert_id, alert, reading),
        status=status,
        disposition=reason if status == "closed" else None,
        changed_at=changed_at,
        observed_at=observed_at,
        analyst=user,
        assignees=_texts(value_at(alert, "kibana.alert.workflow_assignee_ids")),
        tags=tags,
        machine=reason == MACHINE_REASON or (user is not None and user in reading.service_users),
        techniques=techniques_of(alert),
    )


def events_of(index: str, alert_id: str, alert: Document, reading: Reading) -> tuple[str, ...]:
    """Ids of what the alert is about, as verdicts carry them; empty where nothing of it can be known.

    An alert of one event is about that event and about itself, which may have been scored as an event of its own. One
    that aggregates events is about itself alone: no analyst said anything of each.
    """
    itself = event_id(reading.deployment, reading.native(index, alert_id))
    roots = _roots(alert)
    if len(roots) != 1 or aggregates(alert):
        return (itself,) if index else ()
    (root,) = roots
    if fnmatchcase(root[0], reading.own_indices):
        ours = _scored(alert)
        return () if ours is None else (ours,)
    original = _text(value_at(alert, "kibana.alert.original_event.id"))
    if reading.by_event_id and original is not None:
        return event_id(reading.deployment, original), itself
    return event_id(reading.deployment, reading.native(*root)), itself


def techniques_of(alert: Document) -> tuple[str, ...]:
    """The ids that the alert's rule maps to (``kibana.alert.rule.threat``): sub-techniques, else the technique itself."""
    found: dict[str, None] = {}
    for threat in _listed(value_at(alert, "kibana.alert.rule.threat"))[:_MOST_NAMES]:
        for technique in _listed(value_at(threat, "technique"))[:_MOST_NAMES]:
            below = _listed(value_at(technique, "subtechnique"))[:_MOST_NAMES]
            named = [name for name in (_text(value_at(one, "id")) for one in below) if name]
            found |= dict.fromkeys(named or [name for name in [_text(value_at(technique, "id"))] if name])
    return tuple(found)


def alert_id(index: str, number: str) -> str | None:
    """The name by which Kibana changes a document that is a detection alert; None for any other.

    The index tells it, for only the rule engine writes there; a document's text may claim anything.
    """
    return number if _ALERTS.match(index) else None


def aggregates(alert: Document) -> bool:
    """Whether the alert stands for several events: a threshold, a sequence, suppressed repeats, or a query's own rows."""
    suppressed = value_at(alert, "kibana.alert.suppression.docs_count")
    return (
        value_at(alert, "kibana.alert.threshold_result") is not None
        or value_at(alert, "kibana.alert.group.id") is not None
        or value_at(alert, "kibana.alert.rule.type") == "threshold"
        or (isinstance(suppressed, int | float) and suppressed > 0)
    )


def value_at(document: Json, path: str) -> Json:
    """The value at a dotted path, however the document nests it: ``{"kibana.alert.uuid": …}`` as well as nested."""
    if not isinstance(document, Mapping):
        return None
    if path in document:
        return document[path]
    for end in _dots(path):
        if path[:end] in document and (found := value_at(document[path[:end]], path[end + 1 :])) is not None:
            return found
    return None


def _dots(path: str) -> Iterable[int]:
    return (place for place, letter in enumerate(path) if letter == ".")


def _roots(alert: Document) -> list[tuple[str, str]]:
    """Index and id of the documents at the alert's root. An ancestor that is an alert itself stands between them."""
    found: dict[tuple[str, str], None] = {}
    ancestors = value_at(alert, "kibana.alert.ancestors")
    for ancestor in _listed(ancestors)[:_MOST_NAMES]:
        index, number = _text(value_at(ancestor, "index")), _text(value_at(ancestor, "id"))
        if value_at(ancestor, "type") == "event" and index and number:
            found[index, number] = None
    return list(found)


def _scored(alert: Document) -> str | None:
    """The event of a record of ours that the alert was raised on: only our role can have written it there."""
    return _text(value_at(alert, "kibana.alert.original_event.id")) or _text(value_at(alert, "event.id"))


def _tagged(tags: Iterable[str], reasons: Mapping[str, str]) -> str | None:
    return next((reasons[tag.lower()] for tag in tags if tag.lower() in reasons), None)


def _listed(value: Json) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _texts(value: Json) -> tuple[str, ...]:
    return tuple(text for text in map(_text, _listed(value)[:_MOST_NAMES]) if text is not None)


def _text(value: Json) -> str | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST else None


def _time(value: Json) -> datetime | None:
    text = _text(value)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
