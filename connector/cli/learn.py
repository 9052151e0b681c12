"""``triaged learn``: new threat intelligence becomes training rows, and what learns from them is measured."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from connector.attack import catalogue
from connector.attack.techniques import FOLDER
from connector.cli import options, promote
from connector.cli.train import OWN_OPTIONS, started
from connector.demo.report import printable
from connector.errors import ConfigError
from connector.models import Store

if TYPE_CHECKING:
    from connector.learn.intel.findings import Finding
    from connector.settings import TaxiiSettings

app = typer.Typer(help="Learn from new threat intelligence.", no_args_is_help=True)

Paths = list[Path] | None
NOT_STATED = "not stated"
SHOWN = 10
NAME: Final = "triaged"
ROWS: Final = "rows"
"""The folder below the output that the dataset is written to."""

ATTACK: Final = "attack"
"""The same for a newer release's catalogue."""

TEXT: Final = "text"
"""The store below the output that a text member is written to, until others stand beside it."""

REFUSED: Final = 1


@app.command("report-text", context_settings=OWN_OPTIONS, add_help_option=False)
def report_text(context: typer.Context) -> None:
    """Measure how well report sentences are tagged. `triaged learn report-text --help` lists the options."""
    raise typer.Exit(started("connector.learn.training.report_text", *context.args))


@app.command("study", context_settings=OWN_OPTIONS, add_help_option=False)
def study(context: typer.Context) -> None:
    """Measure what choosing labels is worth, or how flows are told apart. `triaged learn study --help` lists the studies."""
    raise typer.Exit(started("connector.learn.evaluation.studies", *context.args))


