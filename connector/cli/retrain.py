"""``triaged retrain``: a new version of a bundle, from base rows and closed alerts. Runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from connector.cli import options
from connector.errors import ConfigError
from connector.resources import shipped

CACHE: Final = "features"
"""The folder of the data directory in which features are kept between retrainings."""


def retrain(
    *,
    export: Annotated[Path | None, typer.Option(help="The export folder. Default: that of the settings.")] = None,
    rows: Annotated[Path | None, typer.Option(help="Base rows: a built dataset (rows.parquet, dataset.json).")] = None,
    corpora: Annotated[
        Path | None,
        typer.Option(
            help="The corpora folder: base rows are built from it without --rows; the full path of several members reads it."
        ),
    ] = None,
    mails: Annotated[
        list[Path] | None, typer.Option(help="Base rows of a phishing bundle: mails with a label each.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Train the network anew by the incumbent's recipe.")] = False,
    bundle: Annotated[
        str | None, typer.Option(metavar="NAME/VERSION", help="What is retrained. Default: the bundle in production.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Of the new bundle. Default: the next free VERSION-rN.")] = None,
    newest: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of the closures, the newest, that is left out to judge by.")
    ] = 0.2,
    excluded: Annotated[
        Path | None, typer.Option(help="Labels that are not used: the list of `triaged labels check`.")
    ] = None,
    base: Annotated[Path | None, typer.Option(help="With --full: the encoder that the recipe was given.")] = None,
    track: Annotated[str | None, typer.Option(metavar="URI", help="Tell this MLflow store.")] = None,
    store: Annotated[Path | None, typer.Option(help="Model store. Default: that of the settings.")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Retrain a bundle on closed alerts as a new version, which `triaged promote` puts in use. Exits 2 where it cannot."""
    missing = [
        name for name in ("onnx", "sklearn", "pyarrow", *(("torch",) if full else ())) if find_spec(name) is None
    ]
    if missing:
        raise ConfigError(f"retraining needs the extra `train` ({', '.join(missing)}): pip install 'triaged[train]'")
    settings = options.settings(config, secrets_dir)
    paths = {
        "--store": store or settings.model.store or shipped("model_store"),
        "--export": export or settings.export.folder or settings.data_dir / "export",
        "--cache": settings.data_dir / CACHE,
        "--rows": rows,
        "--corpora": corpora,
        "--base": base,
        "--excluded": excluded,
        "--bundle": bundle,
        "--version": version,
        "--newest": newest,
        "--track": track,
    }
    more = [word for mail in mails or () for word in ("--mails", str(mail))]
    command = [sys.executable, "-m", "connector.learn.training.retrain", *_given(paths), *more]
    done = subprocess.run([*command, *(["--full"] if full else [])], check=False)  # noqa: S603 (our own module)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _given(named: Mapping[str, object]) -> Iterator[str]:
    for name, value in named.items():
        if value is not None:
            yield from (name, str(value))
