"""``triaged export``: closed alerts as labelled rows, without anybody's name in them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from connector import wiring
from connector.cli import options
from connector.errors import ConfigError, TransientError
from connector.learn.export import Done, Pseudonyms

FAILED = 1


def export(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            help="Write the labels as they were known at this time (UTC), into --to.", formats=["%Y-%m-%dT%H:%M:%S"]
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The folder for --as-of.")] = None,
    reveal: Annotated[str | None, typer.Option(help="Print the name behind a pseudonym, and do nothing else.")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Read every alert history, and export what analysts decided since the last time. Exits 1 where one does not answer."""
    settings = options.settings(config, secrets_dir)
    if settings.export.key is None:
        raise ConfigError(
            "`export.key` is not set: `openssl rand -hex 32` makes one; keep it as a secret, `export__key`"
        )
    if (as_of is None) != (to is None):
        raise ConfigError("--as-of and --to belong together")
    if reveal is not None:
        typer.echo(Pseudonyms(settings.export.key.get_secret_value().encode()).reveal(reveal)[1])
        return
    with wiring.opened_ledger(settings) as ledger:
        job = wiring.exporter(settings, ledger, wiring.utc_now)
        assert job is not None  # noqa: S101 - there is a key
        silent: list[str] = []
        if as_of is None or to is None:
            with wiring.opened_histories(settings, ledger) as histories:
                for name, history in histories.items():
                    try:
                        history.poll()
                    except TransientError as error:
                        silent.append(f"{name} did not answer, and is exported up to its last poll: {error}")
            done = job.run()
        else:
            done = job.as_of(as_of.replace(tzinfo=UTC), to)
    _tell(done)
    for line in silent:
        typer.echo(line, err=True)
    if silent:
        raise typer.Exit(FAILED)


def _tell(done: Done) -> None:
    labels = done.labels
    if not done.changed:
        typer.echo("nothing new")
    else:
        typer.echo(f"{done.facts} new changes of alerts, {done.events} new events")
    standing = ", ".join(f"{count} {name}" for name, count in labels.standing.items()) or "none"
    typer.echo(
        f"{labels.rows} rows, digest {labels.digest[:16]}; labels that stand: {standing}; conflicts: {labels.conflicts}"
    )
    for reason, count in labels.left_out.items():
        typer.echo(f"left out: {count} {reason}")
    if labels.unmapped:
        typer.echo(f"{labels.unmapped} dispositions are in no map (`export.dispositions`)")
