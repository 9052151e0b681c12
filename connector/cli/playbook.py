"""``triaged playbook list|validate|render``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
import typer

from connector import wiring
from connector.cli import options
from connector.cli.tables import show
from connector.errors import ConfigError, PermanentError
from connector.ledger import Ledger
from connector.policy import Policy
from connector.policy.decide import proposals
from connector.policy.playbooks import check_ids, open_playbook
from connector.policy.reading import verdict_in
from connector.policy.render import render as filled
from connector.policy.variables import OF_SOME
from connector.ports import Closes, Previews
from connector.resources import shipped
from connector.settings import Settings
from connector.types import Action, Json, Verdict

app = typer.Typer(help="List, check and fill CACAO playbooks.", no_args_is_help=True)
FOUND = 1
MOST_WAITING = 100_000
"""Waiting actions that are looked through for a key."""


@app.command("list")
def list_(config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """List the playbooks: what they are for, whether they contain, and the rules that name them."""
    policy = wiring.load_policy(options.settings(config, secrets_dir))
    named = {name: [rule.name for rule in policy.rules if rule.playbook == name] for name in policy.playbooks}
    show(
        ("name", "title", "types", "contains", "needs", "rules"),
        [
            (
                name,
                playbook.name,
                ", ".join(playbook.playbook_types),
                ", ".join(sorted(playbook.containing)) or ("yes" if playbook.contains else "no"),
                ", ".join(n for n, v in playbook.playbook_variables.items() if v.value is None and n in OF_SOME),
                ", ".join(named[name]),
            )
            for name, playbook in policy.playbooks.items()
        ],
    )


@app.command()
def validate(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Playbook files, and folders of them; default: the configured folder.")
    ] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Check playbooks by every rule of CACAO 2.0 that is kept here. Exits 1 where one is broken."""
    folders = paths or [_folder(options.settings(config, secrets_dir))]
    files = [file for path in folders for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    sound, broken = {}, 0
    for file in files:
        try:
            sound[str(file)] = open_playbook(file)
        except ConfigError as error:
            broken += 1
            typer.echo(f"FAIL {error}")
        else:
            typer.echo(f"ok   {file}: {sound[str(file)].name}")
    check_ids(sound)
    if broken or not files:
        typer.echo(f"{broken} of {len(files)} playbooks are broken" if files else "no playbook is there", err=True)
        raise typer.Exit(FOUND)


@app.command()
def render(
    name: Annotated[str, typer.Argument(help="The playbook, as policies call it.")],
    verdict: Annotated[
        str,
        typer.Option(
            metavar="FILE|ID",
            help="A file of verdicts as `classify` writes them (- reads standard input), the id of an event in the "
            "ledger, or the key of an action that waits.",
        ),
    ],
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Print what a SOAR would be sent, a line of JSON for each verdict. Nothing is sent. Exits 1 where nothing could be."""
    settings = options.settings(config, secrets_dir)
    policy = wiring.load_policy(settings)
    if name not in policy.playbooks:
        raise ConfigError(f"no playbook {name!r}; playbooks are: {', '.join(policy.playbooks) or 'none'}")
    refused = 0
    for action in _actions(name, verdict, policy, settings):
        shown = _sent(action, policy, settings)
        refused += "error" in shown
        sys.stdout.buffer.write(msgspec.json.encode(shown) + b"\n")
    sys.stdout.flush()
    if refused:
        raise typer.Exit(FOUND)


def _sent(action: Action, policy: Policy, settings: Settings) -> dict[str, Any]:
    """The steps, and the request of a SOAR that shows it; ``error`` where one of them cannot be made."""
    shown: dict[str, Any] = {"key": action.key, "soar": action.soar, "playbook": action.playbook}
    try:
        shown["request"] = _request(action, settings)
        shown["steps"] = filled(policy.playbooks[action.playbook], action)
    except PermanentError as error:
        shown["error"] = str(error)
    return shown


def _request(action: Action, settings: Settings) -> Json:
    """What the action's SOAR would be sent; None where it is not configured, or does not show it."""
    config = settings.soars.get(action.soar)
    if config is None:
        return None
    soar = wiring.soar(action.soar, config, wiring.utc_now)
    try:
        return soar.preview(action) if isinstance(soar, Previews) else None
    finally:
        if isinstance(soar, Closes):
            soar.close()


def _actions(name: str, given: str, policy: Policy, settings: Settings) -> Iterator[Action]:
    if given == "-" or Path(given).is_file():
        with nullcontext(sys.stdin.buffer) if given == "-" else Path(given).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _proposed(name, _read(line, f"{given}:{number}"), policy)
        return
    with wiring.opened_ledger(settings) as ledger:
        yield _of_ledger(name, given, policy, ledger)


def _of_ledger(name: str, given: str, policy: Policy, ledger: Ledger) -> Action:
    try:
        known = str(UUID(given))
    except ValueError:
        raise ConfigError(f"{given}: no such file, and no id of an event or an action") from None
    found = ledger.verdict(known, 1)
    if found is not None:
        return _proposed(name, found, policy)
    waiting = next((action for action, _ in ledger.waiting(MOST_WAITING) if action.key == known), None)
    if waiting is None:
        raise ConfigError(
            f"{given}: no such file, and the ledger has no verdict on this event and no such action waits"
        )
    if waiting.playbook != name:
        raise ConfigError(f"action {given} is for playbook {waiting.playbook!r}")
    return waiting


def _proposed(name: str, verdict: Verdict, policy: Policy) -> Action:
    """The action that the verdict's own rule proposes, where it names this playbook, or the first rule that does."""
    rules = [rule for rule in policy.rules if rule.playbook == name]
    if not rules:
        raise ConfigError(f"no rule of policy {policy.name!r} names {name!r}, so no verdict would start it")
    own = [rule for rule in rules if verdict.policy and rule.name == verdict.policy.rule]
    rule = msgspec.structs.replace((own or rules)[0], mode="auto")
    actions = proposals(rule, verdict, datetime.now(UTC))
    if not actions:
        raise ConfigError(
            f"revision {verdict.revision} of the verdict on {verdict.event_id} starts nothing: only the first does"
        )
    return actions[0]


def _read(line: bytes, place: str) -> Verdict:
    try:
        return verdict_in(msgspec.json.decode(line, type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, PermanentError) as error:
        raise ConfigError(f"{place}: {error}") from error


def _folder(settings: Settings) -> Path:
    return settings.policy.playbooks or shipped("playbooks")
