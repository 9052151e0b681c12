"""What every adapter of a kind has. An adapter's own ``Config`` derives from these."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from connector.settings.base import Every, Section, Stretch


class SourceSettings(Section):
    """What every source has. An adapter's ``Config`` derives from it and sets ``type`` to its own literal."""

    type: str
    deployment: str = Field(description="names the SIEM; sources that share it share event ids")
    every: Every = Field(timedelta(seconds=10), description="how often to poll")
    jitter: Stretch = Field(timedelta(0), description="a random delay up to this is added to each poll")
    settle: Stretch = Field(timedelta(seconds=5), description="how far behind the server's clock to stay")
    lookback: Stretch = Field(timedelta(hours=1), description="how late an event may become searchable")
    start: Literal["now", "beginning"] = Field("now", description="where a source without a cursor begins")
    batch: int = Field(1000, ge=1, le=50_000, description="events a batch")
    targets: tuple[str, ...] | None = Field(None, description="writers that get the verdicts; absent: all")

    def kept_in(self, folder: Path, name: str) -> Self:  # noqa: ARG002 - for adapters that keep something beside the ledger
        """The same, where the adapter keeps something of its own: in this folder, for the source of this name."""
        return self


class TargetSettings(Section):
    """What every writer has."""

    type: str
    every: Every = Field(timedelta(seconds=1), description="how often to look for rows to deliver")
    batch: int = Field(500, ge=1, description="records a call")
    max_pending: int = Field(1_000_000, ge=1, description="rows that may wait before the target counts as full")
    when_full: Literal["park", "pause"] = "pause"
    max_attempts: int = Field(20, ge=1, description="tries across calls before a record becomes a dead letter")
    entities: bool = Field(default=False, description="send the risk of hosts and users, and incidents, too")


class SoarSettings(Section):
    """What every SOAR has."""

    type: str
    every: Every = timedelta(seconds=1)
    max_pending: int = Field(10_000, ge=1)
    when_full: Literal["park", "pause"] = "park"
    max_attempts: int = Field(10, ge=1)
    run_timeout: Every = Field(timedelta(days=1), description="how long a run may go on before it counts as timed out")


class HistorySettings(Section):
    """What every alert history has."""

    type: str
    every: Every = timedelta(minutes=5)
    batch: int = Field(500, ge=1)
