"""What became of one item of a bulk request: tables of the server's answers, and nothing else.

The type of an item's error decides; where it is not listed, the HTTP status that the item carries. ``unknown`` types
that newer servers bring thus fall back to what their status says.

Source: the bulk API's documented answer (``items[].<op>.{status,error{type,reason}}``), and what the servers say.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from connector.siem.elastic.bulk import UNKNOWN
from connector.types import Delivery, Json

Fate = Literal["delivered", "retry", "unknown", "rejected", "refused"]
"""``refused``: a person must grant or switch something; it concerns every item of the kind, so it is a ConfigError."""

BY_TYPE: Final[Mapping[str, Fate]] = {
    "version_conflict_engine_exception": "delivered",  # of a create: the id stands there already
    "es_rejected_execution_exception": "retry",
    "rejected_execution_exception": "retry",  # OpenSearch's name
    "circuit_breaking_exception": "retry",
    "unavailable_shards_exception": "retry",
    "no_shard_available_action_exception": "retry",
    "node_closed_exception": "retry",
    "node_not_connected_exception": "retry",
    "node_disconnected_exception": "retry",
    "shard_not_in_primary_mode_exception": "retry",
    "process_cluster_event_timeout_exception": "retry",  # a mapping or an index that the cluster manager was slow to make
    "timeout_exception": "retry",
    "receive_timeout_transport_exception": "retry",
    "index_closed_exception": "retry",
    "cluster_block_exception": "retry",  # a full disk, a cluster that starts, an index set to read-only: all end
    "cluster_manager_not_discovered_exception": "retry",
    "master_not_discovered_exception": "retry",
    "pipeline_missing_exception": "retry",
    "security_exception": "refused",
    "index_not_found_exception": "refused",  # the cluster makes no index by itself, or not this one
    "mapper_parsing_exception": "rejected",
    "document_parsing_exception": "rejected",
    "mapper_exception": "rejected",
    "strict_dynamic_mapping_exception": "rejected",
    "illegal_argument_exception": "rejected",  # too many fields, a term too long
    "invalid_index_name_exception": "rejected",
    "action_request_validation_exception": "rejected",
    "script_exception": "rejected",
    UNKNOWN: "unknown",
}

BY_STATUS: Final[Mapping[int, Fate]] = {
    200: "delivered",
    201: "delivered",
    401: "refused",
    403: "refused",
    408: "retry",
    409: "delivered",
    429: "retry",
}

_LONGEST_REASON = 500


def fate_of(item: Mapping[str, Json]) -> Fate:
    """What an answered item means for its record."""
    error, status = item.get("error"), item.get("status")
    kind = error.get("type") if isinstance(error, Mapping) else None
    if isinstance(kind, str) and kind in BY_TYPE:
        return BY_TYPE[kind]
    if not isinstance(status, int):
        return "retry"
    known = BY_STATUS.get(status)
    return known or ("rejected" if 400 <= status < 500 else "retry")


def reason_of(item: Mapping[str, Json]) -> str:
    """The server's own words: type, reason and cause, cut to what a dead letter may hold."""
    error = item.get("error")
    if not isinstance(error, Mapping):
        return f"the server answered {item.get('status')}" if error is None else str(error)[:_LONGEST_REASON]
    cause = error.get("caused_by")
    inner = cause.get("reason") if isinstance(cause, Mapping) else None
    parts = (error.get("type"), error.get("reason"), inner)
    return ": ".join(str(part) for part in parts if part)[:_LONGEST_REASON]


def delivery_of(item: Mapping[str, Json]) -> Delivery:
    """The item as an outcome; a refused one waits, since a person can grant what it lacks."""
    fate = fate_of(item)
    if fate == "delivered":
        return Delivery(outcome="delivered")
    return Delivery(outcome="retry" if fate == "refused" else fate, reason=reason_of(item))
