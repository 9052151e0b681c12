"""``triaged policy check|switch``."""

from __future__ import annotations

import getpass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connector import wiring
from connector.cli import options
from connector.policy import Policy
from connector.resources import shipped

app = typer.Typer(help="Check the policy, and throw its switches.", no_args_is_help=True)


class Position(StrEnum):
    """A switch's two positions."""

    ON = "on"
    OFF = "off"


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="A policy file; default: the configured one.")] = None,
    config: options.Config = None,
) -> None:
    """Check a policy: unknown keys, techniques and playbooks are errors."""
    settings = options.settings(config)
    policy = (
        Policy.load(path, settings.policy.playbooks or shipped("playbooks")) if path else wiring.load_policy(settings)
    )
    for rule in policy.rules:
        typer.echo(f"{rule.name}: {rule.mode} {rule.playbook or '-'}")


@app.command()
def switch(
    name: Annotated[str, typer.Argument(help="kill: no playbook starts while it is on, also what is queued")],
    position: Position,
    config: options.Config = None,
) -> None:
    """Throw a switch. It holds at once for every replica, and is on record."""
    with wiring.opened_ledger(options.settings(config)) as ledger:
        ledger.set_switch(name, position is Position.ON, getpass.getuser())
    typer.echo(f"{name}: {position}")
