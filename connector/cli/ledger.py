"""``triaged status|gaps|replay|cursor|backfill``: what the ledger knows, and how to mend it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from connector import pipeline, wiring
from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.pipeline import microseconds, spans
from connector.wiring import App

cursor = typer.Typer(help="Where each reader stands.", no_args_is_help=True)
FOUND = 1


def status(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """Show what the ledger holds and what waits."""
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        counts = ledger.status()
    rows: list[tuple[object, ...]] = [("verdicts", name, count) for name, count in counts.verdicts.items()]
    rows += [("waiting", name, count) for name, count in counts.pending.items()]
    rows += [("dead letters", name, count) for name, count in counts.dead_letters.items()]
    rows += [("open runs", "", counts.open_runs), ("snapshots", "", counts.snapshots)]
    rows += [("tombstones", "", counts.tombstones)]
    rows += [("switch", switch.name, "on" if switch.on else "off") for switch in counts.switches]
    rows += [("held", lease.name, f"by {lease.owner} until {lease.expires_at:%H:%M:%S}") for lease in counts.leases]
    show(("what", "of", "count"), rows)


def gaps(
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
    verify: Annotated[bool, typer.Option("--verify", help="Ask each server for its own count as well.")] = False,
) -> None:
    """List spans that are not proven to be read, or that lost something. Exits 1 when there are any."""
    app = App(options.settings(config, secrets_dir))
    found = 0
    try:
        for name, source in app.sources.items():
            lookback = microseconds(app.settings.sources[name].lookback)
            due = [spans.proof_due(head, lookback) for head in source.heads()]
            for gap in app.ledger.gaps(name, source.query_digest, lookback, due):
                found += 1
                typer.echo(f"{name} {when(gap.partition, gap.start)} .. {when(gap.partition, gap.stop)}: {gap.reason}")
            for doubt in pipeline.verify(name, source, app.ledger, lookback) if verify else ():
                found += doubt.kind == "gap"
                where = (
                    f"{when(doubt.span.partition, doubt.span.start)} .. {when(doubt.span.partition, doubt.span.stop)}"
                )
                typer.echo(
                    f"{name} {where}: {doubt.kind}: server {doubt.server}, ledger {doubt.ledger} (by {doubt.by})"
                )
    finally:
        app.close()
    if found:
        raise typer.Exit(FOUND)
    typer.echo("no gaps")


def when(partition: str, offset: int) -> str:
    """A position for people: a time, or a byte of a file."""
    if partition:
        return f"{partition}@{offset}"
    return datetime.fromtimestamp(offset / 1e6, UTC).isoformat(timespec="milliseconds")


def replay(
    ids: Annotated[list[int] | None, typer.Argument(help="dead letters; none: list them")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Replay every unresolved dead letter.")] = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """List dead letters, or replay them: events are pushed through the loop again, records are queued again."""
    app = App(options.settings(config, secrets_dir))
    try:
        letters = {letter.id: letter for letter in app.ledger.dead_letters()}
        if unknown := set(ids or ()) - letters.keys():
            raise ConfigError(f"no unresolved dead letter has the id {', '.join(map(str, sorted(unknown)))}")
        if ids or everything:
            done = pipeline.replay(ids or list(letters), app.ledger, app.ingests)
            typer.echo(f"replayed {done}")
            return
        show(
            ("id", "kind", "source or target", "where", "reason", "at"),
            [(d.id, d.kind, d.source, d.place, d.reason, d.at) for d in letters.values()],
        )
    finally:
        app.close()


@cursor.command("show")
def show_readers(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """Show every reader."""
    settings = options.settings(config, secrets_dir)
    with wiring.opened_ledger(settings) as ledger:
        readers = [reader for name in settings.sources for reader in ledger.readers(name)]
    show(
        ("source", "partition", "reader", "done up to", "reading up to", "attempts"),
        [
            (
                reader.source,
                reader.partition,
                reader.purpose,
                when(reader.partition, reader.offset),
                "" if reader.span_stop is None else when(reader.partition, reader.span_stop),
                reader.attempts,
            )
            for reader in readers
        ],
    )


@cursor.command("reset")
def reset(
    source: str,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Forget where a source's readers stand: it starts anew as configured. Events keep their verdicts."""
    settings = options.settings(config, secrets_dir)
    _known(source, settings.sources)
    with wiring.opened_ledger(settings) as ledger:
        ledger.delete_readers(source)
    typer.echo(f"{source}: readers forgotten")


def backfill(
    source: str,
    begin: Annotated[datetime, typer.Option("--from", help="First ingest time, UTC.")],
    end: Annotated[datetime, typer.Option("--to", help="Ingest time at which to stop, UTC.")],
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Read a past stretch of a source. Where a daemon holds the source, it does the reading."""
    settings = options.settings(config, secrets_dir)
    _known(source, settings.sources)
    start, stop = (round(t.replace(tzinfo=t.tzinfo or UTC).timestamp() * 1e6) for t in (begin, end))
    if start >= stop:
        raise ConfigError("--from must lie before --to")
    app = App(settings)
    try:
        adapter = app.sources[source]
        if any(head.partition for head in adapter.heads()):
            raise ConfigError(
                f"{source} reads files, which have no time: `triaged cursor reset {source}` reads them again"
            )
        (head,) = adapter.heads()
        forward = spans.first_readers(source, adapter.query_digest, head, 0, from_start=False)[0]
        lookback = microseconds(settings.sources[source].lookback)
        app.ledger.put_reader(spans.backfill(forward, start, min(stop, head.offset), head, lookback))
        outcome = app.ingests[source].poll()
    finally:
        app.close()
    typer.echo(msgspec.json.encode(outcome).decode())


def _known(source: str, sources: object) -> None:
    names = list(sources) if isinstance(sources, dict) else []
    if source not in names:
        raise ConfigError(f"no source {source!r}; sources are: {', '.join(names) or 'none'}")
