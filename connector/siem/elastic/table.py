"""The table of frequent fingerprints: what goes into it, and whether a new one is worth replacing the old one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from connector.events import CANONICAL_VERSIONS
from connector.types import Json

Known = Mapping[str, Any]
"""What is known of a fingerprint: a document of the look-up index."""

Table = dict[str, dict[str, dict[str, Json]]]
"""Canonical version → fingerprint → what is stamped."""

STAMPED: Final = ("verdict", "confidence", "techniques", "threat", "expires_at")
"""What an entry of the table brings onto an event."""

MARGIN: Final = timedelta(days=1)
"""An entry that ends within this time counts as gone: a newer one is worth publishing."""

_VERSIONS: Final = frozenset(CANONICAL_VERSIONS.values())


def chosen(
    counts: Sequence[tuple[str, int]],
    found: Mapping[str, Known],
    model: Mapping[str, str],
    now: datetime,
    *,
    most: int,
    size: int,
) -> Table:
    """The entries of the most frequent fingerprints, ``most`` of them and ``size`` bytes of JSON at the most.

    Entries of another model, of a canonical version that is not ours, and those that are over are left out.
    """
    table: Table = {}
    entries = room = 0
    for fingerprint, _ in counts:
        entry = found.get(fingerprint)
        if entry is None or not _counts(entry, model, now):
            continue
        row = row_of(entry)
        group = table.get(entry["canonical_version"])
        room += len(json.dumps({fingerprint: row})) + (0 if group is not None else len(entry["canonical_version"]) + 8)
        if entries == most or room > size:
            break
        entries += 1
        table.setdefault(entry["canonical_version"], {})[fingerprint] = row
    return table


def row_of(entry: Known) -> dict[str, Json]:
    """An entry as the table has it. ``until`` is its end in milliseconds: a script compares it without reading a date.

    A benign stamp tells no techniques, and nine in ten entries are benign: without them twice as many fit into the table.
    """
    told = [key for key in STAMPED if key in entry and (key != "techniques" or entry["verdict"] != "benign")]
    return {key: entry[key] for key in told} | {"until": _milliseconds(entry)}


def dated(entries: Json) -> Json:
    """A published table, with ``until`` where an older version of the assets knew only the date: scripts read no dates."""
    if not isinstance(entries, Mapping):
        return entries
    return {
        version: {fingerprint: _dated(row) for fingerprint, row in group.items()}
        if isinstance(group, Mapping)
        else group
        for version, group in entries.items()
    }


def gained(
    counts: Sequence[tuple[str, int]], wanted: Table, standing: Mapping[str, Json], now: datetime, changed: float
) -> bool:
    """Whether at least this share of the events is answered for by the new table, and not in the same way by the old."""
    total = sum(count for _, count in counts)
    before, after = _flat(standing), _flat(wanted)
    gain = sum(
        count
        for fingerprint, count in counts
        if fingerprint in after and not _same(before.get(fingerprint), after[fingerprint], now)
    )
    return gain > 0 and gain >= changed * total


def _counts(entry: Known, model: Mapping[str, str], now: datetime) -> bool:
    ours = entry["model"]["name"] == model["name"] and entry["model"]["version"] == model["version"]
    return ours and entry["canonical_version"] in _VERSIONS and _until(entry) > now


def _same(before: Known | None, after: Known, now: datetime) -> bool:
    """Whether the old entry says the same, and will for a while."""
    if before is None or "until" not in before or _until(before) <= now + MARGIN < _until(after):
        return False  # without ``until`` it is of an older version of the assets, and answers for nothing
    return all(before.get(key) == after.get(key) for key in STAMPED if key != "expires_at")


def _dated(row: Json) -> Json:
    if isinstance(row, Mapping) and "until" not in row:
        with suppress(ValueError):  # no date: it says nothing
            return {**row, "until": _milliseconds(row)}
    return row


def _milliseconds(entry: Known) -> int:
    return round(_until(entry).timestamp() * 1000)


def _until(entry: Known) -> datetime:
    return datetime.fromisoformat(str(entry.get("expires_at")))


def _flat(table: Mapping[str, Any]) -> dict[str, Known]:
    return {fingerprint: row for group in table.values() for fingerprint, row in group.items()}
