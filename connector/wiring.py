"""The only place where things are put together: settings in, a wired application out."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from threading import Event as Flag, Lock
from typing import Any, TypeVar

from connector import api, pipeline, settings as tree
from connector.errors import ConfigError
from connector.learn import review
from connector.learn.export import Export, LabelMap, Machines
from connector.learn.shadow import beside
from connector.learn.site import Demands
from connector.learn.site_job import SiteJob, firing
from connector.ledger import Ledger, open_ledger
from connector.models import Bundle, Store
from connector.models.site import bundle_digest
from connector.models.site_store import SiteStore
from connector.policy import Enrichment, Policy
from connector.policy.assets import read_assets
from connector.policy.check import Site
from connector.policy.matching import META
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
from connector.settings import Section, Settings, SoarSettings, SourceSettings
from connector.telemetry import Signal, emit
from connector.types import Event, Prediction

Adapter = TypeVar("Adapter")

GROUPS: Mapping[str, type[Any]] = {
    "triaged.siem": SiemPlugin,
    "triaged.soar": SoarPlugin,
    "triaged.member": MemberPlugin,
}


START_UP_S = 60.0
"""How long the daemon waits for a database server that starts at the same time."""

SHORTEST_KEY = 16
"""Bytes; a shorter origin key could be guessed, and an empty one is no key."""


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
        self._swapping = Lock()
        """Held while the bundle is replaced: two jobs do that, and each puts its own half on what it finds."""
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._open = ExitStack()
        try:
            self._build(steps)
        except BaseException:
            self._open.close()
            raise

    def _build(self, steps: pipeline.Steps) -> None:
        settings, clock = self.settings, self.clock
        api.check_installed(settings.api)
        prepared(settings.data_dir)
        self.store = Store(settings.model.store or shipped("model_store"))
        self.policy = load_policy(settings)
        check_policy(self.policy, settings)
        self.enrichment = load_enrichment(settings)
        self.origin_key = origin_key(settings)
        self.site = site_job(settings, clock)
        self.bundle = open_bundle(settings)
        self._open.callback(lambda: self.bundle.close())  # noqa: PLW0108 (the bundle of then, not of now)
        self.bundle = self._here(self.bundle)
        self.sources = {
            n: self._kept(source(n, c.kept_in(settings.data_dir, n), clock)) for n, c in settings.sources.items()
        }
        self.writers = {n: self._kept(writer(n, c, clock)) for n, c in settings.targets.items()}
        self.soars = {n: self._kept(soar(n, c, clock)) for n, c in settings.soars.items()}
        self.histories = {n: self._kept(history(n, c, clock)) for n, c in settings.histories.items()}
        for name, platform in self.soars.items():
            check_lease(name, platform, settings.soars[name], settings.ledger.lease)
        self.ledger: Ledger = retrying(START_UP_S)(open_ledger, ledger_url(settings), clock)
        self._open.callback(self.ledger.close)
        self.routes = pipeline.Routes(
            self.ledger,
            writers=self.writers,
            targets=settings.targets,
            soars=settings.soars,
            sources={**settings.sources, **self._inlet_settings},
        )
        self.ingests = {
            name: self._ingest(name, self.sources[name], settings.sources[name], steps) for name in self.sources
        }
        self.pushes = {
            name: self._ingest(name, api.PushSource(inlet.deployment), inlet, steps)
            for name, inlet in self._inlet_settings.items()
        }
        self.delivers = {name: self._deliver(name, steps) for name in self.writers}
        self.acts = {name: self._act(name, steps) for name in self.soars}
        self.history_jobs = {
            name: pipeline.History(name, h, settings.histories[name], ledger=self.ledger, stopping=self.stopping.is_set)
            for name, h in self.histories.items()
        }
        self.export = exporter(settings, self.ledger, clock)
        opened = partial(open_bundle, settings, threads=1, explains=False)
        self.shadow = beside(settings.model.shadow, opened, self.ledger, clock, self.stopping.is_set)
        if self.shadow is not None:
            self._open.callback(self.shadow.close)
        self.review = review.built(
            settings,
            self.ledger,
            self.routes,
            lambda: self.bundle,
            origin_key=self.origin_key,
            clock=clock,
            steps=steps,
        )

    def _kept(self, adapter: Adapter) -> Adapter:
        """The adapter, closed with the application where it holds something open."""
        if isinstance(adapter, Closes):
            self._open.callback(adapter.close)
        return adapter

    @property
    def _inlet_settings(self) -> Mapping[str, SourceSettings]:
        return {name: api.inlet_source_settings(inlet) for name, inlet in self.settings.api.inlets.items()}

    def _ingest(
        self, name: str, adapter: EventSource, config: SourceSettings, steps: pipeline.Steps
    ) -> pipeline.Ingest:
        return pipeline.Ingest(
            name,
            adapter,
            config,
            ledger=self.ledger,
            bundle=lambda: self.bundle,
            policy=lambda: self.policy,
            routes=self.routes,
            enrichment=self.enrichment,
            origin_key=self.origin_key,
            owner=self.owner,
            lease_ttl=self.settings.ledger.lease,
            retention=self.settings.retention,
            clock=self.clock,
            stopping=self.stopping,
            steps=steps,
            seen=self._seen,
        )

    def _seen(self, events: Sequence[Event], predictions: Sequence[Prediction], bundle: Bundle) -> None:
        """Those who learn from what passed, and who compare with it."""
        if self.site is not None:
            self.site.take(events)
        if self.shadow is not None:
            self.shadow.take(events, predictions, bundle)

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
            bundle_ready=lambda: self.site is None or self.site.stands(self.bundle),
            routes=self.routes,
            enrichment=self.enrichment,
            origin_key=self.origin_key,
            owner=self.owner,
            lease_ttl=self.settings.ledger.lease,
            clock=self.clock,
            stopping=self.stopping.is_set,
            steps=steps,
        )

    @property
    def ways_in(self) -> Mapping[str, pipeline.Ingest]:
        """Every way in by name, those that are polled and those that are pushed into."""
        return {**self.ingests, **self.pushes}

    def desk(self) -> api.Desk:
        """What the API answers from."""
        return api.Desk(
            settings=self.settings.api,
            ledger=self.ledger,
            bundle=lambda: self.bundle,
            policy=lambda: self.policy,
            enrichment=self.enrichment,
            inlets={name: api.Inlet(name, ingest, self.routes) for name, ingest in self.pushes.items()},
            clock=self.clock,
            machines=Machines.of(self.settings.export),
        )

    def swap_bundle(self) -> bool:
        """Opens what the store has in production now, if it is another bundle; the loops use it from their next batch.

        A bundle that does not verify is refused and the present one stays. So does a site layer that was promoted or
        rolled back meanwhile take effect here.
        """
        if self.site is not None and self.site.stale():
            self._dress()
        if self.settings.model.bundle is not None or self.store.production() == self.bundle.ref:
            return False
        try:
            fresh = open_bundle(self.settings)
        except ConfigError as error:
            emit(Signal.BUNDLE_REFUSED, reason=str(error))
            return False
        try:
            with self._swapping:
                self.bundle = self._here(fresh)
        except BaseException:
            fresh.close()
            raise
        emit(Signal.BUNDLE_SWAPPED, bundle=fresh.ref)
        return True

    def learn_site(self) -> None:
        """Learns the site layer from what has passed, where that is enough; the loops use it from their next batch."""
        if self.site is not None and self.site.run(self.bundle):
            self._dress()

    def _dress(self) -> None:
        with self._swapping:
            self.bundle = self._here(self.bundle)

    def _here(self, bundle: Bundle) -> Bundle:
        return bundle if self.site is None else self.site.dressed(bundle)

    def close(self) -> None:
        """Saves what the site layer gathered, and closes every adapter that holds something open, bundle and ledger."""
        if self.site is not None:
            try:
                self.site.save()
            except OSError as error:
                emit(Signal.JOB_FAILED, "site", error=error)
        self._open.close()

    def go_on_from(self, other: App) -> None:
        """Takes over what only the memory of an application that ended holds."""
        if self.site is not None and other.site is not None:
            self.site.go_on_from(other.site)


def open_bundle(
    settings: Settings, ref: str | None = None, *, threads: int | None = None, explains: bool = True
) -> Bundle:
    """The bundle named or configured, or what the store has in production; its files are verified first."""
    store = Store(settings.model.store or shipped("model_store"))
    return store.open(
        ref or settings.model.bundle,
        threads=threads or settings.model.threads or os.cpu_count() or 1,
        cache_entries=settings.model.cache_entries,
        kinds=plugins("triaged.member"),
        explains=explains,
        options={"rules": {"folders": [str(folder) for folder in settings.model.rules]}}
        if settings.model.rules
        else {},
    )


def site_job(settings: Settings, clock: Clock) -> SiteJob | None:
    """What learns the site layer; None where no folder is set. Raises ``ConfigError`` for damaged files."""
    site = settings.site
    if site.folder is None:
        return None
    return SiteJob(
        site.folder,
        demands=Demands(events=site.events, days=site.days),
        budget=site.per_10000,
        clock=clock,
        fires=firing(site.rules),
    )


def open_site(bundle: Bundle, folder: Path) -> Bundle:
    """The bundle with the layer that a folder has in use. Raises ``ConfigError`` where it has none for this bundle."""
    layer = SiteStore(folder).open(bundle.ref, bundle_digest(bundle.manifest))
    if layer is None:
        raise ConfigError(f"no site layer of bundle {bundle.ref} in {folder}: `triaged baseline learn` makes one")
    return bundle.on_site(layer)


def load_policy(settings: Settings) -> Policy:
    """The configured policy, or the shipped one."""
    folder = settings.policy.playbooks or shipped("playbooks")
    return Policy.load(settings.policy.path or shipped("playbooks") / "policy.toml", folder)


def load_enrichment(settings: Settings) -> Enrichment:
    """The tables of assets and the lists that the settings name."""
    return Enrichment.load(settings.enrichment.assets, settings.enrichment.lists)


def site(settings: Settings) -> Site:
    """What the settings, the bundle in production and the tables of assets say that a policy may name.

    Without any source, target and SOAR in the settings these are not known; nor is a bundle where none is in production.
    """
    named = settings.sources or settings.targets or settings.soars or settings.api.inlets
    deployments = {source.deployment for source in settings.sources.values()}
    deployments |= {inlet.deployment for inlet in settings.api.inlets.values()}
    store = Store(settings.model.store or shipped("model_store"))
    bundle = settings.model.bundle or store.production()
    manifest = None if bundle is None else store.manifest(bundle)
    labels = manifest.labels if manifest else ()
    return Site(
        soars=frozenset(settings.soars) if named else None,
        sources=frozenset(deployments) if named else None,
        labels=frozenset((*labels, *(label.partition(".")[0] for label in labels))) if manifest else None,
        members=sum(member.name != META for member in manifest.members) if manifest else None,
        thresholds=manifest.thresholds if manifest else None,
        assets=tuple(read_assets(settings.enrichment.assets)) if settings.enrichment.assets else None,
    )


def check_policy(policy: Policy, settings: Settings) -> None:
    """What a policy needs of the settings: its SOARs with its playbooks, and a memory as long as its longest rule.

    Raises ``ConfigError``.
    """
    if missing := sorted(policy.soars - settings.soars.keys()):
        raise ConfigError(
            f"policy {policy.name!r} runs playbooks on {', '.join(missing)}; configured SOARs are: "
            f"{', '.join(settings.soars) or 'none'}. Name it in the settings (`[soars.{missing[0]}]`, with "
            '`type = "dryrun"` to only record runs), or give `policy.path` a policy whose rules all have '
            '`mode = "suggest"`'
        )
    for rule in policy.rules:
        known = getattr(settings.soars.get(rule.soar), "playbooks", None)
        if rule.mode != "suggest" and isinstance(known, Mapping) and rule.playbook not in known:
            raise ConfigError(
                f"rule {rule.name!r} of policy {policy.name!r} runs {rule.playbook!r} on {rule.soar!r}, whose `playbooks` "
                f"have no such one; they have: {', '.join(sorted(known)) or 'none'}"
            )
        if rule.mode != "suggest" and rule.memory > settings.retention.tombstones:
            raise ConfigError(
                f"retention.tombstones ({settings.retention.tombstones}) must be at least as long as what rule "
                f"{rule.name!r} of policy {policy.name!r} counts over ({rule.memory}), or it would forget a run too early"
            )


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


def exporter(settings: Settings, ledger: Ledger, clock: Clock) -> Export | None:
    """The export of closed alerts; None without a key. Raises ``ConfigError`` for a key that could be guessed."""
    export = settings.export
    if export.key is None:
        return None
    return Export(
        ledger,
        export.folder or settings.data_dir / "export",
        key=_long_enough(export.key.get_secret_value().encode(), "export.key"),
        clock=clock,
        labels=LabelMap.of(export),
        machines=Machines.of(export),
        queries={
            name: hashlib.sha256(f"{name}\0{config.model_dump_json()}".encode()).hexdigest()[:16]
            for name, config in settings.histories.items()
        },
        parquet=export.parquet,
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
def opened_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger alone, for commands that need nothing else."""
    prepared(settings.data_dir)
    ledger = retrying()(open_ledger, ledger_url(settings), utc_now)
    try:
        yield ledger
    finally:
        ledger.close()


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


