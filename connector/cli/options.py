"""Options that several commands share, and how settings are found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector import telemetry, wiring
from connector.settings import Settings

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="TRIAGED_CONFIG", help="Settings file (TOML). Default: ./triaged.toml if it exists."
    ),
]
Secrets = Annotated[
    Path | None,
    typer.Option(
        "--secrets-dir", envvar="TRIAGED_SECRETS_DIR", help="Folder of secret files, named by setting (ledger__url)."
    ),
]


def settings(config: Path | None, secrets: Path | None = None) -> Settings:
    """Loads the settings and sets logging up by them."""
    if config is None and Path("triaged.toml").is_file():
        config = Path("triaged.toml")
    loaded = wiring.load_settings(config, secrets)
    telemetry.configure(loaded.log.format, loaded.log.level)
    return loaded
