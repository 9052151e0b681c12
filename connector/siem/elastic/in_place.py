"""Brings a verdict onto the event itself: ``threat.*`` and ``triaged.*`` in the document that was read.

The document is read with its sequence number and written with it, so that nothing that changed in between is
overwritten; after a conflict both are done again, a few times. What a vendor wrote into ``threat.*`` stays.

A document that is gone, or that stands in an index which takes no writes any more (frozen, a searchable snapshot, a
block), is left as it is: the verdict stands in its own index all the same, and the event is told of and counted.
Backing indices of a data stream can be updated by id for as long as they take writes; an update makes no new event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from connector.policy import record_document
from connector.siem.elastic import bulk
from connector.siem.elastic.bulk import Item, Operation, Send
from connector.siem.elastic.outcomes import fate_of, reason_of
from connector.telemetry import Signal, emit
from connector.types import Delivery, Document, Verdict

ROUNDS: Final = 4
"""Tries against others that write to the same document, before the outbox waits."""

FIELDS: Final = ("triaged.origin", "triaged.revision", "triaged.scope", "threat")
"""What is asked of the document: what decides whether and what is written."""

GONE: Final = frozenset({"index_not_found_exception", "document_missing_exception", "no_such_index_exception"})
CLOSED: Final = frozenset({"cluster_block_exception", "index_closed_exception", "unsupported_operation_exception"})

_CONFLICT: Final = "version_conflict_engine_exception"
_DELIVERED: Final = Delivery(outcome="delivered")

Fetch = Callable[[Sequence[Mapping[str, Any]]], Sequence[Mapping[str, Any]]]
"""Gets documents by index and id, each with ``found``, ``_seq_no``, ``_primary_term`` and ``_source``, or ``error``."""


class InPlace:
    """Updates the events of one deployment."""

    def __init__(self, name: str, deployment: str, fetch: Fetch, send: Send, max_bytes: int) -> None:
        self._name = name
        self._deployment = deployment
        self._fetch = fetch
        self._send = send
        self._max_bytes = max_bytes

    def update(self, verdicts: Sequence[Verdict]) -> list[Delivery]:
        """One outcome a verdict. Those of events of other deployments are done at once."""
        outcomes = [_DELIVERED] * len(verdicts)
        left = [place for place, verdict in enumerate(verdicts) if verdict.source.siem == self._deployment]
        for _ in range(ROUNDS):
            if not left:
                return outcomes
            left = self._round(verdicts, left, outcomes)
        for place in left:
            outcomes[place] = Delivery(outcome="retry", reason="the event's document is changed by others all the time")
        return outcomes

    def _round(self, verdicts: Sequence[Verdict], places: Sequence[int], outcomes: list[Delivery]) -> list[int]:
        """Tries these once; returns those that met a conflict."""
        refs = [verdicts[place].source for place in places]
        found = self._fetch([{"_index": ref.index, "_id": ref.id} for ref in refs])
        operations: dict[int, Operation] = {}
        for place, row in zip(places, found, strict=True):
            if "error" in row:
                outcomes[place] = self._failed(verdicts[place], row)
            elif not row.get("found"):
                self._told(verdicts[place], "it is not there any more")
            elif (change := changes(verdicts[place], row.get("_source", {}))) is not None:
                operations[place] = _guarded(row, change)
        items = bulk.run(list(operations.values()), self._send, self._max_bytes)
        again = []
        for place, item in zip(operations, items, strict=True):
            if _type(item) == _CONFLICT:
                again.append(place)
            else:
                outcomes[place] = self._failed(verdicts[place], item) if "error" in item else _DELIVERED
        return again

    def _failed(self, verdict: Verdict, item: Item) -> Delivery:
        kind, reason = _type(item), reason_of(item)
        if kind in GONE or kind in CLOSED:
            self._told(verdict, reason)
            return _DELIVERED
        fate = fate_of(item)
        if fate == "rejected":
            return Delivery(outcome="rejected", reason=f"its verdict is written, but not onto the event: {reason}")
        return Delivery(outcome="unknown" if fate == "unknown" else "retry", reason=reason)

    def _told(self, verdict: Verdict, reason: str) -> None:
        ref = verdict.source
        emit(Signal.SOURCE_NOT_UPDATED, self._name, document=f"{ref.index}/{ref.id}", reason=reason)


def changes(verdict: Verdict, standing: Document) -> Document | None:
    """What to write onto the event; None where this revision or a later one stands there.

    ``threat`` is written where there is none or an older one of ours, and taken away where ours no longer holds.
    """
    ours, threat = standing.get("triaged"), standing.get("threat")
    ours = ours if isinstance(ours, Mapping) else {}
    revision = ours.get("revision")
    if ours.get("scope") != "fingerprint" and isinstance(revision, int) and revision >= verdict.revision:
        return None
    document = record_document(verdict)
    change: dict[str, Any] = {"triaged": document["triaged"]}
    if threat is None or ours:
        if "threat" in document:
            change["threat"] = document["threat"]
        elif threat is not None:
            change["threat"] = None
    return change


def _guarded(row: Mapping[str, Any], change: Document) -> Operation:
    guard = {"if_seq_no": row["_seq_no"], "if_primary_term": row["_primary_term"]}
    return Operation.of({"update": {"_index": row["_index"], "_id": row["_id"], **guard}}, {"doc": change})


def _type(item: Item) -> str | None:
    error = item.get("error")
    kind = error.get("type") if isinstance(error, Mapping) else None
    return kind if isinstance(kind, str) else None
