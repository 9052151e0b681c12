"""Everything that runs, put together from settings."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Lock
from typing import TypeVar

from connector import api, pipeline
from connector.errors import ConfigError
from connector.learn import review
from connector.learn.export import Machines
from connector.learn.shadow import beside
from connector.ledger import Ledger, open_ledger
from connector.models import Bundle, Store
from connector.pipeline.flag import Flag
from connector.ports import Clock, Closes, EventSource
from connector.resources import shipped
from connector.retries import retrying
from connector.settings import Settings, SourceSettings
from connector.telemetry import Signal, emit
from connector.types import Event, Prediction
from connector.wiring.adapters import check_lease, history, soar, source, writer
from connector.wiring.bundles import open_bundle, site_job
from connector.wiring.keys import origin_key
from connector.wiring.ledgers import exporter, ledger_url, prepared
from connector.wiring.policies import check_policy, load_enrichment, load_policy
from connector.wiring.production import no_steps, utc_now

Adapter = TypeVar("Adapter")
START_UP_S = 60.0
"""How long a start waits for a database server that starts at the same time."""


class App:
    """Everything that runs, built once from settings; ``close`` ends it. A reload builds a new one."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock = utc_now,
        steps: pipeline.Steps = no_steps,
        patience: float = START_UP_S,
    ) -> None:
        """``patience``: how many seconds the ledger is tried for."""
        self.settings = settings
        self.clock = clock
        self.stopping = Flag()
        self._swapping = Lock()
        """Held while the bundle is replaced: two jobs do that, and each puts its own half on what it finds."""
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._open = ExitStack()
        try:
            self._build(steps, patience)
        except BaseException:
            self._open.close()
            raise

    def _build(self, steps: pipeline.Steps, patience: float) -> None:
        settings, clock = self.settings, self.clock
        api.check_installed(settings.api)
        prepared(settings.data_dir)
        self.store = Store(settings.model.store or shipped("model_store"))
        self.policy = load_policy(settings)
        check_policy(self.policy, settings)
        self.enrichment = load_enrichment(settings)
        self.origin_key = origin_key(settings)
        self.site = site_job(settings, clock)
        self.bundle = self._settled(open_bundle(settings))
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
        self.ledger: Ledger = retrying(patience, _tell_of_wait)(open_ledger, ledger_url(settings), clock)
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
            fresh = self._settled(open_bundle(self.settings))
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

    def _settled(self, bundle: Bundle) -> Bundle:
        if not self.settings.model.threads:
            bundle.settle()
        return bundle

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


def _tell_of_wait(error: BaseException) -> None:
    emit(Signal.LEDGER_AWAITED, reason=str(error))
