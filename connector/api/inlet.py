"""Where pushed events enter: a source that nobody polls, and the one way in that polls take too."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from connector.errors import TransientError
from connector.pipeline import Ingest, Outcome, Routes
from connector.settings import InletSettings, SourceSettings
from connector.telemetry import Signal, emit
from connector.types import Batch, Cursor, Position, RawEvent, Span


class PushSource:
    """The source of an inlet: it names the SIEM, and has nothing to read."""

    query_digest = "push"

    def __init__(self, deployment: str) -> None:
        self.deployment = deployment

    def heads(self) -> Sequence[Position]:
        """None: what is pushed has no position."""
        return ()

    def read(self, span: Span, after: Cursor | None, limit: int) -> Batch[RawEvent]:  # noqa: ARG002 - the port's signature
        """Nothing."""
        return Batch(items=(), cursor=None, done=True)

    def count(self, span: Span) -> int | None:  # noqa: ARG002 - the port's signature
        """Nothing can be counted that is not kept."""
        return None


def inlet_source_settings(inlet: InletSettings) -> SourceSettings:
    """An inlet's settings as those of a source."""
    return SourceSettings(type="push", deployment=inlet.deployment, targets=inlet.targets, batch=inlet.batch)


class Inlet:
    """One inlet. Requests may come at once; their events enter one batch after another."""

    def __init__(self, name: str, ingest: Ingest, routes: Routes) -> None:
        self.name = name
        self.deployment = ingest.source.deployment
        self._ingest = ingest
        self._routes = routes
        self._turn = Lock()

    def full(self) -> str | None:
        """The target, if any, that holds this inlet up."""
        return self._routes.pausing(self.name)

    def take(self, raws: Sequence[RawEvent]) -> Outcome:
        """Takes events into the ledger; when it returns, all of them are there, on the disk.

        Raises ``TransientError`` where a target is full or the ledger does not answer. What was taken until then is known
        when it comes again.
        """
        if full := self.full():
            emit(Signal.SOURCE_PAUSED, self.name, target=full)
            raise TransientError(f"target {full} is full")
        size = self._ingest.settings.batch
        total = Outcome()
        with self._turn:
            for start in range(0, len(raws), size):
                total += self._ingest.batch(raws[start : start + size])
        return total
