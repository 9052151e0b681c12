"""``triaged labels``: whether what analysts said can be learnt from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connector.cli import options
from connector.cli.train import OWN_OPTIONS, started
from connector.resources import shipped

app = typer.Typer(help="Check the labels of closed alerts.", no_args_is_help=True)


@app.command()
def check(
    output: Annotated[
        Path, typer.Option(help="Folder for the report and the list of labels that are not to be trained on.")
    ],
    export: Annotated[Path | None, typer.Option(help="An export's folder; default: the one of the settings.")] = None,
    bundle: Annotated[
        str | None, typer.Option(help="Whose features tell texts apart, name/version; default: the one in use.")
    ] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Find labels that are likely wrong, that contradict each other, and classes that are too small (extra `train`)."""
    settings = options.settings(config, secrets_dir)
    named = bundle or settings.model.bundle
    raise typer.Exit(
        started(
            "connector.learn.training.label_check",
            *("--export", str(export or settings.export.folder or settings.data_dir / "export")),
            *("--store", str(settings.model.store or shipped("model_store"))),
            *("--output", str(output)),
            *(() if named is None else ("--bundle", named)),
        )
    )


@app.command("study", context_settings=OWN_OPTIONS, add_help_option=False)
def study(context: typer.Context) -> None:
    """Try the check and the second stage on simulated analysts. `triaged labels study --help` lists the options."""
    raise typer.Exit(started("connector.learn.evaluation.closures", *context.args))