def prepared(folder: Path) -> None:
    """Makes the data directory. Raises ``ConfigError`` where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir {folder} cannot be made: {error.strerror}") from error


def ledger_url(settings: Settings) -> str:
    """The configured URL, or SQLite in the data directory."""
    if settings.ledger.url is not None:
        return settings.ledger.url.get_secret_value()
    return f"sqlite:///{settings.data_dir / 'ledger.sqlite'}"


def origin_key(settings: Settings) -> bytes:
    """The key that marks our records: configured, or made once and kept readable by its owner alone.

    Raises ``ConfigError`` for a key that is too short, an empty file among them.
    """
    if settings.origin_key is not None:
        return _long_enough(settings.origin_key.get_secret_value().encode(), "origin_key")
    path = settings.data_dir / "origin.key"
    try:
        if not path.exists():
            _make_key(path)
        return _long_enough(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"origin key {path} cannot be kept: {error.strerror}") from error


def _make_key(path: Path) -> None:
    """A key file appears whole or not at all, and the first of several processes wins."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)


def _long_enough(key: bytes, where: str) -> bytes:
    if len(key.strip()) < SHORTEST_KEY:
        raise ConfigError(
            f"{where} must hold at least {SHORTEST_KEY} bytes, not {len(key.strip())}: `openssl rand -hex 32` makes a key"
        )
    return key
