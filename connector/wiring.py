"""The only place where things are put together: settings in, a wired application out."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import Event as Flag
from typing import Any

from connector import pipeline, settings as tree
from connector.errors import ConfigError
from connector.ledger import Ledger, open_ledger
from connector.models import Bundle, Store
from connector.policy import Policy
from connector.ports import (
    AlertHistory,
    Clock,
    Closes,
    EventSource,
    HistoryFactory,
    MemberPlugin,
    SiemPlugin,
    SiemWriter,
    Soar,
    SoarFactory,
    SoarPlugin,
    SourceFactory,
    WriterFactory,
)
from connector.resources import shipped
from connector.retries import retrying
from connector.settings import Section, Settings
from connector.telemetry import Signal, emit

GROUPS: Mapping[str, type[Any]] = {
    "triaged.siem": SiemPlugin,
    "triaged.soar": SoarPlugin,
    "triaged.member": MemberPlugin,
}


START_UP_S = 60.0
"""How long the daemon waits for a database server that starts at the same time."""


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


def no_steps(_: str) -> None:
    """Production tells nobody about its steps; their durations are metrics."""


@cache
def plugins(group: str) -> Mapping[str, Any]:
    """The registered plug-ins of a group by name. Raises ``ConfigError`` for one that is not what the group holds."""
    return {point.name: _loaded(point, GROUPS[group]) for point in entry_points(group=group)}


def _loaded(point: EntryPoint, wanted: type[Any]) -> Any:
    try:
        plugin = point.load()
    except ImportError as error:
        raise ConfigError(f"plug-in {point.name!r} ({point.value}) cannot be imported: {error}") from error
    if not isinstance(plugin, wanted):
        raise ConfigError(f"plug-in {point.name!r} ({point.value}) is not a {wanted.__name__}")
    return plugin


def kinds() -> Mapping[str, Iterable[type[Section]]]:
    """The adapters' settings models, by the table of the settings file that they belong to."""
    siems: Iterable[SiemPlugin] = plugins("triaged.siem").values()
    return {
        "sources": [p.source.Config for p in siems if p.source],
        "targets": [p.writer.Config for p in siems if p.writer],
        "histories": [p.history.Config for p in siems if p.history],
        "soars": [p.soar.Config for p in plugins("triaged.soar").values()],
    }


def load_settings(path: Path | None, secrets_dir: Path | None = None) -> Settings:
    """The settings, narrowed to the installed plug-ins."""
    return tree.load(path, kinds(), secrets_dir=secrets_dir)


