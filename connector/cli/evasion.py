"""``triaged evasion``: what a bundle still finds of commands that are written otherwise."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from connector.cli.tables import show
from connector.models import Store
from connector.resources import shipped

if TYPE_CHECKING:
    from connector.learn.evasion import measure


class Output(StrEnum):
    """How to print the report."""

    TABLE = "table"
    JSON = "json"


class Split(StrEnum):
    """Which left-out groups give events."""

    DEV = "dev"
    CALIBRATION = "calibration"


class Level(StrEnum):
    """Which of the bundle's thresholds flags an event."""

    SUSPICIOUS = "suspicious"
    MALICIOUS = "malicious"
    TRIGGER = "trigger"


def evasion(
    *,
    corpora: Annotated[Path, typer.Option(help="Folder of corpora archives or unpacked trees.")],
    store: Annotated[Path | None, typer.Option(help="Model store. Default: the shipped one.")] = None,
    bundle: Annotated[str | None, typer.Option(help="NAME/VERSION. Default: the one in production.")] = None,
    level: Annotated[Level, typer.Option(help="The threshold that flags an event.")] = Level.MALICIOUS,
    alarms: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Instead of a level: the threshold that this share of the clean harmless reach."
        ),
    ] = None,
    split: Annotated[
        Split | None, typer.Option(help="Groups of this split alone, as for choosing a recipe. Default: all left out.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Events that each source gives at most.")] = 200,
    seed: Annotated[int, typer.Option(help="Another seed draws other mutations.")] = 0,
    output: Annotated[Output, typer.Option(help="Tables, or one JSON document.")] = Output.TABLE,
) -> None:
    """Measure recall and false alarms under mutations of command lines, on events of groups that training left out."""
    from connector.learn.corpora.source import Corpora  # noqa: PLC0415
    from connector.learn.evasion import measure  # noqa: PLC0415

    opened = Store(store or shipped("model_store")).open(bundle)
    try:
        seed_of_split, part = opened.manifest.dataset.seed, None if split is None else split.value
        cases = measure.left_out(Corpora(corpora), seed=seed_of_split, limit=limit, split=part)
        report = measure.measure(opened, cases, level=level.value, seed=seed, alarms=alarms)
    finally:
        opened.close()
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        _print(report)


def _print(report: measure.Report) -> None:
    typer.echo(f"{report.bundle}, level {report.level} (p_malicious >= {report.threshold:.3g}), seed {report.seed}")
    typer.echo(f"as they are: recall {_share(report.recall)}, false alarms {_share(report.alarms)}")
    show(
        ("source", "events", "flagged"),
        [(name, tally.events, tally.before) for name, tally in report.clean.items()],
    )
    columns = (
        *("family", "mutation", "training", "attacks", "read otherwise", "found before", "after", "kept"),
        *("ordinary", "alarms before", "after"),
    )
    show(columns, [_row(row) for row in report.families])
    show(columns, [_row(row) for row in report.mutations])


def _row(row: measure.Row) -> tuple[object, ...]:
    attacks, ordinary = row.attacks, row.ordinary
    return (
        *(row.family, row.mutation or "all", "left out" if row.left_out else "may use"),
        *(attacks.events, attacks.changed, attacks.before, attacks.after, _share(row.kept)),
        *(ordinary.events, ordinary.before, ordinary.after),
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
