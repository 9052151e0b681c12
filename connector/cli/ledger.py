"""``triaged status|gaps|replay|cursor|backfill``: what the ledger knows, and how to mend it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer

from connector import pipeline, wiring
from connector.cli import options
from connector.cli.progress import batches, progress
from connector.cli.tables import show
from connector.errors import ConfigError, TriagedError
from connector.ledger import Gap, Reader
from connector.pipeline import microseconds, spans
from connector.settings import Settings
from connector.telemetry import Signal, emit
from connector.types import Position
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
    settings = options.settings(config, secrets_dir)
    found = 0
    with wiring.opened_sources(settings) as sources, wiring.opened_ledger(settings) as ledger:
        for name, source in sources.items():
            lookback = microseconds(settings.sources[name].lookback)
            heads = source.heads()
            due = [spans.proof_due(head, lookback) for head in heads]
            listed = ledger.gaps(name, source.query_digest, lookback, due)
            for gap in [*listed, *cut(ledger.readers(name, source.query_digest), heads)]:
                found += 1
                typer.echo(f"{name} {stretch(gap.partition, gap.start, gap.stop)}: {gap.reason}")
            for doubt in pipeline.verify(name, source, ledger, lookback) if verify else ():
                found += doubt.kind == "gap"
                where = stretch(doubt.span.partition, doubt.span.start, doubt.span.stop)
                typer.echo(
                    f"{name} {where}: {doubt.kind}: server {doubt.server}, ledger {doubt.ledger} (by {doubt.by})"
                )
    if found:
        raise typer.Exit(FOUND)
    typer.echo("no gaps")


def cut(readers: Sequence[Reader], heads: Sequence[Position]) -> Iterator[Gap]:
    """Files that are shorter than what was read of them: whatever stands there now was taken for read."""
    ends = {head.partition: head.offset for head in heads if head.partition}
    for reader in readers:
        end = ends.get(reader.partition)
        if reader.purpose == spans.FORWARD and end is not None and end < reader.offset:
            yield Gap(
                partition=reader.partition,
                start=0,
                stop=end,
                reason=f"was cut and written anew under the same first line, after {reader.offset} were read; "
                "`triaged cursor reset` reads it from its start, and gives no event a second verdict",
            )


def stretch(partition: str, start: int, stop: int) -> str:
    """A stretch for people."""
    return f"{when(partition, start)} .. {when(partition, stop)}"


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
    """List dead letters, or replay them: events are pushed through the loop again, records are queued again.

    Exits 1 when one could not be replayed; the others are.
    """
    settings = options.settings(config, secrets_dir)
    with wiring.opened_ledger(settings) as ledger:
        letters = {letter.id: letter for letter in ledger.dead_letters(payload=False)}
        if unknown := set(ids or ()) - letters.keys():
            raise ConfigError(f"no unresolved dead letter has the id {', '.join(map(str, sorted(unknown)))}")
        if not ids and not everything:
            show(
                ("id", "kind", "source or target", "where", "reason", "at"),
                [(d.id, d.kind, d.source, d.place, d.reason, d.at) for d in letters.values()],
            )
            return
        wanted = [letters[number] for number in dict.fromkeys(ids or letters)]
        done = pipeline.replay(
            [letter.id for letter in wanted if letter.kind == "delivery"], ledger, {}, getpass.getuser()
        )
    pushed, failed = _push(settings, [letter.id for letter in wanted if letter.kind == "event"])
    typer.echo(f"replayed {done + pushed}")
    if failed:
        raise typer.Exit(FOUND)


def _push(settings: Settings, ids: Sequence[int]) -> tuple[int, int]:
    """Pushes event letters one by one, so that one that fails stops no other; returns how many went and failed."""
    if not ids:
        return 0, 0
    app = App(settings)
    done = failed = 0
    try:
        with progress("dead letters") as advance:
            for number in ids:
                try:
                    done += pipeline.replay([number], app.ledger, app.ways_in, getpass.getuser())
                except TriagedError as error:
                    failed += 1
                    typer.echo(str(error), err=True)
                except Exception as error:  # noqa: BLE001 (a letter's outermost line: poison may raise anything)
                    failed += 1
                    emit(Signal.JOB_FAILED, "replay", error=error, letter=number)
                    typer.echo(f"dead letter {number}: {error}", err=True)
                advance(1)
    finally:
        app.close()
    return done, failed


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
    with batches("backfill") as steps:
        outcome, reason = _backfill(App(settings, steps=steps), source, start, stop)
    typer.echo(msgspec.json.encode(outcome).decode())
    if reason:
        typer.echo(f"not read to its end yet: {reason}", err=True)


def _backfill(app: App, source: str, start: int, stop: int) -> tuple[pipeline.Outcome, str | None]:
    """Reads the stretch, and says why it was not read to its end, if it was not."""
    try:
        adapter = app.sources[source]
        if any(head.partition for head in adapter.heads()):
            raise ConfigError(
                f"{source} reads files, which have no time: `triaged cursor reset {source}` reads them again"
            )
        (head,) = adapter.heads()
        if start >= head.offset:
            raise ConfigError(f"--from lies ahead of what can be read, which is up to {when('', head.offset)}")
        forward = spans.first_readers(source, adapter.query_digest, head, 0, from_start=False)[0]
        lookback = microseconds(app.settings.sources[source].lookback)
        reader = spans.backfill(forward, start, min(stop, head.offset), head, lookback)
        app.ledger.put_reader(reader)
        return app.ingests[source].poll(), _unread(app, reader)
    finally:
        app.close()


def _unread(app: App, reader: Reader) -> str | None:
    """Why a backfill was not read to its end just now, if it was not."""
    left = app.ledger.reader(reader.source, reader.digest, reader.partition, reader.purpose)
    if left is None or left.span_stop is None:
        return None
    if full := app.routes.pausing(reader.source):
        return f"target {full} is full; the daemon goes on once there is room"
    return f"another process holds {reader.source}, and reads it"


def _known(source: str, sources: object) -> None:
    names = list(sources) if isinstance(sources, dict) else []
    if source not in names:
        raise ConfigError(f"no source {source!r}; sources are: {', '.join(names) or 'none'}")
