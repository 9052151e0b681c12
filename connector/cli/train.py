"""``triaged train``: training runs in a process of its own, with the packages of the ``train`` extra."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from typing import Final

import typer

from connector.errors import ConfigError

app = typer.Typer(help="Train a model.", no_args_is_help=True)

OWN_OPTIONS: Final = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
"""For commands whose options the started module knows."""


@app.command("text", context_settings=OWN_OPTIONS, add_help_option=False)
def text(context: typer.Context) -> None:
    """Fine-tune the text member and write a bundle. `triaged train text --help` lists the options."""
    raise typer.Exit(started("connector.learn.training", "text", *context.args))


@app.command("flow", context_settings=OWN_OPTIONS, add_help_option=False)
def flow(context: typer.Context) -> None:
    """Train the flow member on public flows, and measure it on networks it has not seen. `triaged train flow --help` lists the options."""
    raise typer.Exit(started("connector.learn.training.flow", *context.args))


@app.command("payload", context_settings=OWN_OPTIONS, add_help_option=False)
def payload(context: typer.Context) -> None:
    """Train the payload member and measure it by groups of near-copies. `triaged train payload --help` lists the options."""
    raise typer.Exit(started("connector.learn.training.payload", *context.args))


@app.command("phishing", context_settings=OWN_OPTIONS, add_help_option=False)
def phishing(context: typer.Context) -> None:
    """Fine-tune on labelled mail, and measure by groups of near-copies. `triaged train phishing --help` lists the options."""
    raise typer.Exit(started("connector.learn.training.phishing", *context.args))


@app.command("sequence", context_settings=OWN_OPTIONS, add_help_option=False)
def sequence(context: typer.Context) -> None:
    """Train the sequence member on the attack recordings. `triaged train sequence --help` lists the options."""
    raise typer.Exit(started("connector.learn.training.sequence", *context.args))


@app.command("ensemble", context_settings=OWN_OPTIONS, add_help_option=False)
def ensemble(context: typer.Context) -> None:
    """Train the meta-classifier over members, and write a bundle of them all. `triaged train ensemble --help` lists the options."""
    raise typer.Exit(started("connector.learn.training.ensemble", *context.args))


def started(module: str, *arguments: str) -> int:
    """Runs a training module as a subprocess; its exit status. Raises ``ConfigError`` where the extra is not installed."""
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise ConfigError("training needs the extra `train`: pip install 'triaged[train]'")
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 (our own module, the user's own arguments)
