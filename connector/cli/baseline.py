"""``triaged baseline learn|status|promote|rollback``: what is ordinary on this site."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from connector import events, wiring
from connector.cli import options
from connector.cli.progress import progress
from connector.cli.tables import show
from connector.errors import ConfigError, PermanentError
from connector.learn.site import Demands, learn as learn_layer
from connector.learn.site_baseline import Baseline
from connector.learn.site_job import firing, told
from connector.models.site import SiteManifest
from connector.models.site_store import SiteStore
from connector.ports import EventSource
from connector.settings import Settings
from connector.siem.files import open_paths
from connector.types import Cursor, Event, RawEvent, Span

app = typer.Typer(help="What is ordinary on this site: learn it, look at it, put it in use.", no_args_is_help=True)

BATCH = 1000

Folder = Annotated[Path | None, typer.Argument(help="Folder of the site's layers; default: the setting site.folder.")]


@app.command()
def learn(  # noqa: PLR0917 (typer reads the options from the signature)
    what: Annotated[list[str], typer.Argument(help="Files and folders of events, or the names of sources.")],
    output: Annotated[Path, typer.Option(help="Folder of the site's layers.")],
    days: Annotated[int, typer.Option(min=1, help="How far back a source is read.")] = 7,
    alarms_a_day: Annotated[
        float | None, typer.Option(min=0.01, help="Alarms (malicious by the text member) a day that are wanted.")
    ] = None,
    per_10000: Annotated[float | None, typer.Option(min=0.001, help="The same, per 10,000 events.")] = None,
    min_events: Annotated[int, typer.Option(min=1, help="Events below which the baseline does not stand.")] = 10_000,
    min_days: Annotated[int, typer.Option(min=1, help="Days below which the baseline does not stand.")] = 1,
    rules: Annotated[Path | None, typer.Option(help="Folder of Sigma rules: what they fire on is left out.")] = None,
    promote: Annotated[bool, typer.Option(help="Put it in use where it stands.")] = True,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Learn a layer from files or sources, without a label. Puts it in use where it stands; exits 1 where it does not."""
    if alarms_a_day is not None and per_10000 is not None:
        raise ConfigError("give --alarms-a-day or --per-10000, not both")
    settings = options.settings(config, secrets_dir)
    bundle = wiring.open_bundle(settings)
    baseline = Baseline(fires=firing(rules))
    with progress("events") as advance:
        for batch in _batches(_raws(what, settings, days)):
            baseline.take(batch)
            advance(len(batch))
    found = baseline.frozen()
    budget = per_10000
    if alarms_a_day is not None:
        budget = 1e4 * alarms_a_day * max(len(found.days), 1) / max(found.events, 1)
    store = SiteStore(output)
    manifest = learn_layer(
        found,
        bundle,
        store,
        now=wiring.utc_now(),
        budget=budget,
        demands=Demands(events=min_events, days=min_days),
    )
    if manifest.stands and promote and not store.held:
        store.promote(manifest.version)
    _tell(store, manifest)
    if not manifest.stands:
        raise typer.Exit(1)


