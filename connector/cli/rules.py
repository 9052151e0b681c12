"""``triaged rules list|test|stats|pack|learn``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from connector import events
from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError, PermanentError
from connector.models import rules as sigma
from connector.models.rules.packs import Files, files_of, licence_of, packed
from connector.siem.files import open_paths
from connector.types import Event, Noun

if TYPE_CHECKING:
    from connector.models.rules.ruleset import RuleSet

app = typer.Typer(help="Sigma rules: which take part, what they match, what they cost.", no_args_is_help=True)

Rules = Annotated[
    list[Path] | None,
    typer.Option(
        "--rules", "-r", help="A folder of rules, or a pack; may be repeated. Default: the settings' folders."
    ),
]
Events = Annotated[list[Path], typer.Argument(help="Files, folders or globs of raw events.")]


class Hit(Noun, frozen=True):
    """One event with the rules that match it; ``place`` is where the event stands."""

    place: str
    kind: str
    matches: tuple[sigma.Match, ...]


@app.command("list")
def list_rules(rules: Rules = None, config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """List the rules that take part, then those that are left out, each with the reason."""
    found = _loaded(_places(rules, config, secrets_dir))
    show(
        ("level", "log source", "techniques", "rule", "id", "author"),
        [
            (
                rule.match.level,
                rule.logsource,
                " ".join(rule.match.techniques),
                rule.match.title,
                rule.match.id,
                rule.match.author,
            )
            for rule in found.rules
        ],
    )
    if found.left_out:
        show(("left out", "reason"), found.left_out)
    typer.echo(f"{len(found.rules)} rules take part, {len(found.left_out)} are left out", err=True)


@app.command("test")
def matching(
    paths: Events, rules: Rules = None, config: options.Config = None, secrets_dir: options.Secrets = None
) -> None:
    """Print each event that a rule matches, with its rules: one JSON document a line."""
    found = _loaded(_places(rules, config, secrets_dir))
    for event in _events(paths):
        (matches,) = found.match([event])
        if matches:
            sys.stdout.write(
                msgspec.json.encode(Hit(place=event.place, kind=event.kind, matches=matches)).decode() + "\n"
            )


@app.command()
def stats(
    paths: Events, rules: Rules = None, config: options.Config = None, secrets_dir: options.Secrets = None
) -> None:
    """Count matches by rule, how often each was worth testing, and what it cost; the dearest rule comes first."""
    from connector.models.rules.views import view_of  # noqa: PLC0415 - after the check of the extra

    found = _loaded(_places(rules, config, secrets_dir))
    matched, tested, cost = Counter[int](), Counter[int](), Counter[int]()
    spent: list[int] = []
    for event in _events(paths):
        begun = time.thread_time_ns()
        view = view_of(event)
        for place, check in found.candidates(event) or ():
            before = time.thread_time_ns()
            matched[place] += check(view)
            tested[place] += 1
            cost[place] += time.thread_time_ns() - before
        spent.append(time.thread_time_ns() - begun)
    show(
        ("matches", "tested", "µs", "level", "rule"),
        [
            (matched[place], count, cost[place] // 1000, found.rules[place].match.level, found.rules[place].match.title)
            for place, count in sorted(tested.items(), key=lambda each: (-cost[each[0]], each[0]))
        ],
    )
    if spent:
        typer.echo(
            f"{len(spent)} events, half of them at most {median(spent) / 1000:.0f} µs of CPU each, "
            f"the first {spent[0] / 1000:.0f}; {matched.total()} matches",
            err=True,
        )


@app.command()
def pack(
    folder: Annotated[Path, typer.Argument(help="A folder of rules, with a LICENSE in it or above it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The pack to write: one JSON file.")],
) -> None:
    """Write the rules of a folder that can be compiled into one file, with their licence and their authors."""
    files = files_of(folder)
    found = _loaded_files(files)
    kept = {rule.path for rule in found.rules}
    authors = [name.strip() for rule in found.rules for name in rule.match.author.split(",") if name.strip()]
    output.write_bytes(packed([file for file in files if file[0] in kept], licence_of(folder), authors))
    typer.echo(f"{output}: {len(kept)} rule files of {len(set(authors))} authors; {len(found.left_out)} left out")


@app.command()
def learn(
    corpora: Annotated[Path, typer.Option(help="Folder of the corpora: archives, or trees OWNER/REPO.")],
    rules: Annotated[list[Path], typer.Option("--rules", "-r", help="A folder of rules, or a pack; may be repeated.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The weights to write: one JSON file.")],
    seed: Annotated[int, typer.Option(help="Seed of the split; events of its training part teach.")] = 1,
) -> None:
    """Learn what each rule is worth, from labelled events whose labels do not come of Sigma's rules."""
    found = _loaded(rules)
    from connector.learn import rule_weights  # noqa: PLC0415 - needs the extra
    from connector.learn.corpora.source import Corpora  # noqa: PLC0415

    weights = rule_weights.learn(Corpora(corpora), found, seed=seed)
    output.write_bytes(msgspec.json.format(msgspec.json.encode(weights, order="sorted"), indent=1) + b"\n")
    levels = ", ".join(
        f"{level} {prior.a / (prior.a + prior.b):.2f}" for level, prior in sorted(weights.malicious_prior.items())
    )
    typer.echo(f"{output}: {len(weights.malicious)} rules matched labelled events; malicious by level: {levels}")


def _places(rules: list[Path] | None, config: Path | None, secrets: Path | None) -> list[Path]:
    places = rules or list(options.settings(config, secrets).model.rules)
    if not places:
        raise ConfigError("no rules: name a folder or a pack with --rules, or folders in the settings (model.rules)")
    return places


def _loaded(places: list[Path]) -> RuleSet:
    return _loaded_files([(f"{place}/{path}", body) for place in places for path, body in files_of(place)])


def _loaded_files(files: Files) -> RuleSet:
    return sigma.load(files)


def _events(paths: list[Path]) -> Iterator[Event]:
    """The events that can be read; the others are counted on standard error."""
    unread = 0
    for raw in open_paths(paths):
        try:
            yield events.normalise(raw)
        except PermanentError:
            unread += 1
    if unread:
        typer.echo(f"{unread} records could not be read", err=True)
