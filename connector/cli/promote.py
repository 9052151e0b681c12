"""``triaged promote|rollback|history``: which bundle is in production, and how it came to be there."""

from __future__ import annotations

import getpass
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.learn.evaluation.gate import report as gate
from connector.models import Store
from connector.resources import shipped

Bundle = Annotated[str, typer.Argument(metavar="NAME/VERSION", help="The challenger.")]
At = Annotated[Path | None, typer.Option("--store", help="Model store. Default: that of the settings.")]
Why = Annotated[str, typer.Option(help="The reason, for the history.")]
Who = Annotated[str | None, typer.Option(help="Who does it. Default: the user of this process.")]

Track = Annotated[str | None, typer.Option(metavar="URI", help="Mirror champion and challenger to this MLflow store.")]


def promote(
    bundle: Bundle,
    *,
    rows: Annotated[
        Path | None, typer.Option(help="The base dataset (rows.parquet, dataset.json), to run the gate on.")
    ] = None,
    mails: Annotated[
        list[Path] | None, typer.Option(help="For a bundle that reads mails: labelled ones, instead of --rows.")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="The export folder whose closures were learnt from.")] = None,
    excluded: Annotated[Path | None, typer.Option(help="The labels that retraining left out.")] = None,
    corpora: Annotated[
        Path | None, typer.Option(help="The corpora, whose recordings judge a bundle of several members.")
    ] = None,
    override: Annotated[
        str | None, typer.Option(metavar="REASON", help="Promote against the gate, or without it, for this reason.")
    ] = None,
    why: Why = "",
    who: Who = None,
    track: Track = None,
    store: At = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Put a bundle in production if the gate passes it against the one that is. Exits 1 where it does not."""
    if override is not None and not override.strip():
        raise ConfigError("an override needs its reason in words: it stands in the history for ever")
    folder = _folder(store, config, secrets_dir)
    opened = Store(folder)
    incumbent = opened.production()
    passed, against = None, False
    if incumbent not in {None, bundle}:
        order = _order(
            {"--store": folder, "--rows": rows, "--export": export, "--excluded": excluded, "--corpora": corpora},
            mails or (),
        )
        passed = judged(opened, bundle, str(incumbent), order if rows or mails else ())
        against = passed is None
        if against and override is None:
            typer.echo(f"{bundle} is not promoted; {incumbent} stays in production")
            raise typer.Exit(1)
    reason = override if against and override else why
    opened.promote(bundle, who=_who(who), why=reason, gate=passed, override=against, expected=incumbent)
    typer.echo(f"{bundle} is in production")
    _mirror(track, folder)


def rollback(
    *,
    why: Why = "",
    who: Who = None,
    track: Track = None,
    store: At = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Put the bundle back that was in production before the present one. Once more goes one further back."""
    folder = _folder(store, config, secrets_dir)
    wanted = Store(folder).rollback(who=_who(who), why=why)
    typer.echo(f"{wanted} is in production again")
    _mirror(track, folder)


def history(store: At = None, config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """Every promotion and roll-back: when, which, by whom, why, and by which report of the gate."""
    show(
        ("", "when", "what", "bundle", "before", "who", "gate", "why"),
        [
            (
                change.number,
                f"{change.at:%Y-%m-%d %H:%M:%S}",
                change.action,
                change.bundle,
                change.before or "-",
                change.who or "-",
                "overridden" if change.override else (change.gate or "-")[:12],
                change.why or "-",
            )
            for change in Store(_folder(store, config, secrets_dir)).history()
        ],
    )


def judged(store: Store, bundle: str, incumbent: str, order: Sequence[str]) -> str | None:
    """The digest of the report by which the challenger passes; None where it does not.

    The gate is run by ``order``, if there is one, and judges anew what its report did not judge by; else a report must stand.
    """
    if order:
        if missing := [name for name in ("sklearn", "pyarrow") if find_spec(name) is None]:
            raise ConfigError(f"the gate needs the extra `train` ({', '.join(missing)}): pip install 'triaged[train]'")
        if code := _run("connector.learn.evaluation.gate", *order, "--challenger", bundle, "--incumbent", incumbent):
            raise typer.Exit(code)
    found = gate.standing(store, bundle, incumbent)
    if found is None:
        typer.echo(f"no report of the gate compares {bundle} with {incumbent} as they are now: name --rows to run it")
        return None
    report, digest = found
    for check in report.failed:
        typer.echo(f"gate: {gate.sentence(check)}")
    typer.echo(f"gate: {len(report.checks) - len(report.failed)} of {len(report.checks)} checks passed")
    return digest if report.passed else None


def _order(named: Mapping[str, Path | None], mails: Sequence[Path]) -> list[str]:
    given = [(name, path) for name, path in named.items() if path is not None]
    return [str(part) for pair in (*given, *(("--mails", path) for path in mails)) for part in pair]


def _mirror(track: str | None, folder: Path) -> None:
    """Tells the registry, after production has changed: what it says follows the store, never the other way round."""
    if track is not None and _run("connector.learn.training.registry", track, str(folder)):
        raise typer.Exit(1)


def _run(module: str, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", module, *arguments], check=False).returncode  # noqa: S603 (our own)


def _folder(store: Path | None, config: Path | None, secrets_dir: Path | None) -> Path:
    return store or options.settings(config, secrets_dir).model.store or shipped("model_store")


def _who(named: str | None) -> str:
    """The name given, else that of the user of this process; a container's user may have none."""
    if named is not None:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
