"""``triaged splunk package``: the app that search heads install."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import connector
from connector import packaging
from connector.resources import shipped

app = typer.Typer(help="The app for Splunk's search heads.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """The app for Splunk's search heads."""


@app.command()
def package(
    output: Annotated[Path, typer.Option(help="The folder that gets the archive; it is made if need be.")],
) -> None:
    """Write the app as one .tar.gz. The same content gives the same bytes."""
    typer.echo(packaging.package(shipped("splunk_app") / packaging.APP, connector.__version__, output))
