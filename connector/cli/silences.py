"""``triaged silence|silences``: no playbook for a while, for what a scope covers."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from connector import wiring
from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.ledger import Ledger
from connector.policy import Policy, is_silence
from connector.policy.model import Duration

_DURATION: TypeAdapter[timedelta] = TypeAdapter(Duration)
SCOPES = "*, rule:NAME, playbook:NAME, soar:NAME, or entity:KIND:NAME with agent, host, user, address or tag as KIND"


def silence(  # noqa: PLR0917 (typer's options)
    scope: Annotated[str | None, typer.Argument(help=f"What to silence: {SCOPES}.")] = None,
    lasting: Annotated[str, typer.Option("--for", help="For how long: 90s, 15m, 2h, 7d.")] = "1h",
    reason: Annotated[str, typer.Option(help="Why; it is on record.")] = "",
    end: Annotated[
        int | None, typer.Option(help="End the silence with this number, as `triaged silences` shows it.")
    ] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Silence playbooks for a while, or end a silence. What a silence refuses is refused for good, and on record."""
    if (scope is None) == (end is None):
        raise ConfigError(f"either a scope or --end is needed; a scope is {SCOPES}")
    settings = options.settings(config, secrets_dir)
    with wiring.opened_ledger(settings) as ledger:
        if end is not None:
            _end(ledger, end)
        elif scope is not None:
            if not reason.strip():
                raise ConfigError("--reason is needed: whoever finds the silence will ask")
            _known(scope, wiring.load_policy(settings))
            until = datetime.now(UTC) + _duration(lasting)
            made = ledger.add_silence(scope, until, getpass.getuser(), reason)
            typer.echo(f"{made.id}: {made.scope} is silenced until {made.until.isoformat(timespec='seconds')}")


def silences(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """List the silences that have not ended."""
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        found = ledger.silences()
    show(
        ("number", "scope", "until", "by", "reason"),
        [(s.id, s.scope, s.until.isoformat(timespec="seconds"), s.who, s.reason) for s in found],
    )


def _end(ledger: Ledger, number: int) -> None:
    if not ledger.end_silence(number, getpass.getuser()):
        raise ConfigError(f"no silence has the number {number}, or it is over; `triaged silences` lists them")
    typer.echo(f"{number}: ended")


def _known(scope: str, policy: Policy) -> None:
    """Refuses a scope that covers nothing, by its form or because the policy has no such name. Raises ``ConfigError``."""
    if not is_silence(scope):
        raise ConfigError(f"{scope!r} is no scope: a scope is {SCOPES}")
    kind, _, name = scope.partition(":")
    known = {
        "rule": {rule.name for rule in policy.rules},
        "playbook": {rule.playbook for rule in policy.rules},
        "soar": {rule.soar for rule in policy.rules},
    }.get(kind, {name})
    if name not in known:
        raise ConfigError(f"the policy has no {kind} {name!r}; it has: {', '.join(sorted(known)) or 'none'}")


def _duration(text: str) -> timedelta:
    try:
        return _DURATION.validate_python(text)
    except ValidationError as error:
        raise ConfigError(f"--for {text!r} is no time up to 366d: write 90s, 15m, 2h or 7d") from error
