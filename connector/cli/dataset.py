"""``triaged dataset build|report``: labelled rows from the public corpora, and what in them would leak."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.tables import show
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.learn.dataset import Dataset
    from connector.learn.leakage import Report

app = typer.Typer(help="Build the training set, and look for leaks in it.", no_args_is_help=True)

LEAKS = 1


@app.command()
def build(
    corpora: Annotated[Path, typer.Option(help="Folder of the corpora: archives, or trees OWNER/REPO.")],
    output: Annotated[Path, typer.Option(help="Folder that rows.parquet and dataset.json are written to.")],
    only: Annotated[
        str | None, typer.Option(help="Names of sources, comma-separated; default: all that may train.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 1,
    extra: Annotated[
        Path | None, typer.Option(help="A folder that `triaged learn intel` wrote: its samples beside the pinned.")
    ] = None,
) -> None:
    """Build the dataset: rows that went through normalise, canonical form and render, with labels and provenance."""
    _needs_extra()
    from connector.learn import dataset as datasets, dataset_file, held_out  # noqa: PLC0415 - the extra may be missing
    from connector.learn.corpora.recipes import RECIPES  # noqa: PLC0415
    from connector.learn.corpora.source import Corpora  # noqa: PLC0415
    from connector.learn.intel import findings  # noqa: PLC0415

    names = None if only is None else only.split(",")
    read, recipes = (Corpora(corpora), RECIPES) if extra is None else findings.added(Corpora(corpora), extra)
    if names is not None:
        names += recipes.keys() - RECIPES.keys()
    built = datasets.build(read, seed=seed, only=names, recipes=recipes, held_out=held_out.scenario())
    dataset_file.write(built, output)
    typer.echo(f"{output}: {len(built.rows)} rows, digest {built.facts.digest}")


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that `triaged dataset build` wrote.")],
) -> None:
    """Print what the dataset holds and what in it would leak. Exits 1 where something does."""
    _needs_extra()
    from connector.learn import dataset_file, leakage  # noqa: PLC0415 - the extra may be missing

    if not (folder / dataset_file.FACTS).is_file():
        raise ConfigError(f"{folder} holds no {dataset_file.FACTS}: build one with `triaged dataset build`")
    read = dataset_file.read(folder)
    _contents(read)
    found = leakage.report(read)
    _leaks(found)
    _entries(read)
    if found.problems:
        raise typer.Exit(LEAKS)


def _needs_extra() -> None:
    if missing := [name for name in ("pyarrow", "evtx", "yaml", "sigma", "ahocorasick") if find_spec(name) is None]:
        raise ConfigError(f"the dataset needs the extra `train` ({', '.join(missing)}): pip install 'triaged[train]'")


def _contents(read: Dataset) -> None:
    counted = Counter((row.source, row.basis, _label(row.malicious)) for row in read.rows)
    groups = Counter((source, basis) for source, basis, _ in {(row.source, row.basis, row.group) for row in read.rows})
    techniques = Counter((row.source, row.basis) for row in read.rows if row.techniques)
    show(
        ("source", "label basis", "malicious", "benign", "open", "with technique", "groups"),
        [
            (
                source,
                basis,
                *(counted[source, basis, label] for label in ("malicious", "benign", "open")),
                techniques[source, basis],
                count,
            )
            for (source, basis), count in sorted(groups.items())
        ],
    )
    splits = ", ".join(f"{count} {split}" for split, count in sorted(read.facts.rows.items()))
    typer.echo(f"\n{len(read.rows)} rows: {splits}; ATT&CK {read.facts.attack_version}; digest {read.facts.digest}")
    for reason, count in read.facts.dropped.items():
        typer.echo(f"left out, {reason}: {count}")


def _label(malicious: bool | None) -> str:
    return "open" if malicious is None else "malicious" if malicious else "benign"


def _leaks(found: Report) -> None:
    typer.echo("\nWhich fields are there, within a kind (AUC over left-out groups or rows, the higher; 0.6 at most):")
    show(
        ("kind", "malicious", "benign", "AUC"),
        [(probe.kind, probe.attacks, probe.benign, f"{probe.auc:.3f}") for probe in found.probes],
    )
    typer.echo(f"rows of kinds with too few of one class to be probed: {found.unprobed}")
    typer.echo(f"names of recorded hosts and users taken out of texts: {found.renamed}; left: {found.names}")
    typer.echo(
        f"technique ids in texts: {found.ids}; groups across splits: {len(found.groups)}; near copies: {found.copies}"
    )
    typer.echo("leaks: none" if not found.problems else "leaks:\n  " + "\n  ".join(found.problems))


def _entries(read: Dataset) -> None:
    """Which recordings have an entry by the committed rule, and why the others have none."""
    entries, reasons = read.facts.entries, read.facts.no_entry
    typer.echo(
        f"\nrecordings whose attack's process tree has an entry: {len(entries)} of {len(entries) + len(reasons)}"
    )
    show(("recording", "entry"), sorted(entries.items()))
    typer.echo("without one:")
    show(("recording", "reason"), sorted(reasons.items()))
