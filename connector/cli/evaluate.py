"""``triaged evaluate``: evaluation runs in a process of its own, with the packages of the ``train`` extra."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import typer

from connector.errors import ConfigError


def evaluate(context: typer.Context) -> None:
    """Measure a bundle and its recipe on groups never seen; `triaged evaluate ensemble`: members together, on recordings.

    `triaged evaluate --help` and `triaged evaluate ensemble --help` list the options.
    """
    if missing := [name for name in ("torch", "sklearn", "matplotlib") if find_spec(name) is None]:
        raise ConfigError(f"evaluation needs the extra `train` ({', '.join(missing)}): pip install 'triaged[train]'")
    whole, given = "connector.learn.evaluation", list(context.args)
    module, given = (f"{whole}.ensemble", given[1:]) if given[:1] == ["ensemble"] else (whole, given)
    command = [sys.executable, "-m", module, *given]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 (our own module, the user's own arguments)
