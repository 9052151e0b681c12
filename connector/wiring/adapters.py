"""An adapter for each table of the settings that names one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

from connector import pipeline
from connector.errors import ConfigError
from connector.ledger import Ledger
from connector.ports import (
    AlertHistory,
    Clock,
    Closes,
    EventSource,
    HistoryFactory,
    SiemWriter,
    Soar,
    SoarFactory,
    SourceFactory,
    WriterFactory,
)
from connector.settings import Settings, SoarSettings
from connector.wiring import registered
from connector.wiring.production import utc_now


def source(name: str, config: Any, clock: Clock) -> EventSource:
    """The event source that a ``[sources.NAME]`` table describes."""
    factory: SourceFactory = registered.plugins("triaged.siem")[config.type].source
    return factory(name, config, clock)


def writer(name: str, config: Any, clock: Clock) -> SiemWriter:
    """The writer that a ``[targets.NAME]`` table describes."""
    factory: WriterFactory = registered.plugins("triaged.siem")[config.type].writer
    return factory(name, config, clock)


def history(name: str, config: Any, clock: Clock) -> AlertHistory:
    """The alert history that a ``[histories.NAME]`` table describes."""
    factory: HistoryFactory = registered.plugins("triaged.siem")[config.type].history
    return factory(name, config, clock)


def soar(name: str, config: Any, clock: Clock) -> Soar:
    """The SOAR that a ``[soars.NAME]`` table describes."""
    factory: SoarFactory = registered.plugins("triaged.soar")[config.type].soar
    return factory(name, config, clock)


def check_lease(name: str, platform: Soar, config: SoarSettings, lease: timedelta) -> None:
    """Refuses a lease that may end before a start is answered and, where it is searched for, findable.

    Raises ``ConfigError``: another worker would claim the action, and start its playbook a second time.
    """
    longest = pipeline.longest_start(platform, config)
    needed = (longest + pipeline.LATEST).total_seconds()
    if longest and needed > lease.total_seconds():
        raise ConfigError(
            f"ledger.lease must be at least {needed:g} s: so long after its claim a start on {name} may be answered and "
            f"findable (its `timeout` and `index_delay`); an action whose claim has ended would be started twice"
        )


@contextmanager
def opened_histories(settings: Settings, ledger: Ledger) -> Iterator[Mapping[str, pipeline.History]]:
    """The alert histories alone, each with its way into the ledger."""
    with ExitStack() as stack:
        opened: dict[str, pipeline.History] = {}
        for name, config in settings.histories.items():
            adapter = history(name, config, utc_now)
            if isinstance(adapter, Closes):
                stack.callback(adapter.close)
            opened[name] = pipeline.History(name, adapter, config, ledger=ledger, stopping=lambda: False)
        yield opened


@contextmanager
def opened_sources(settings: Settings) -> Iterator[Mapping[str, EventSource]]:
    """The sources alone, for commands that need neither a model nor a policy."""
    with ExitStack() as stack:
        opened: dict[str, EventSource] = {}
        for name, config in settings.sources.items():
            opened[name] = adapter = source(name, config.kept_in(settings.data_dir, name), utc_now)
            if isinstance(adapter, Closes):
                stack.callback(adapter.close)
        yield opened