class App:
    """Everything that runs, built once from settings; ``close`` ends it. A reload builds a new one."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now, steps: pipeline.Steps = no_steps) -> None:
        self.settings = settings
        self.clock = clock
        self.stopping = Flag()
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self.store = Store(settings.model.store or shipped("model_store"))
        self.bundle = open_bundle(settings)
        self.policy = load_policy(settings)
        self.sources = {n: source(n, c, clock) for n, c in settings.sources.items()}
        self.writers = {n: writer(n, c, clock) for n, c in settings.targets.items()}
        self.soars = {n: soar(n, c, clock) for n, c in settings.soars.items()}
        self.histories = {n: history(n, c, clock) for n, c in settings.histories.items()}
        for name, platform in self.soars.items():
            if platform.uniqueness == "search" and platform.index_delay > settings.ledger.lease.total_seconds():
                raise ConfigError(
                    f"ledger.lease must be at least {platform.index_delay:g} s: {name} needs that long to make a run "
                    "findable, and a run that cannot be found yet would be started twice"
                )
        self.ledger: Ledger = retrying(START_UP_S)(open_ledger, ledger_url(settings), clock)
        self.origin_key = origin_key(settings)
        self.routes = pipeline.Routes(
            self.ledger,
            writers=self.writers,
            targets=settings.targets,
            soars=settings.soars,
            sources=settings.sources,
            clock=clock,
        )
        self.ingests = {name: self._ingest(name, steps) for name in self.sources}
        self.delivers = {name: self._deliver(name, steps) for name in self.writers}
        self.acts = {name: self._act(name, steps) for name in self.soars}
        self.history_jobs = {
            name: pipeline.History(name, h, settings.histories[name], ledger=self.ledger, stopping=self.stopping.is_set)
            for name, h in self.histories.items()
        }

    def _ingest(self, name: str, steps: pipeline.Steps) -> pipeline.Ingest:
        return pipeline.Ingest(
            name,
            self.sources[name],
            self.settings.sources[name],
            ledger=self.ledger,
            bundle=lambda: self.bundle,
            policy=lambda: self.policy,
            routes=self.routes,
            origin_key=self.origin_key,
            owner=self.owner,
            lease_ttl=self.settings.ledger.lease,
            retention=self.settings.retention,
            clock=self.clock,
            stopping=self.stopping,
            steps=steps,
        )

    def _deliver(self, name: str, steps: pipeline.Steps) -> pipeline.Deliver:
        return pipeline.Deliver(
            name,
            self.writers[name],
            self.settings.targets[name],
            ledger=self.ledger,
            owner=self.owner,
            lease_ttl=self.settings.ledger.lease,
            clock=self.clock,
            stopping=self.stopping.is_set,
            steps=steps,
        )

    def _act(self, name: str, steps: pipeline.Steps) -> pipeline.Act:
        return pipeline.Act(
            name,
            self.soars[name],
            self.settings.soars[name],
            ledger=self.ledger,
            policy=lambda: self.policy,
            bundle_ready=lambda: self.bundle is not None,
            routes=self.routes,
            origin_key=self.origin_key,
            owner=self.owner,
            lease_ttl=self.settings.ledger.lease,
            clock=self.clock,
            stopping=self.stopping.is_set,
            steps=steps,
        )

    def swap_bundle(self) -> bool:
        """Opens what the store has in production now, if it is another bundle; the loops use it from their next batch.

        A bundle that does not verify is refused and the present one stays.
        """
        if self.settings.model.bundle is not None or self.store.production() == self.bundle.ref:
            return False
        try:
            fresh = open_bundle(self.settings)
        except ConfigError as error:
            emit(Signal.BUNDLE_REFUSED, reason=str(error))
            return False
        self.bundle = fresh
        emit(Signal.BUNDLE_SWAPPED, bundle=fresh.ref)
        return True

    def close(self) -> None:
        """Closes every adapter that holds something open, the bundle and the ledger."""
        for adapter in (*self.sources.values(), *self.writers.values(), *self.soars.values(), *self.histories.values()):
            if isinstance(adapter, Closes):
                adapter.close()
        self.bundle.close()
        self.ledger.close()


def open_bundle(settings: Settings) -> Bundle:
    """The configured bundle, or what the store has in production; its files are verified first."""
    store = Store(settings.model.store or shipped("model_store"))
    return store.open(
        settings.model.bundle,
        threads=settings.model.threads or os.cpu_count() or 1,
        cache_entries=settings.model.cache_entries,
        kinds=plugins("triaged.member"),
    )


def load_policy(settings: Settings) -> Policy:
    """The configured policy, or the shipped one."""
    folder = settings.policy.playbooks or shipped("playbooks")
    return Policy.load(settings.policy.path or shipped("playbooks") / "policy.toml", folder)


def source(name: str, config: Any, clock: Clock) -> EventSource:
    """The event source that a ``[sources.NAME]`` table describes."""
    factory: SourceFactory = plugins("triaged.siem")[config.type].source
    return factory(name, config, clock)


def writer(name: str, config: Any, clock: Clock) -> SiemWriter:
    """The writer that a ``[targets.NAME]`` table describes."""
    factory: WriterFactory = plugins("triaged.siem")[config.type].writer
    return factory(name, config, clock)


def history(name: str, config: Any, clock: Clock) -> AlertHistory:
    """The alert history that a ``[histories.NAME]`` table describes."""
    factory: HistoryFactory = plugins("triaged.siem")[config.type].history
    return factory(name, config, clock)


def soar(name: str, config: Any, clock: Clock) -> Soar:
    """The SOAR that a ``[soars.NAME]`` table describes."""
    factory: SoarFactory = plugins("triaged.soar")[config.type].soar
    return factory(name, config, clock)


@contextmanager
def opened_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger alone, for commands that need nothing else."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    ledger = retrying()(open_ledger, ledger_url(settings), utc_now)
    try:
        yield ledger
    finally:
        ledger.close()


def ledger_url(settings: Settings) -> str:
    """The configured URL, or SQLite in the data directory."""
    if settings.ledger.url is not None:
        return settings.ledger.url.get_secret_value()
    return f"sqlite:///{settings.data_dir / 'ledger.sqlite'}"


def origin_key(settings: Settings) -> bytes:
    """The key that marks our records: configured, or made once and kept readable by its owner alone."""
    if settings.origin_key is not None:
        return settings.origin_key.get_secret_value().encode()
    path = settings.data_dir / "origin.key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        file.write(secrets.token_hex(32).encode())
        file.flush()
        os.fsync(file.fileno())
    return path.read_bytes()
