"""``triaged model list|verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.models import Store
from connector.resources import shipped

app = typer.Typer(help="What is in the model store.", no_args_is_help=True)


def _store(config: options.Config, secrets_dir: options.Secrets) -> tuple[Store, list[str]]:
    """The store and the bundles in it. Raises ``ConfigError`` where it has none: that is a wrong path, not a success."""
    path = options.settings(config, secrets_dir).model.store or shipped("model_store")
    store = Store(path)
    if not (bundles := store.list()):
        raise ConfigError(f"no bundle in {path}")
    return store, bundles


@app.command("list")
def list_bundles(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """List the bundles; the one in production is marked."""
    store, bundles = _store(config, secrets_dir)
    production = store.production()
    show(
        ("", "bundle", "ATT&CK", "members", "labels", "created"),
        [
            (
                "*" if manifest.ref == production else "",
                manifest.ref,
                manifest.attack_version,
                ", ".join(member.name for member in manifest.members),
                len(manifest.labels),
                manifest.created,
            )
            for manifest in map(store.manifest, bundles)
        ],
    )


@app.command()
def verify(
    bundle: Annotated[str | None, typer.Argument(help="name/version; default: every bundle")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Verify every file of a bundle against its manifest. Exits 1 on a problem."""
    store, bundles = _store(config, secrets_dir)
    wrong = 0
    for ref in [bundle] if bundle else bundles:
        problems = store.verify(ref)
        wrong += len(problems)
        typer.echo(f"{ref}: {'ok' if not problems else '; '.join(problems)}")
    if wrong:
        raise typer.Exit(1)
