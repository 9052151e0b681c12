"""``triaged elastic install|status|uninstall``: pipelines, templates and policies on a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated

import typer

from connector.cli import options
from connector.errors import ConfigError
from connector.settings import Settings
from connector.siem.elastic import attach, installer
from connector.siem.elastic.assets import Asset, LookupMode, assets
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.server import ClusterServer
from connector.siem.elastic.writer import ElasticWriterConfig

app = typer.Typer(help="Install what Triaged needs on a cluster, and see how it stands.", no_args_is_help=True)

Name = Annotated[
    str | None,
    typer.Option(
        "--on", help="The configured target (or source) whose cluster is meant; needed where there are several."
    ),
]
Off = Annotated[
    bool, typer.Option("--off", help="The kill switch: the pipelines stand, and leave every event as it came.")
]


@app.command()
def install(  # noqa: PLR0917 (typer's options)
    on: Name = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Attach at the end of this dataset's pipeline, as <dataset>@custom.")
    ] = None,
    index: Annotated[list[str] | None, typer.Option(help="Attach as the final pipeline of this index.")] = None,
    off: Off = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")] = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Install what is missing or differs. Twice is as good as once."""
    with _opened(options.settings(config, secrets_dir), on, enabled=not off) as (server, wanted):
        changes = installer.plan(server, wanted)
        if dry_run:
            _show(changes)
            return
        for change in installer.install(server, changes):
            typer.echo(f"installed {change.asset.kind} {change.asset.name}")
        for change in changes:
            if change.state == "unavailable":
                typer.echo(f"left out  {change.asset.kind} {change.asset.name}: this server does not have the feature")
        for name in dataset or ():
            _told(attach.attach_dataset(server, name), f"{name}@custom")
        for name in index or ():
            _told(attach.attach_index(server, name), name)


@app.command()
def status(
    on: Name = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Show how each part stands, and where the pipeline is attached. Exit status 1 where something is missing or differs."""
    with _opened(options.settings(config, secrets_dir), on) as (server, wanted):
        changes = installer.plan(server, wanted)
        for line in installer.states(changes):
            typer.echo(line)
        for place in attach.attached(server):
            typer.echo(f"attached     {place.kind} {place.name}")
    if any(change.state in {"missing", "differs"} for change in changes):
        raise typer.Exit(1)


@app.command()
def uninstall(
    on: Name = None,
    data: Annotated[bool, typer.Option("--data", help="Remove the look-up index too. Verdicts always stay.")] = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Detach the pipeline and remove what was installed. Records stay where they are."""
    with _opened(options.settings(config, secrets_dir), on) as (server, wanted):
        for place in list(attach.attached(server)):
            attach.detach(server, place)
            typer.echo(f"detached  {place.kind} {place.name}")
        for asset in installer.uninstall(server, installer.plan(server, wanted), data=data):
            typer.echo(f"removed   {asset.kind} {asset.name}")


@contextmanager
def _opened(
    settings: Settings, name: str | None, *, enabled: bool = True
) -> Iterator[tuple[ClusterServer, tuple[Asset, ...]]]:
    """The connection of a configured target or source, and what belongs on its cluster."""
    connection = _chosen(settings, name)
    mode: LookupMode = "table"
    prefix = "triaged"
    if isinstance(connection, ElasticWriterConfig):
        prefix = connection.index_prefix
        mode = "enrich" if connection.lookup.mode == "enrich" else "table"
    cluster = Cluster(connection)
    try:
        wanted = assets(connection.flavour, mode, prefix=prefix, enabled=enabled)
        yield ClusterServer(cluster, "installing"), wanted
    finally:
        cluster.close()


def _chosen(settings: Settings, name: str | None) -> Connection:
    targets, sources = _elastic(settings.targets), _elastic(settings.sources)
    found = targets or sources
    if name is not None:
        everything = {**sources, **targets}
        if name not in everything:
            known = ", ".join(everything) or "none"
            raise ConfigError(f"no target or source {name!r} is of type elastic; there are: {known}")
        return everything[name]
    if len(found) != 1:
        raise ConfigError(
            f"--on must name one of the targets and sources of type elastic: {', '.join(found) or 'none'}"
        )
    return next(iter(found.values()))


def _elastic(rows: Mapping[str, object]) -> dict[str, Connection]:
    return {name: row for name, row in rows.items() if isinstance(row, Connection)}


def _show(changes: list[installer.Change]) -> None:
    for line in installer.states(changes):
        typer.echo(line)
    for change in changes:
        if change.state in {"missing", "differs"}:
            typer.echo(change.diff())


def _told(new: bool, where: str) -> None:
    typer.echo(f"{'attached  ' if new else 'attached already: '}{where}")
