"""``triaged run``."""

from __future__ import annotations

from typing import Annotated

import typer

from connector import daemon
from connector.cli import options
from connector.wiring import App


def run(
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Read all there is, deliver it, follow the runs, and exit: for cron.")
    ] = False,
) -> None:
    """Run the daemon. SIGTERM drains and exits 0; SIGHUP reloads."""
    if not drain:
        daemon.Daemon(lambda: App(options.settings(config, secrets_dir))).run()
        return
    app = App(options.settings(config, secrets_dir))
    try:
        daemon.drain(app)
    finally:
        app.close()
