"""``triaged actions|approve|reject``: what waits to act, and a person's word on it."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from connector import wiring
from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.pipeline import approvals

Key = Annotated[str, typer.Argument(help="the action's key, as `triaged actions` shows it")]
Reason = Annotated[str, typer.Option(help="Why; it is on record.")]


def actions(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """List the playbook runs that wait, oldest first, with the reason."""
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        waiting = ledger.waiting()
        joined = ledger.joined([action.key for action, _ in waiting])
    show(
        ("key", "rule", "playbook", "tier", "mode", "host", "event", "events", "why it waits"),
        [
            (
                *(a.key, a.rule, a.playbook, a.tier, a.mode, a.entity.host or "", a.verdict.source.id),
                joined.get(a.key, 1),
                reason,
            )
            for a, reason in waiting
        ],
    )


def approve(
    key: Key,
    reason: Reason = "",
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="For how long the approval holds; absent: as its rule says.")
    ] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Let a waiting playbook run start. The policy still has its say: caps, silences, protected assets."""
    _decide(key, reason, config, secrets_dir, approved=True, holds=None if hours is None else timedelta(hours=hours))


def reject(key: Key, reason: Reason = "", config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """Refuse a waiting playbook run for good."""
    _decide(key, reason, config, secrets_dir, approved=False, holds=None)


def _decide(
    key: str,
    reason: str,
    config: options.Config,
    secrets_dir: options.Secrets,
    *,
    approved: bool,
    holds: timedelta | None,
) -> None:
    settings = options.settings(config, secrets_dir)
    state: Literal["approved", "rejected"] = "approved" if approved else "rejected"
    policy, now = wiring.load_policy(settings), datetime.now(UTC)
    with wiring.opened_ledger(settings) as ledger:
        ruling = approvals.rule(
            ledger, key, state, getpass.getuser(), reason=reason, policy=policy, now=now, holds=holds
        )
    if ruling is None:
        raise ConfigError(f"no action with the key {key} waits; `triaged actions` lists those that do")
    held = ruling.approval
    until = f" until {held.expires_at.isoformat(timespec='minutes')}" if held.expires_at else ""
    standing = f"{held.state} by {held.who}{until}"
    if not ruling.changed:
        raise ConfigError(f"{key}: nothing changed, an earlier decision stands: {standing}")
    typer.echo(f"{key}: {standing}")
