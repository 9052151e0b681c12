"""The only place where things are put together: settings in, a wired application out."""

from __future__ import annotations

from connector.wiring.adapters import check_lease, history, opened_histories, opened_sources, soar, source, writer
from connector.wiring.app import App
from connector.wiring.bundles import open_bundle, open_site, site_job
from connector.wiring.keys import origin_key
from connector.wiring.ledgers import exporter, ledger_url, opened_ledger, prepared
from connector.wiring.policies import check_policy, load_enrichment, load_policy, site
from connector.wiring.production import no_steps, utc_now
from connector.wiring.registered import GROUPS, kinds, load_settings, plugins

__all__ = [
    "GROUPS",
    "App",
    "check_lease",
    "check_policy",
    "exporter",
    "history",
    "kinds",
    "ledger_url",
    "load_enrichment",
    "load_policy",
    "load_settings",
    "no_steps",
    "open_bundle",
    "open_site",
    "opened_histories",
    "opened_ledger",
    "opened_sources",
    "origin_key",
    "plugins",
    "prepared",
    "site",
    "site_job",
    "soar",
    "source",
    "utc_now",
    "writer",
]
