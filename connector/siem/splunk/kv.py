"""Rows of the app's KV store: look-up entries by fingerprint, playbook runs by action.

A row has a key of ours (``_key``), so that a record which comes twice is written once. Records of one row can overtake
each other on their way, since each is retried by itself: a row that stands there is only replaced by one that is not
older (``at`` of a run, ``expires_at`` of an entry).

Source: Splunk's REST API reference, "KV store endpoint descriptions" (``batch_find``, ``batch_save``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from connector.errors import TransientError
from connector.siem.splunk.client import Splunk, path_of
from connector.types import Delivery, LookupEntry, RunStatus

APP: Final = "triaged"
"""The app whose collections these are."""

RUNS: Final = "triaged_runs"
LOOKUP: Final = "triaged_lookup"

MOST: Final = 500
"""Rows a request; ``limits.conf`` allows 1,000 as it is shipped."""

KvRecord = RunStatus | LookupEntry
_DELIVERED: Final = Delivery(outcome="delivered")


class Row(NamedTuple):
    """One row: its collection, its key, the field that says how new it is, and all of its fields."""

    collection: str
    key: str
    newer_by: str
    fields: Mapping[str, Any]


class KvStore:
    """The collections of the app on one site."""

    def __init__(self, splunk: Splunk) -> None:
        self._splunk = splunk

    def upsert(self, records: Sequence[KvRecord]) -> list[Delivery]:
        """One outcome a record; a record whose row is newer already is delivered. Raises where a request fails."""
        for collection, rows in _grouped(row_of(record) for record in records).items():
            for start in range(0, len(rows), MOST):
                self._save(collection, rows[start : start + MOST])
        return [_DELIVERED] * len(records)

    def prove(self) -> None:
        """Whether the collections are there and may be read. Raises what keeps us from them."""
        for collection in (RUNS, LOOKUP):
            self._splunk.request(f"reading rows of {collection}", "GET", _path(collection), query={"limit": "1"})

    def _save(self, collection: str, rows: Sequence[Row]) -> None:
        standing = self._standing(collection, rows)
        fresh = [{"_key": row.key, **row.fields} for row in rows if _is_newer(row, standing.get(row.key))]
        if fresh:
            self._splunk.request(
                f"writing rows of {collection}", "POST", _path(collection, "batch_save"), json=fresh, harmless=True
            )

    def _standing(self, collection: str, rows: Sequence[Row]) -> Mapping[str, Any]:
        """How new each row is that stands there already, by its key."""
        newer_by = rows[0].newer_by
        query = {"query": {"$or": [{"_key": row.key} for row in rows]}, "fields": f"_key,{newer_by}"}
        what = f"reading rows of {collection}"
        answer = self._splunk.request(what, "POST", _path(collection, "batch_find"), json=[query], harmless=True).json()
        if not isinstance(answer, list) or not all(isinstance(found, list) for found in answer):
            raise TransientError(f"{what}: an answer that holds no rows", sent=True)
        rows_there = (row for found in answer for row in found if isinstance(row, Mapping))
        return {str(row.get("_key")): row.get(newer_by) for row in rows_there}


def row_of(record: KvRecord) -> Row:
    """The row of a record."""
    return _run(record) if isinstance(record, RunStatus) else _entry(record)


def _run(record: RunStatus) -> Row:
    fields = {
        "record_id": record.record_id,
        "cause": record.cause,
        "action_key": record.action_key,
        "playbook": record.playbook,
        "state": record.state,
        "detail": record.detail,
        "run_id": record.run_id,
        "at": record.at.timestamp(),
        "origin": record.origin,
    }
    return Row(RUNS, record.action_key, "at", fields)


def _entry(record: LookupEntry) -> Row:
    fields = {
        "record_id": record.record_id,
        "fingerprint": record.fingerprint,
        "kind": record.kind,
        "canonical_version": record.canonical_version,
        "model": f"{record.model.name}/{record.model.version}",
        "attack_version": record.model.attack_version,
        "verdict": record.verdict,
        "confidence": record.p_malicious,
        "techniques": list(record.passed),
        "expires_at": record.expires_at.timestamp(),
        "scope": "fingerprint",
        "origin": record.origin,
    }
    return Row(LOOKUP, record.fingerprint, "expires_at", fields)


def _grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """By collection, the newest of each key."""
    newest: dict[tuple[str, str], Row] = {}
    for row in rows:
        before = newest.get((row.collection, row.key))
        if before is None or _is_newer(row, before.fields[before.newer_by]):
            newest[row.collection, row.key] = row
    grouped: dict[str, list[Row]] = {}
    for row in newest.values():
        grouped.setdefault(row.collection, []).append(row)
    return grouped


def _is_newer(row: Row, standing: Any) -> bool:
    """Whether a row may replace one that is this new; one that came twice may too."""
    return not isinstance(standing, int | float) or row.fields[row.newer_by] >= standing


def _path(collection: str, *verb: str) -> str:
    return path_of("servicesNS", "nobody", APP, "storage", "collections", "data", collection, *verb)
