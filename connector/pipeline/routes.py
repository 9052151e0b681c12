"""Which record goes to which target, and what happens where a target is full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from connector.ledger import Ledger, OutboxRow
from connector.policy import Decision
from connector.ports import SiemWriter
from connector.settings import SoarSettings, SourceSettings, TargetSettings
from connector.telemetry import PENDING, Signal, emit
from connector.types import Action, AlertUpdate, EntityRisk, Incident, Record, RiskEvent, Verdict

OF_ENTITIES: Final[frozenset[type[Record]]] = frozenset({RiskEvent, EntityRisk, Incident})
"""Kinds that a target gets only where its settings ask for them: they need indices and rights of their own."""


class Routes:
    """The map from records to targets, and the watch over how many rows wait for each."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        writers: Mapping[str, SiemWriter],
        targets: Mapping[str, TargetSettings],
        soars: Mapping[str, SoarSettings],
        sources: Mapping[str, SourceSettings],
    ) -> None:
        self._ledger = ledger
        self._writers = writers
        self._limits: Mapping[str, TargetSettings | SoarSettings] = {**targets, **soars}
        self._targets = targets
        self._soars = soars
        self._sources = sources

    def writers_of(self, kind: type[Record], source: str | None = None) -> list[str]:
        """The writers that take this kind of record from this source (None: from any)."""
        chosen = None if source is None else self._sources[source].targets
        return [
            name
            for name, writer in self._writers.items()
            if kind in writer.accepts
            and (chosen is None or name in chosen)
            and (kind not in OF_ENTITIES or self._targets[name].entities)
        ]

    def pausing(self, source: str) -> str | None:
        """The full target, if any, that stops this source from polling."""
        for name in (*self.writers_of(Verdict, source), *self._soars):
            limit = self._limits[name]
            if limit.when_full == "pause" and self._ledger.pending(name) >= limit.max_pending:
                return name
        return None

    def rows(self, source: str, decisions: Sequence[Decision]) -> list[OutboxRow]:
        """Outbox rows for verdicts, for the alerts that they change, and for the actions that they propose.

        The SOARs of actions were all found at the start.
        """
        rows = [
            OutboxRow(record_id=d.verdict.record_id, target=target, cause=d.verdict.record_id)
            for target in self.writers_of(Verdict, source)
            for d in decisions
        ]
        changes = [d.alert for d in decisions if d.alert is not None]
        for target in self.writers_of(AlertUpdate, source) if changes else ():
            rows += [record_row(change, target, change.cause) for change in changes]
        rows += [action_row(action) for d in decisions for action in d.actions]
        return self._fit(rows)

    def follow_ups(self, records: Iterable[Record]) -> list[OutboxRow]:
        """Rows that carry follow-up records to every writer that takes their kind; each hangs on its cause."""
        rows = [
            record_row(record, target, getattr(record, "cause", None))
            for record in records
            for target in self.writers_of(type(record))
        ]
        return self._fit(rows)

    def caused(self, record: Record, cause: str, source: str) -> list[OutboxRow]:
        """Rows for a record that hangs on a verdict of this source, to the writers that take both."""
        return self._fit([record_row(record, target, cause) for target in self.writers_of(type(record), source)])

    def _fit(self, rows: list[OutboxRow]) -> list[OutboxRow]:
        """Parks what is beyond a target's limit: it becomes a dead letter, which `triaged replay` queues again.

        Actions of one group have one key and become one row: together they take one place.
        """
        fitted: list[OutboxRow] = []
        room: dict[str, int] = {}
        placed: dict[tuple[str, str], str] = {}
        for row in rows:
            if self._limits[row.target].when_full == "park":
                place = (row.target, row.record_id)
                if place not in placed:
                    placed[place] = self._parked(row.target, room)
                row = msgspec.structs.replace(row, parked=placed[place])  # noqa: PLW2901 (parked, or not)
            fitted.append(row)
        return fitted

    def _parked(self, target: str, room: dict[str, int]) -> str:
        """Takes one place of the target; why there is none, or nothing."""
        if target not in room:
            pending = self._ledger.pending(target)
            PENDING.labels(target=target).set(pending)
            room[target] = self._limits[target].max_pending - pending
        room[target] -= 1
        if room[target] >= 0:
            return ""
        emit(Signal.TARGET_PARKED, target)
        return "target is full"


def record_row(record: Record, target: str, cause: str | None) -> OutboxRow:
    """The outbox row that carries a record to a target; it hangs on its cause."""
    return OutboxRow(record_id=record.record_id, target=target, cause=cause, payload=msgspec.json.encode(record))


def action_row(action: Action) -> OutboxRow:
    """The outbox row of a proposed playbook run; it is inserted only with the verdict that proposes it."""
    return OutboxRow(
        record_id=action.key,
        target=action.soar,
        cause=action.verdict.record_id,
        payload=msgspec.json.encode(action),
        kind="action",
        grouped=action.subject != action.verdict.event_id,
    )
