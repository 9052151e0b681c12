"""``triaged run``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector import daemon
from connector.cli import options
from connector.cli.progress import batches
from connector.errors import ConfigError
from connector.settings import Settings
from connector.wiring import App


def run(
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Read all there is, deliver it, follow the runs, and exit: for cron.")
    ] = False,
) -> None:
    """Run the daemon. SIGTERM drains and exits 0; SIGHUP reloads. With --drain, exits 1 when a job failed."""
    if not drain:
        daemon.Daemon(
            lambda: App(_settings(config, secrets_dir)), lambda: App(_settings(config, secrets_dir), patience=0)
        ).run()
        return
    with batches("drain") as steps:
        app = App(_settings(config, secrets_dir), steps=steps)
        try:
            failed = daemon.drain(app)
        finally:
            app.close()
    if failed:
        typer.echo(f"failed, and told why in the log: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def _settings(config: Path | None, secrets_dir: Path | None) -> Settings:
    settings = options.settings(config, secrets_dir)
    if not settings.sources and not settings.api.on:
        raise ConfigError("no source is configured: name one in triaged.toml (docs/settings.md), or try `triaged demo`")
    return settings
