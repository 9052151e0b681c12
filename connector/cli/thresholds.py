"""``triaged thresholds``: how precise a bundle is at which threshold, and a precision-first one for what starts playbooks."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.learn.evaluation import points
from connector.learn.evaluation.points import Point
from connector.models import Store
from connector.models.manifest import Manifest, seal
from connector.resources import shipped


def thresholds(  # noqa: PLR0917  (typer reads the options from the signature)
    bundle: Annotated[str | None, typer.Argument(help="name/version; default: the one in production")] = None,
    evaluation: Annotated[Path | None, typer.Option(help="Take the table from this evaluation.json.")] = None,
    prevalence: Annotated[
        float | None, typer.Option(min=1e-9, max=0.999, help="Share of events that are attacks; default: the bundle's.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(min=0.001, max=0.999, help="Choose the lowest threshold this precise.")
    ] = None,
    set_version: Annotated[
        str | None,
        typer.Option("--set", help="Write the bundle anew as this version with that trigger, and promote it."),
    ] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Print precision and recall by threshold; with --precision and --set, change what starts playbooks."""
    store = Store(options.settings(config, secrets_dir).model.store or shipped("model_store"))
    ref = bundle or store.production()
    if ref is None:
        raise ConfigError("no bundle is in production; name one")
    if set_version is not None and precision is None:
        raise ConfigError("--set needs --precision: how often what starts a playbook must be right")
    manifest = store.manifest(ref)
    found = points.of(manifest, evaluation)
    share = manifest.calibration.reference_prevalence if prevalence is None else prevalence
    _print(manifest, found, share)
    if precision is None:
        return
    chosen = points.reaching(found, precision, share)
    if chosen is None:
        best = max(point.precision(share) for point in found)
        raise ConfigError(f"no threshold is {precision:g} precise at prevalence {share:g}; the best is {best:.3g}")
    typer.echo(f"precision {precision:g} from {chosen.cut:.6g} on, recall {chosen.recall:.2f}")
    if set_version is not None:
        written = with_trigger(store, manifest, chosen, set_version)
        store.promote(written.ref, why=f"`triaged thresholds` set the trigger at precision {precision:g}")
        typer.echo(f"{written.ref} is in production: trigger {written.thresholds.trigger:.6g}")


def with_trigger(store: Store, manifest: Manifest, point: Point, version: str) -> Manifest:
    """The bundle copied as another version whose trigger is the point's. Raises ``ConfigError`` where it exists already."""
    new = f"{manifest.name}/{version}"
    if problems := store.verify(manifest.ref):
        raise ConfigError(f"bundle {manifest.ref} is refused: {'; '.join(problems)}")
    folder = store.directory(new)
    if folder.exists():
        raise ConfigError(f"{folder} exists: a version is written once; choose another --set")
    limits = manifest.thresholds
    trigger = max(point.cut, limits.malicious)  # what starts a playbook is never below what is called malicious
    levels = msgspec.structs.replace(
        limits, trigger=trigger, false_alarms={**limits.false_alarms, "trigger": point.alarms}
    )
    shutil.copytree(store.directory(manifest.ref), folder)
    try:
        return seal(folder, msgspec.structs.replace(manifest, version=version, thresholds=levels))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _print(manifest: Manifest, found: Sequence[Point], share: float) -> None:
    levels = manifest.thresholds.levels()
    typer.echo(f"{manifest.ref}, where {share:g} of all events are attacks; e: alarms are extrapolated")
    show(
        ("threshold", "recall", "alarms per 10,000", "", "precision", "levels below"),
        [
            (
                f"{point.cut:.6g}",
                f"{point.recall:.2f}",
                f"{point.alarms:g}",
                "" if point.counted else "e",
                f"{point.precision(share):.3g}",
                ", ".join(name for name, cut in levels.items() if cut <= point.cut),
            )
            for point in found
        ],
    )
