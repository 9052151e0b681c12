"""The contracts of SIEM writers and alert histories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from connector.ports import AlertHistory, SiemPlugin, SiemWriter
from connector.testing import examples
from connector.testing.contracts.rules import adapter, require, testbed
from connector.types import Cursor, DispositionChange, Record, Verdict

_VERDICTS = 7
_ALERTS = 5


def check_writer(plugin: SiemPlugin, directory: Path) -> None:
    """Puts a writer through its contract. Raises ``ContractError`` naming the rule that it broke.

    A testbed of a target without unique keys says so: ``unique_keys = False``; repeats may then stand there twice.
    """
    require(plugin.writer, "the plug-in has a writer")
    with testbed(plugin, directory) as bed:
        with adapter(plugin.writer, bed.writer_config(), bed.clock) as writer:
            kinds = set(get_args(Record))
            require(writer.accepts and writer.accepts <= kinds, "a writer accepts kinds of record", writer.accepts)
            require(len(writer.write([])) == 0, "no records have no outcomes")
            samples = [record for kind, record in examples.records().items() if kind in writer.accepts]
            if Verdict in writer.accepts:
                samples += [examples.verdict(number) for number in range(1, _VERDICTS)]
                samples.append(examples.verdict(1, revision=2))
            _delivers(writer, samples)
            _holds(bed, samples)
            _delivers(writer, samples[::-1])
        with adapter(plugin.writer, bed.writer_config(), bed.clock) as other:
            _delivers(other, samples + samples[:2])
        _holds(bed, samples)


def _delivers(writer: SiemWriter, records: Sequence[Record]) -> None:
    outcomes = writer.write(records)
    require(len(outcomes) == len(records), "there is one outcome a record", len(outcomes), len(records))
    for record, delivery in zip(records, outcomes, strict=True):
        kind = type(record).__name__
        require(delivery.outcome == "delivered", f"a sound {kind} is delivered, a repeated one too", delivery)


def _holds(bed: Any, records: Sequence[Record]) -> None:
    held = [msgspec.json.encode(document).decode() for document in bed.written()]
    unique = getattr(bed, "unique_keys", True)
    for record in records:
        mark = record.origin or record.record_id
        count = sum(mark in document for document in held)
        rule = "exactly once" if unique else "at least once"
        require(count == 1 if unique else count, f"the SIEM holds each {type(record).__name__} {rule}", count)


def check_history(plugin: SiemPlugin, directory: Path) -> None:
    """Puts an alert history through its contract. Raises ``ContractError`` naming the rule that it broke."""
    require(plugin.history, "the plug-in has an alert history")
    with testbed(plugin, directory) as bed:
        with adapter(plugin.history, bed.history_config(), bed.clock) as history:
            nothing = history.dispositions(None, 10)
            require(nothing.done and not nothing.items, "a SIEM without alerts has no changes", nothing)
            for number in range(_ALERTS):
                bed.close_alert(f"alert-{number}", [f"event-{number}"], "true_positive")
            changes, cursors = _read(history, None, 1000)
            _as_closed(changes)
            for limit in (1, 2, 3):
                paged, cursors = _read(history, None, limit)
                require(_alerts(paged) == _alerts(changes), f"pages of {limit} give the same changes, in order", paged)
        with adapter(plugin.history, bed.history_config(), bed.clock) as other:
            bed.close_alert("alert-late", ["event-late"], "false_positive")
            fresh, _ = _read(other, cursors[-1], 10)
            require(
                _alerts(fresh) == ["alert-late"], "a cursor gives what was changed after it, to a new process", fresh
            )


def _read(
    history: AlertHistory, after: Cursor | None, limit: int
) -> tuple[list[DispositionChange], list[Cursor | None]]:
    found: list[DispositionChange] = []
    cursors: list[Cursor | None] = []
    for _ in range(100):
        batch = history.dispositions(after, limit)
        require(len(batch.items) <= limit, f"a read of at most {limit} changes gives no more", len(batch.items))
        found += batch.items
        after = batch.cursor
        cursors.append(after)
        if batch.done:
            return found, cursors
    require(False, "the changes come to an end")
    return found, cursors


def _alerts(changes: Sequence[DispositionChange]) -> list[str]:
    return [change.alert_id for change in changes]


def _as_closed(changes: Sequence[DispositionChange]) -> None:
    wanted = [f"alert-{number}" for number in range(_ALERTS)]
    require(_alerts(changes) == wanted, "changes come in the order in which they were made, each once", changes)
    for number, change in enumerate(changes):
        require(change.event_ids == (f"event-{number}",), "a change names its alert's events", change)
        require(change.disposition, "a closed alert has the disposition that the analyst chose", change)
        require(change.status, "a change has a status", change)
        for moment in (change.changed_at, change.observed_at):
            require(moment.tzinfo is not None, "times have a zone", change)
