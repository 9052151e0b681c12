"""``triaged config check|schema``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import typer

from connector import api, wiring
from connector.cli import options
from connector.errors import ConfigError, TransientError
from connector.settings import Settings, SourceSettings, json_schema
from connector.types import Position

app = typer.Typer(help="Check the settings, or print their schema.", no_args_is_help=True)


@app.command()
def schema() -> None:
    """Print the JSON schema of the settings file."""
    typer.echo(json_schema(wiring.kinds()))


@app.command()
def check(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """Prove settings, policy, model, ledger and each connection, before the daemon starts. Exits 1 on a problem."""
    settings = options.settings(config, secrets_dir)
    problems = 0
    for what, problem in _checks(settings):
        typer.echo(f"{'ok  ' if problem is None else 'FAIL'} {what}{'' if problem is None else f': {problem}'}")
        problems += problem is not None
    if problems:
        raise typer.Exit(1)


def _checks(settings: Settings) -> Iterator[tuple[str, str | None]]:
    yield "settings", None
    yield "policy", _problem(lambda: wiring.check_policy(wiring.load_policy(settings), settings))
    yield from _enrichment(settings)
    yield "model", _problem(lambda: wiring.open_bundle(settings))
    yield "ledger", _problem(lambda: _open_ledger(settings))
    if settings.api.on:
        yield "api", _problem(lambda: api.check(settings.api))
    for name, config in settings.sources.items():
        heads: list[Position] = []
        problem = _problem(partial(_look, name, config, heads))
        yield f"source {name}" + ("" if heads or problem else ": nothing there yet"), problem
    for name, target in settings.targets.items():
        yield f"target {name}", _problem(lambda n=name, c=target: wiring.writer(n, c, wiring.utc_now).write([]))  # type: ignore[misc]
    for name, soar in settings.soars.items():
        yield f"soar {name}", _problem(lambda n=name, c=soar: wiring.soar(n, c, wiring.utc_now).find("config-check"))  # type: ignore[misc]
    for name, history in settings.histories.items():
        yield (
            f"history {name}",
            _problem(lambda n=name, c=history: wiring.history(n, c, wiring.utc_now).dispositions(None, 1)),  # type: ignore[misc]
        )


def _enrichment(settings: Settings) -> Iterator[tuple[str, str | None]]:
    """Whether the site's own tables can be read, and what is in force."""
    try:
        found = wiring.load_enrichment(settings)
    except ConfigError as error:
        yield "enrichment", str(error)
        return
    counts = found.lists.counts(wiring.utc_now())
    told = [f"{found.assets.size} assets", *(f"{valid} {name} entries" for name, (valid, _) in counts.items())]
    expired = sum(expired for _, expired in counts.values())
    yield f"enrichment ({', '.join(told)}, {expired} expired)", None


def _look(name: str, config: SourceSettings, heads: list[Position]) -> None:
    heads.extend(wiring.source(name, config, wiring.utc_now).heads())


def _problem(attempt: Callable[[], object]) -> str | None:
    try:
        attempt()
    except (ConfigError, TransientError) as error:
        return str(error)
    return None


def _open_ledger(settings: Settings) -> None:
    with wiring.opened_ledger(settings) as ledger:
        ledger.status()