@app.command(context_settings={"allow_extra_args": True})
def intel(
    context: typer.Context,
    *,
    output: Annotated[Path, typer.Option(help="Folder that samples.jsonl and sources.toml are written to.")],
    attack: Annotated[
        Paths, typer.Option(help="An ATT&CK release: a STIX bundle, such as enterprise-attack.json.")
    ] = None,
    stix: Annotated[Paths, typer.Option(help="A STIX 2 bundle.")] = None,
    taxii: Annotated[list[str] | None, typer.Option(help="Address of a TAXII 2.1 collection; https.")] = None,
    since: Annotated[str | None, typer.Option(help="TAXII: objects added after this time (RFC 3339).")] = None,
    sigma: Annotated[Paths, typer.Option(help="Sigma rules: a folder or a zip.")] = None,
    misp: Annotated[Paths, typer.Option(help="A MISP export (JSON).")] = None,
    licence: Annotated[
        str, typer.Option(help="Licence of the STIX, TAXII and MISP content, for the card.")
    ] = NOT_STATED,
    corpora: Annotated[Path | None, typer.Option(help="Folder of the corpora; needed to retrain.")] = None,
    retrain: Annotated[
        Path | None, typer.Option(help="Model store: build, train into it, evaluate, and judge.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Version of the retrained bundle; needed to retrain.")] = None,
    only: Annotated[
        str | None, typer.Option(help="Names of the pinned sources to train on too, comma-separated; default: all.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Evaluate as `triaged evaluate --quick` does.")] = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Turn new intelligence into training rows with provenance, and on request retrain and evaluate.

    What follows `--` goes to `triaged train text`, such as `-- --letter-epochs 0`.
    """
    if context.args and not context.args[0].startswith("-"):
        raise ConfigError(f"{context.args[0]!r} is no option of `triaged learn intel`, nor of `triaged train text`")
    _check(corpora, retrain, version)
    from connector.learn.intel import findings as found  # noqa: PLC0415 - the extra may be missing

    secrets = options.settings(config, secrets_dir).taxii
    listed = [
        *_from_stix(attack or (), "attack", "ATT&CK terms of use"),
        *_from_stix(stix or (), "stix", licence),
        *_from_taxii(taxii or (), since, secrets, licence),
        *_from_sigma(sigma or (), corpora),
        *_from_misp(misp or (), licence),
    ]
    found.write(listed, output)
    _say(listed, output)
    _say_releases(attack or (), output)
    bounds = Bounds(only=only, quick=quick, recipe=tuple(context.args))
    for step in commands(output, corpora, retrain, version, bounds, several=_several(retrain)):
        typer.echo(" ".join(["triaged", *step]))
        if retrain is not None and (code := _run(step)):
            raise typer.Exit(code)
    if retrain is not None and not _judged(retrain, output / ROWS, f"{NAME}/{version}"):
        raise typer.Exit(REFUSED)


def _check(corpora: Path | None, retrain: Path | None, version: str | None) -> None:
    """Raises ``ConfigError`` where the command cannot do what it is asked to."""
    if missing := [name for name in ("taxii2client", "yaml", "evtx", "pyarrow") if find_spec(name) is None]:
        raise ConfigError(f"learning needs the extra `train` ({', '.join(missing)}): pip install 'triaged[train]'")
    if retrain is not None and corpora is None:
        raise ConfigError("to retrain, name the corpora folder with --corpora")
    if retrain is not None and version is None:
        raise ConfigError("to retrain, name the new bundle's version with --version: a version is written once")


def _run(step: Sequence[str]) -> int:
    command = [sys.executable, "-m", "connector.cli", *step]
    return subprocess.run(command, check=False).returncode  # noqa: S603 (our own commands)


class Bounds(NamedTuple):
    """What keeps a retraining small: some of the pinned sources, a quick evaluation, options of ``triaged train text``."""

    only: str | None = None
    quick: bool = False
    recipe: tuple[str, ...] = ()


def _several(store: Path | None) -> str | None:
    """The bundle in production, where it has several members: the new one will have them too.

    Raises ``ConfigError`` where they cannot be taken, such as those of another ATT&CK version.
    """
    if store is None or (incumbent := Store(store).production()) is None:
        return None
    if len(Store(store).manifest(incumbent).members) == 1:
        return None
    if problems := Store(store).verify(incumbent):
        raise ConfigError(f"the members of {incumbent} cannot stand in another bundle: {'; '.join(problems)}")
    return incumbent


def commands(
    output: Path,
    corpora: Path | None,
    store: Path | None,
    version: str | None,
    bounds: Bounds | None = None,
    *,
    several: str | None = None,
) -> list[list[str]]:
    """The commands that retrain and evaluate; what was not named stands as a word in capitals.

    ``several`` is a bundle of several members, which then stand beside the new text member.
    """
    rows, folder, kept = str(output / ROWS), str(corpora or "CORPORA"), str(store or "STORE")
    text = kept if several is None else str(output / TEXT)
    version, bounds = version or "VERSION", bounds or Bounds()
    build = ["dataset", "build", "--corpora", folder, "--extra", str(output), "--output", rows]
    train = [
        "train",
        "text",
        "--rows",
        rows,
        "--pins",
        str(output / "sources.toml"),
        "--output",
        text,
        "--version",
        version,
    ]
    beside = ["train", "ensemble", "--again", str(several), "--base", f"{NAME}/{version}", "--store", text]
    beside += ["--rows", rows, "--corpora", folder, "--work", str(output / "ensemble"), "--output", kept]
    evaluate = ["evaluate", "--corpora", folder, "--rows", rows, "--store", kept, "--bundle", f"{NAME}/{version}"]
    return [
        [*build, *(() if bounds.only is None else ("--only", bounds.only))],
        [*train, *bounds.recipe],
        *([] if several is None else [[*beside, "--version", version]]),
        [*evaluate, "--output", str(output / "evaluation"), *(("--quick",) if bounds.quick else ())],
    ]


def _judged(store: Path, rows: Path, bundle: str) -> bool:
    """Runs the gate against the bundle in production, says what it found, and promotes nothing; False where it refuses."""
    incumbent = Store(store).production()
    if incumbent in {None, bundle}:
        typer.echo(f"{bundle} is the first bundle of {store}, and so in production: there is none to judge it against")
        return True
    passed = promote.judged(Store(store), bundle, str(incumbent), ("--store", str(store), "--rows", str(rows)))
    if passed:
        typer.echo(f"{incumbent} stays in production; to promote: triaged promote {bundle} --store {store}")
    else:
        typer.echo(f"{incumbent} stays in production: the gate refuses {bundle}")
    return passed is not None


def _from_stix(paths: Sequence[Path], kind: str, licence: str) -> Iterator[Finding]:
    from connector.learn.intel import findings, stix  # noqa: PLC0415 - the extra may be missing

    for path in paths:
        yield from stix.findings(stix.objects(path), findings.Upstream(kind=kind, name=path.name, licence=licence))


def _from_taxii(addresses: Sequence[str], since: str | None, secrets: TaxiiSettings, licence: str) -> Iterator[Finding]:
    from connector.learn.intel import findings, stix, taxii  # noqa: PLC0415 - the extra may be missing

    for address in addresses:
        items = list(taxii.objects(address, secrets.user, secrets.password, since))
        yield from stix.findings(items, findings.Upstream(kind="taxii", name=address, licence=licence))


def _from_sigma(paths: Sequence[Path], corpora: Path | None) -> Iterator[Finding]:
    from connector.learn.corpora.source import Corpora  # noqa: PLC0415 - the extra may be missing
    from connector.learn.intel import findings, rules  # noqa: PLC0415 - the extra may be missing

    for path in paths:
        read = rules.Rules(path, None if corpora is None else Corpora(corpora))
        yield from rules.findings(read, findings.Upstream(kind="sigma", name=path.name, licence="DRL-1.1"))
        for reason, count in sorted(read.left_out.items()):
            typer.echo(f"{path}: {count} rules left out: {reason}", err=True)


def _from_misp(paths: Sequence[Path], licence: str) -> Iterator[Finding]:
    from connector.learn.intel import findings, misp  # noqa: PLC0415 - the extra may be missing

    for path in paths:
        upstream = findings.Upstream(kind="misp", name=path.name, licence=licence)
        for event in misp.events(path):
            yield from misp.findings(event, upstream)


def _say_releases(paths: Sequence[Path], output: Path) -> None:
    """What a newer release changes, and how to go over to it; its catalogue is written beside the samples."""
    from connector.learn.intel import release, stix  # noqa: PLC0415 - the extra may be missing

    for path in paths:
        facts = release.read(stix.objects(path))
        if facts is not None and release.is_newer(facts, catalogue()):
            # names come from the release; all lines but the first are indented
            typer.echo("\n  ".join(map(printable, release.lines(facts, catalogue()))))
            folder = release.write(facts, output / ATTACK).resolve()
            typer.echo(f"{folder}: its catalogue. Until it is read, new ids train nothing; to go over to ATT&CK")
            typer.echo(
                f"{printable(facts.version)}, set {FOLDER}={folder} for this command, for all that follow, and for the daemon"
            )


def _say(listed: Sequence[Finding], output: Path) -> None:
    from connector.learn.intel import findings  # noqa: PLC0415 - the extra may be missing

    for source, count in sorted(Counter(finding.source for finding in listed).items()):
        typer.echo(f"{source}: {count} samples")
    for kind, techniques in sorted(findings.known(listed).items()):
        named = f": {printable(', '.join(sorted(techniques)[:SHOWN]))}" if kind == "unknown" else ""
        typer.echo(f"technique ids read as {kind}: {len(techniques)}{named}")
    typer.echo(f"{output}: {len(listed)} samples written")
