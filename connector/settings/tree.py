"""All tables together, and what must hold between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, SecretStr, create_model, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from connector.review_settings import ReviewSettings
from connector.settings.adapters import HistorySettings, SoarSettings, SourceSettings, TargetSettings
from connector.settings.api import ApiSettings, InletSettings
from connector.settings.base import Section
from connector.settings.sections import (
    EnrichmentSettings,
    ExportSettings,
    LedgerSettings,
    LogSettings,
    MetricsSettings,
    ModelSettings,
    PolicySettings,
    RetentionSettings,
    SiteSettings,
    TaxiiSettings,
)

_ANSWERS: Final = "review"
"""The alert history of our own, as the ledger calls it."""


class Settings(BaseSettings):
    """The whole tree. :func:`load` narrows the adapter tables to the installed plug-ins."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="TRIAGED_", env_nested_delimiter="__", validate_default=True
    )

    data_dir: Path = Path("triaged-data")
    origin_key: SecretStr | None = Field(
        None, description="key of the MAC that marks our own records; absent: made once and kept in data_dir"
    )
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    model: ModelSettings = ModelSettings()
    site: SiteSettings = SiteSettings()
    policy: PolicySettings = PolicySettings()
    enrichment: EnrichmentSettings = EnrichmentSettings()
    export: ExportSettings = ExportSettings()
    review: ReviewSettings = ReviewSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    api: ApiSettings = ApiSettings()
    taxii: TaxiiSettings = TaxiiSettings()
    sources: dict[str, SourceSettings] = {}
    targets: dict[str, TargetSettings] = {}
    soars: dict[str, SoarSettings] = {}
    histories: dict[str, HistorySettings] = {}

    @model_validator(mode="after")
    def _names_exist(self) -> Settings:
        entries: dict[str, SourceSettings | InletSettings] = {f"sources.{n}": s for n, s in self.sources.items()}
        entries |= {f"api.inlets.{name}": inlet for name, inlet in self.api.inlets.items()}
        for name, entry in entries.items():
            for target in entry.targets or ():
                if target not in self.targets:
                    known = ", ".join(self.targets) or "none"
                    raise ValueError(f"{name}.targets names {target!r}; targets are: {known}")
        if twice := sorted(self.sources.keys() & self.api.inlets.keys()):
            raise ValueError(f"{', '.join(twice)} names a source and an inlet: dead letters could not tell them apart")
        if _ANSWERS in self.histories:
            raise ValueError(
                f"histories.{_ANSWERS}: under this name lie answers to our own questions; take another one"
            )
        return self

    @model_validator(mode="after")
    def _keys_outlive_lookback(self) -> Settings:
        longest = max((s.lookback for s in self.sources.values()), default=timedelta(0))
        if self.retention.tombstones < self.retention.verdicts or self.retention.verdicts < 2 * longest:
            raise ValueError(
                "retention: tombstones must be kept at least as long as verdicts, and verdicts at least twice the "
                f"longest lookback ({longest}), or an event could get a second verdict"
            )
        return self


Kinds = Mapping[str, Iterable[type[Section]]]
"""Adapter ``Config`` models by table: ``sources``, ``targets``, ``soars``, ``histories``."""


def settings_model(kinds: Kinds) -> type[Settings]:
    """The settings class whose adapter tables accept exactly the given ``Config`` models, told apart by ``type``."""
    tables: dict[str, Any] = {}
    for table, configs in kinds.items():
        union = tuple(configs)
        if union:
            one_of = reduce(or_, union)
            value = Annotated[one_of, Field(discriminator="type")] if len(union) > 1 else one_of
            tables[table] = (dict[str, value], {})  # type: ignore[valid-type]
    return create_model("Settings", __base__=Settings, **tables)
