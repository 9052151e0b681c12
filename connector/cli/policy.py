"""``triaged policy check|explain|simulate|switch``."""

from __future__ import annotations

import getpass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from connector import wiring
from connector.cli import explain, options, simulate
from connector.errors import ConfigError
from connector.policy import Policy, is_switch
from connector.policy.check import findings
from connector.resources import shipped

app = typer.Typer(help="Check the policy, ask what it does and would do, and throw its switches.", no_args_is_help=True)
app.command()(explain.explain)
app.command()(simulate.simulate)


FOUND = 1


class Position(StrEnum):
    """A switch's two positions."""

    ON = "on"
    OFF = "off"


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="A policy file; default: the configured one.")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Check a policy: what is unknown is an error; what can never happen, or names nothing here, exits 1.

    Where the settings name its SOARs, it says what would keep the daemon from starting with it, too.
    """
    settings = options.settings(config, secrets_dir)
    policy = (
        Policy.load(path, settings.policy.playbooks or shipped("playbooks")) if path else wiring.load_policy(settings)
    )
    for rule in policy.rules:
        typer.echo(f"{rule.name}: {rule.mode} {rule.playbook or '-'}")
    found = findings(policy, wiring.site(settings))
    for finding in found:
        typer.echo(finding, err=True)
    if policy.soars and policy.soars <= settings.soars.keys():  # those that are missing are findings
        wiring.check_policy(policy, settings)
    if found:
        raise typer.Exit(FOUND)


@app.command()
def switch(
    name: Annotated[
        str,
        typer.Argument(
            help="kill stops every playbook, also what is queued; rule:NAME, playbook:NAME and soar:NAME stop theirs"
        ),
    ],
    position: Position,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Throw a switch. It holds at once for every replica, and is on record."""
    if not is_switch(name):
        raise ConfigError(
            f"no switch is named {name!r}: a switch is kill, drift, rule:NAME, playbook:NAME or soar:NAME"
        )
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        ledger.set_switch(name, position is Position.ON, getpass.getuser())
    typer.echo(f"{name}: {position}")
