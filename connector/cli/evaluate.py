"""``triaged evaluate``: evaluation runs in a process of its own, with the packages of the ``train`` extra."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import typer

from connector.errors import ConfigError


def evaluate(context: typer.Context) -> None:
    """Measure a bundle and its recipe on groups never seen. `triaged evaluate --help` lists the options."""
    if missing := [name for name in ("torch", "sklearn", "matplotlib") if find_spec(name) is None]:
        raise ConfigError(f"evaluation needs the extra `train` ({', '.join(missing)}): pip install 'triaged[train]'")
    command = [sys.executable, "-m", "connector.learn.evaluation", *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 (our own module, the user's own arguments)
