"""``triaged train``: training runs in a process of its own, with the packages of the ``train`` extra."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import typer

from connector.errors import ConfigError

app = typer.Typer(help="Train a model.", no_args_is_help=True)


@app.command(
    "text",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
def text(context: typer.Context) -> None:
    """Fine-tune the text member and write a bundle. `triaged train text --help` lists the options."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ConfigError("training needs the extra `train`: pip install 'triaged[train]'")
    command = [sys.executable, "-m", "connector.learn.training", "text", *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 (our own module, the user's own arguments)
