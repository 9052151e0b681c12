"""The tables of what is there once: the ledger, the model, the policy, and what is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from connector.settings.base import Every, Kept, Lease, Section, Stretch
from connector.types import Cause, Disposition


class LedgerSettings(Section):
    """Where the one state lives."""

    url: SecretStr | None = Field(
        None, description="SQLAlchemy URL; absent: SQLite in data_dir. postgresql+psycopg://… when replicas share work"
    )
    lease: Lease = Field(timedelta(seconds=60), description="how long a claim holds without being renewed")


class RetentionSettings(Section):
    """How long the ledger keeps what. Tombstones outlive verdicts, so that ids keep deduplicating."""

    every: Every = timedelta(hours=1)
    verdicts: Kept = timedelta(days=90)
    snapshots: Kept = timedelta(days=90)
    tombstones: Kept = timedelta(days=180)
    dead_letters: Kept = timedelta(days=90)
    snapshot_share: float = Field(0.01, ge=0, le=1, description="share of benign events that are kept as snapshots")


class ExportSettings(Section):
    """What closed alerts become. Nothing is exported without a key."""

    key: SecretStr | None = Field(
        None, description="of the pseudonyms, at least 16 bytes; never written anywhere; absent: no export"
    )
    every: Every = timedelta(hours=1)
    folder: Path | None = Field(None, description="where exports lie; absent: `export` in data_dir")
    parquet: bool = Field(False, description="write the labels as Parquet too (extra `train`)")
    service_accounts: tuple[str, ...] = Field((), description="further patterns of users that are no person")
    unnamed_are_people: bool = Field(False, description="whether closures that name nobody label something")
    bulk_closures: int = Field(50, ge=1, description="closures of one user within `bulk_within`; more label nothing")
    bulk_within: Stretch = timedelta(minutes=1)
    dispositions: dict[str, Disposition] = Field({}, description="further words for dispositions, or tags")
    causes: dict[str, Cause] = Field({}, description="further tags for causes of false positives")
    comments: dict[str, Cause] = Field({}, description="patterns of comments that tell such a cause")


class ModelSettings(Section):
    """Which bundle scores, and with how much."""

    store: Path | None = Field(None, description="the model store; absent: the one that is shipped")
    bundle: str | None = Field(None, description="name/version; absent: what the store has in production")
    shadow: str | None = Field(None, description="name/version of a challenger that scores beside, and changes nothing")
    threads: int = Field(0, ge=0, description="threads a member; 0: found at start")
    cache_entries: int = Field(200_000, ge=0, description="scores kept by fingerprint")
    rules: tuple[Path, ...] = Field(
        (), description="folders of your own Sigma rules, for a bundle with a `rules` member; read again as they change"
    )


class SiteSettings(Section):
    """The site layer: what is ordinary here, learnt from what passes."""

    folder: Path | None = Field(None, description="where layers lie; absent: no layer is learnt or applied")
    every: Every = Field(timedelta(hours=6), description="how often to learn")
    events: int = Field(50_000, ge=1, description="events below which the baseline does not stand")
    days: int = Field(7, ge=1, description="days below which the baseline does not stand")
    per_10000: float | None = Field(
        None,
        gt=0,
        description="alarms (malicious by the text member) wanted per 10,000 events; absent: no more than it states",
    )
    rules: Path | None = Field(
        None, description="a folder of Sigma rules (extra `rules`): what they fire on is left out"
    )


class PolicySettings(Section):
    """Which policy decides."""

    path: Path | None = Field(None, description="a policy TOML; absent: the one that is shipped")
    playbooks: Path | None = Field(None, description="a folder of CACAO playbooks; absent: the shipped ones")


class EnrichmentSettings(Section):
    """What the site knows of its own: read at the start, and again on SIGHUP."""

    assets: tuple[Path, ...] = Field((), description="CSV or TOML files: tags of hosts, agents, addresses and users")
    lists: tuple[Path, ...] = Field((), description="CSV or TOML files: entries of allow and block lists")


class LogSettings(Section):
    """How to log."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class MetricsSettings(Section):
    """Where Prometheus may scrape; 0 switches it off."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)


class TaxiiSettings(Section):
    """Credentials for TAXII servers that `triaged learn intel` reads from."""

    user: str | None = None
    password: SecretStr | None = None
