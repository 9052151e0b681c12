"""``triaged causes`` and ``triaged scorecard``: what closed alerts tell of the alerts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from connector.cli import options
from connector.cli.tables import show
from connector.learn.causes import UNEXPLAINED, causes as caused
from connector.learn.export import Folder, Row
from connector.learn.periods import By
from connector.learn.scorecard import TRIGGER, Tally, scorecard as scored
from connector.models import Store
from connector.resources import shipped
from connector.settings import Settings

Exported = Annotated[
    Path | None, typer.Option("--export", help="An export's folder; default: the one of the settings.")
]
Period = Annotated[By, typer.Option("--by", help="How long a period is.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print everything as one JSON document.")]

TALLY = ("closed", "malicious", "flagged", "right", "missed", "precision", "95%")


def causes(
    export: Exported = None,
    by: Period = By.WEEK,
    as_json: AsJson = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Why alerts were false, as analysts said: over time, by kind of event, and what comes back most."""
    found = caused(_rows(options.settings(config, secrets_dir), export), by)
    if as_json:
        _print(found)
        return
    typer.echo(f"{found.closures} closed events with a label, {found.harmless} of them harmless")
    names = [name for name in found.causes if name != UNEXPLAINED]
    names += [UNEXPLAINED] * (UNEXPLAINED in found.causes)
    for title, parts in (("period", found.periods), ("kind", found.kinds)):
        _titled(title, [*names, "all"], {name: _counts(counts, names) for name, counts in parts.items()})
    typer.echo("\nwhat comes back most")
    show(
        ("closures", "cause", "kind", "first", "last", "text"),
        [(one.closures, one.cause, one.kind, one.first, one.last, one.text) for one in found.recurring],
    )


def scorecard(
    export: Exported = None,
    by: Period = By.WEEK,
    as_json: AsJson = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Verdicts against what analysts decided: precision at each threshold, missed attacks, by technique and source."""
    settings = options.settings(config, secrets_dir)
    rows = _rows(settings, export)
    found = scored(rows, _triggers(settings, {row.model for row in rows}), by)
    if as_json:
        _print(found)
        return
    typer.echo(f"{found.closed} closed events with a label; no opinion on {found.abstained}")
    _titled("level", TALLY, {name: _told(one) for name, one in found.levels.items()})
    _titled("confidence from", TALLY, {f"{cut:.4g}": _told(one) for cut, one in found.curve})
    counts = {name: (one.named, one.told, one.both) for name, one in found.techniques.items()}
    _titled("technique", ("named by people", "told", "both"), counts)
    _titled("source", TALLY, {name: _told(one) for name, one in found.sources.items()})
    _titled("period", TALLY, {name: _told(one) for name, one in found.periods.items()})


def _rows(settings: Settings, export: Path | None) -> list[Row]:
    folder = export or settings.export.folder or settings.data_dir / "export"
    return Folder(folder).labels()


def _triggers(settings: Settings, models: set[str]) -> dict[str, float]:
    """The level ``trigger`` of the bundles that the store still has."""
    store = Store(settings.model.store or shipped("model_store"))
    found = {}
    for ref in models & set(store.list()):
        found[ref] = store.manifest(ref).thresholds.levels()[TRIGGER]
    return found


def _counts(counts: Mapping[str, int], names: Sequence[str]) -> list[int]:
    return [*(counts.get(name, 0) for name in names), sum(counts.values())]


def _told(one: Tally) -> tuple[object, ...]:
    """A tally's cells; a share of nothing is no number."""
    seen = one.precision
    cells = ("-", "-") if math.isnan(seen.value) else (f"{seen.value:.3f}", f"{seen.low:.3f} to {seen.high:.3f}")
    return (one.closed, one.malicious, one.flagged, one.right, one.missed, *cells)


def _titled(title: str, columns: Sequence[str], parts: Mapping[str, Sequence[object]]) -> None:
    typer.echo(f"\nby {title}")
    show((title, *columns), [(name, *cells) for name, cells in parts.items()])


def _print(found: msgspec.Struct) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
