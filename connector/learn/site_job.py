"""The daemon's part of the site layer: gather what passes, learn from it, and put in use what stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from connector.errors import ConfigError
from connector.learn.site import Demands, learn
from connector.learn.site_baseline import CAPACITY, Baseline, Fires
from connector.models import Bundle
from connector.models.rules import load
from connector.models.site import SiteLayer, SiteManifest, bundle_digest
from connector.models.site_store import SiteStore
from connector.ports import Clock
from connector.telemetry import Signal, emit
from connector.types import Event

MOST_VERSIONS = 8
"""Layers that nobody uses are not learnt without end: the oldest ones give way."""


class SiteJob:
    """Gathers from every source, and learns when it is asked to. Until a layer is in use, the site is in shadow."""

    def __init__(
        self,
        folder: Path,
        *,
        demands: Demands,
        budget: float | None,
        clock: Clock,
        fires: Fires | None = None,
        capacity: int = CAPACITY,
    ) -> None:
        self.store = SiteStore(folder)
        self._demands = demands
        self._budget = budget
        self._clock = clock
        self._mark: tuple[int, int] | None = None
        self._baseline = Baseline.opened(folder, capacity=capacity, fires=fires)

    def stands(self, bundle: Bundle) -> bool:
        """Whether the bundle runs with a layer that is in use: without one, nothing contains by itself."""
        return bundle.site is not None and not bundle.site.shadow

    def take(self, events: Sequence[Event]) -> None:
        """Counts events in that were read for the first time."""
        self._baseline.take(events)

    def dressed(self, bundle: Bundle) -> Bundle:
        """The bundle with the layer in use, or the newest one in shadow; without one where the layer is of another bundle.

        What was gathered is of no bundle, so the next run learns anew. Nor is a damaged layer used, which is reported:
        verdicts go on, and nothing contains by itself.
        """
        self._mark = self.store.mark()
        try:
            return bundle.on_site(self._layer(bundle))
        except (ConfigError, OSError) as error:
            emit(Signal.SITE_REFUSED, reason=str(error))
            return bundle.on_site(None)

    def _layer(self, bundle: Bundle) -> SiteLayer | None:
        digest = bundle_digest(bundle.manifest)
        used = self.store.in_use()
        if used is not None and used.layer is not None and self.store.manifest(used.layer).bundle_digest != digest:
            return None
        return self.store.open(bundle.ref, digest)

    def save(self) -> None:
        """Writes what was gathered. Raises ``OSError``."""
        self._baseline.save(self.store.path)

    def go_on_from(self, other: SiteJob) -> None:
        """Takes over what a job that ended gathered for the same folder since this one read it."""
        if self.store.path == other.store.path:
            self._baseline.adopt(other._baseline)

    def stale(self) -> bool:
        """Whether somebody promoted or rolled back a layer since a bundle was dressed."""
        return self.store.mark() != self._mark

    def run(self, bundle: Bundle) -> bool:
        """Saves what was gathered and learns from it; True where a layer was learnt.

        It is put in use where it stands, unless a layer was rolled back: then a person promotes the next one.
        """
        self.save()
        found = self._baseline.frozen()
        if found.events < self._demands.events or len(found.days) < self._demands.days:
            return False
        manifest = learn(found, bundle, self.store, now=self._clock(), budget=self._budget, demands=self._demands)
        if manifest.stands and not self.store.held:
            self.store.promote(manifest.version)
        self.store.keep(MOST_VERSIONS)
        emit(Signal.SITE_LEARNT, version=manifest.version, stands=manifest.stands, reasons=list(manifest.reasons))
        return True


def firing(folder: Path | None) -> Fires | None:
    """Whether a Sigma rule of a folder fires on an event; None without rules. Raises ``ConfigError``, as rules do."""
    if folder is None:
        return None
    rules = load(folder)
    match: Callable[[Sequence[Event]], Sequence[Sequence[object]]] = rules.match
    return lambda events: [bool(found) for found in match(events)]


def told(manifest: SiteManifest) -> str:
    """One sentence on a layer."""
    return "stands" if manifest.stands else "does not stand: " + "; ".join(manifest.reasons)
