"""Reads what analysts did with alerts, and keeps every change as a fact with the time at which it was observed."""

from __future__ import annotations

from collections.abc import Callable

from connector.ledger import Ledger
from connector.ports import AlertHistory
from connector.settings import HistorySettings
from connector.telemetry import Signal, emit


class History:
    """One alert history's way into the ledger."""

    def __init__(
        self,
        name: str,
        history: AlertHistory,
        settings: HistorySettings,
        *,
        ledger: Ledger,
        stopping: Callable[[], bool],
    ) -> None:
        self.name = name
        self.history = history
        self.settings = settings
        self._ledger = ledger
        self._stopping = stopping

    def poll(self) -> int:
        """Reads all changes after the stored cursor, each batch with its cursor in one transaction."""
        total = 0
        while not self._stopping():
            batch = self.history.dispositions(self._ledger.disposition_cursor(self.name), self.settings.batch)
            if batch.items or batch.cursor is not None:
                self._ledger.record_dispositions(self.name, batch.items, batch.cursor)
            total += len(batch.items)
            if not batch.complete:
                emit(Signal.READ_INCOMPLETE, self.name, reason=batch.reason)
            if batch.done:
                break
        emit(Signal.DISPOSITIONS_READ, self.name, changes=total)
        return total
