"""One typed tree of settings: a TOML file, the environment (``TRIAGED_…``), and a secrets directory.

Later sources win: defaults < TOML file < secrets directory < environment. Nested keys are joined by ``__`` in the
environment and in the names of secret files (``TRIAGED_LEDGER__URL``, a file ``ledger__url``). Unknown keys are refused.
Adapters bring their own ``Config`` models, derived from the bases here; :func:`load` receives them and builds the tree.
"""

from __future__ import annotations

from connector.settings.adapters import HistorySettings, SoarSettings, SourceSettings, TargetSettings
from connector.settings.api import CLEARTEXT, HASHED, SHORTEST_TOKEN, ApiSettings, InletSettings, Scope, TokenSettings
from connector.settings.base import Every, Kept, Lease, Section, Stretch
from connector.settings.problems import FILE_SECTION, explain, known_keys
from connector.settings.reading import json_schema, load, nested_secrets
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
from connector.settings.tree import Kinds, Settings, settings_model

__all__ = [
    "CLEARTEXT",
    "FILE_SECTION",
    "HASHED",
    "SHORTEST_TOKEN",
    "ApiSettings",
    "EnrichmentSettings",
    "Every",
    "ExportSettings",
    "HistorySettings",
    "InletSettings",
    "Kept",
    "Kinds",
    "Lease",
    "LedgerSettings",
    "LogSettings",
    "MetricsSettings",
    "ModelSettings",
    "PolicySettings",
    "RetentionSettings",
    "Scope",
    "Section",
    "Settings",
    "SiteSettings",
    "SoarSettings",
    "SourceSettings",
    "Stretch",
    "TargetSettings",
    "TaxiiSettings",
    "TokenSettings",
    "explain",
    "json_schema",
    "known_keys",
    "load",
    "nested_secrets",
    "settings_model",
]
