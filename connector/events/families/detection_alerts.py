"""Detection alerts of Elastic Security: the event inside stays what it is, and the rule's name stands beside it.

An alert is a copy of the event that it was raised for, with ``kibana.alert.*`` added, nested or as dotted names.
Source: https://www.elastic.co/docs/reference/security/fields-and-object-schemas/alert-schema
"""

from __future__ import annotations

from typing import Any, Final

from connector.events.canonical import kind_of
from connector.events.family import Family
from connector.events.paths import first, put
from connector.types import Document, Json

Node = dict[str, Any]

_DATASET: Final = "elastic.alert"
_RULE_NAME: Final = first(["kibana.alert.rule.name", "signal.rule.name"])
_KEYS: Final = ("kibana.alert.rule.name", "kibana.alert.uuid", "kibana.alert.rule.uuid", "kibana", "signal")


def read(record: Document) -> Node | None:
    """An alert as the event that it is about, with ``rule.name``; None for anything else.

    Where that event's dataset has no kind of its own, or a threshold was crossed by many, the dataset becomes
    ``elastic.alert``; what it was stands in ``kibana.alert.original_event.dataset``.
    """
    if not any(key in record for key in _KEYS):
        return None
    document = _nested(record)
    name = _RULE_NAME(document)
    if name is None:
        return None
    put(document, "rule.name", name)
    put(document, "event.kind", "signal")
    event = document.get("event")
    if type(event) is dict and kind_of(document) == "generic":
        document.pop("event.dataset", None)
        put(document, "kibana.alert.original_event.dataset", event.get("dataset"))
        event["dataset"] = _DATASET
    return document


def _nested(record: Document) -> Node:
    """A copy whose dotted names stand nested."""
    document: Node = {key: _copy(value) for key, value in record.items() if "." not in key}
    for key, value in record.items():
        if "." in key:
            put(document, key, _copy(value))
    return document


def _copy(value: Json) -> Json:
    """Objects are copied all the way down, for they are added to; their depth was bounded when they were decoded."""
    return {key: _copy(inner) for key, inner in value.items()} if type(value) is dict else value


FAMILY: Final = Family("detection_alerts", datasets=frozenset({_DATASET}), read=read, keys=_KEYS)
