"""What scores: the bundle in production, and the layer that a site has learnt."""

from __future__ import annotations

from pathlib import Path

from connector.errors import ConfigError
from connector.learn.site import Demands
from connector.learn.site_job import SiteJob, firing
from connector.models import Bundle, Store
from connector.models.site import bundle_digest
from connector.models.site_store import SiteStore
from connector.ports import Clock
from connector.resources import shipped
from connector.settings import Settings
from connector.wiring import registered


def open_bundle(
    settings: Settings, ref: str | None = None, *, threads: int | None = None, explains: bool = True
) -> Bundle:
    """The bundle named or configured, or what the store has in production; its files are verified first.

    Without ``threads``, those of the settings; 0 there is as many as this process may use CPUs.
    """
    store = Store(settings.model.store or shipped("model_store"))
    return store.open(
        ref or settings.model.bundle,
        threads=threads or settings.model.threads,
        cache_entries=settings.model.cache_entries,
        kinds=registered.plugins("triaged.member"),
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