@app.command()
def status(folder: Folder = None, config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """What the layers know, how stable they are, and which one is in use. Exits 1 where none is."""
    store = _store(folder, config, secrets_dir)
    used = store.in_use()
    versions = store.list()
    show(
        ("", "layer", "bundle", "events", "distinct", "ordinary", "hosts", "days", "new", "created", "state"),
        [
            (
                "*" if used is not None and used.layer == manifest.version else "",
                manifest.version,
                manifest.bundle,
                manifest.learnt.events,
                manifest.learnt.distinct,
                manifest.learnt.ordinary,
                manifest.learnt.hosts,
                f"{manifest.learnt.days} ({manifest.learnt.first} to {manifest.learnt.last})",
                f"{manifest.learnt.novelty:.1%}",
                manifest.created,
                told(manifest),
            )
            for manifest in map(store.manifest, versions)
        ],
    )
    if used is not None and used.layer is not None:
        _tell(store, store.manifest(used.layer))
        return
    typer.echo("no layer is in use: the site is in shadow")
    raise typer.Exit(1)


@app.command()
def promote(
    folder: Path,
    layer: Annotated[str, typer.Argument(help="The layer, as `status` lists it.")],
) -> None:
    """Put a layer in use, whether or not its baseline stands."""
    SiteStore(folder).promote(layer)
    typer.echo(f"layer {layer} is in use")


@app.command()
def rollback(folder: Path) -> None:
    """Put the layer before the present one in use; without one, the site is in shadow. It stays so until `promote`."""
    before = SiteStore(folder).roll_back()
    typer.echo("no layer is in use: the site is in shadow" if before is None else f"layer {before} is in use")


def _tell(store: SiteStore, manifest: SiteManifest) -> None:
    learnt, guards = manifest.learnt, manifest.guards
    used = store.in_use()
    waits = "not in use: a layer was rolled back, `triaged baseline promote` ends that" if store.held else "not in use"
    place = "in use" if used is not None and used.layer == manifest.version else waits
    typer.echo(f"layer {manifest.version} of bundle {manifest.bundle}: {told(manifest)}; {place}")
    typer.echo(
        f"learnt from {learnt.events} events, {learnt.distinct} distinct, of {learnt.hosts} hosts and {learnt.days} days; "
        f"{learnt.ordinary} are ordinary; {learnt.novelty:.1%} of the last events were new"
    )
    typer.echo(
        f"left out: {guards.rules} on which a rule fires, {guards.tail} highest-scoring, "
        f"{guards.lone} that one host or one day alone showed"
    )
    if not manifest.head:
        typer.echo("without a head: the bundle has no attack reference, or too little is ordinary")
    show(
        ("level", "alarms per 10,000 before", "wanted", "after"),
        [
            (name, f"{level.before:.2f}", f"{level.per_10000:.2f}", f"{level.after:.2f}")
            for name, level in sorted(manifest.levels.items(), key=lambda item: item[1].here)
        ],
    )


def _store(folder: Path | None, config: Path | None, secrets_dir: Path | None) -> SiteStore:
    chosen = folder or options.settings(config, secrets_dir).site.folder
    if chosen is None:
        raise ConfigError("name the folder of the site's layers, or set `site.folder`")
    store = SiteStore(chosen)
    if not store.list():
        raise ConfigError(f"no site layer in {chosen}: `triaged baseline learn` makes one")
    return store


def _raws(what: Sequence[str], settings: Settings, days: int) -> Iterator[RawEvent]:
    """The events of files and of sources, in the order given."""
    for name in what:
        if name not in settings.sources:
            yield from open_paths([name])
            continue
        config = settings.sources[name]
        with wiring.opened_sources(settings.model_copy(update={"sources": {name: config}})) as opened:
            yield from _read(opened[name], timedelta(days=days))


def _read(source: EventSource, back: timedelta) -> Iterator[RawEvent]:
    """What a source holds of the last days; of files, which have no times, all."""
    for head in source.heads():
        start = 0 if head.partition else max(0, head.offset - back // timedelta(microseconds=1))
        span = Span(partition=head.partition, start=start, stop=head.offset)
        cursor: Cursor | None = None
        while True:
            batch = source.read(span, cursor, BATCH)
            yield from batch.items
            if batch.done:
                break
            cursor = batch.cursor


def _batches(raws: Iterator[RawEvent]) -> Iterator[list[Event]]:
    """The events that can be read; what cannot is no baseline."""
    while chunk := list(islice(raws, BATCH)):
        yield [event for event in map(_normalised, chunk) if event is not None]


def _normalised(raw: RawEvent) -> Event | None:
    try:
        return events.normalise(raw)
    except PermanentError:
        return None
