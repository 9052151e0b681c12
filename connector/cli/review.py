"""``triaged review list|show|answer``: the questions that wait for an analyst, and the analyst's word on one."""

from __future__ import annotations

import getpass
import json
from collections.abc import Mapping
from typing import Annotated, Any, get_args
from uuid import UUID

import msgspec
import typer

from connector import wiring
from connector.cli import options
from connector.cli.tables import show as table
from connector.errors import ConfigError
from connector.learn.export import Machines
from connector.learn.review import Answer, answer as record, listed, whole
from connector.ledger import Ledger, Review
from connector.types import Cause, Disposition

app = typer.Typer(help="Questions to analysts: list them, look at one, answer it.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(metavar="ID", help="the question's id, as `triaged review list` shows it")]
DISPOSITIONS = ", ".join(get_args(Disposition))
CAUSES = ", ".join(get_args(Cause))
NO_TECHNIQUE = "none"


@app.command("list")
def list_reviews(
    closed: Annotated[bool, typer.Option("--all", help="Those too that were answered or withdrawn.")] = False,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """List the questions that wait, oldest first."""
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        found = listed(ledger, only_open=not closed)
    table(
        ("id", "asked", "why", "verdict", "confidence", "host", "SIEM", "event", "state"),
        [(one["id"], one["asked_at"], one["reason"], *_verdict(one["verdict"]), _state(one)) for one in found],
    )


@app.command()
def show(key: Key, config: options.Config = None, secrets_dir: options.Secrets = None) -> None:
    """Show one question as JSON: why it is asked, the verdict, and the event as it was scored."""
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        found = whole(ledger, _asked(ledger, key))
    typer.echo(json.dumps(found, indent=2))  # which escapes what a terminal would obey


@app.command()
def answer(  # noqa: PLR0917 (typer reads the options from the signature)
    key: Key,
    disposition: Annotated[str, typer.Argument(help=f"What the event is: {DISPOSITIONS}.")],
    technique: Annotated[
        list[str] | None, typer.Option(help="An ATT&CK id that it shows, once for each; `none`: it shows none.")
    ] = None,
    cause: Annotated[str | None, typer.Option(help=f"Why it is a false alarm: {CAUSES}.")] = None,
    comment: Annotated[str, typer.Option(help="What else is to be said.")] = "",
    analyst: Annotated[str | None, typer.Option(help="Who answers; default: the user of this machine.")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Answer a question. Another answer later is another decision, and both are kept."""
    user = getpass.getuser()
    said = _said(disposition, technique, cause, comment, analyst)
    settings = options.settings(config, secrets_dir)
    machines = Machines.of(settings.export)
    with wiring.opened_ledger(settings) as ledger:
        try:
            held = record(
                ledger, _asked(ledger, key), said, analyst=said.analyst or user, actor=user, machines=machines
            )
        except ValueError as error:
            raise ConfigError(f"{error} (--analyst)" if said.analyst is None else str(error)) from error
    if held is None or held.state == "withdrawn":
        raise ConfigError(f"{key}: nothing changed, it was withdrawn: {'' if held is None else held.outcome}")
    typer.echo(f"{key}: {held.outcome} by {held.analyst}")


def _said(
    disposition: str, technique: list[str] | None, cause: str | None, comment: str, analyst: str | None
) -> Answer:
    """The answer in words that are known. Raises ``ConfigError``."""
    told: dict[str, Any] = {"disposition": disposition, "cause": cause, "comment": comment, "analyst": analyst}
    if technique:
        told["techniques"] = [one for one in technique if one.lower() != NO_TECHNIQUE]
    try:
        return msgspec.convert(told, Answer)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{error}. Dispositions are: {DISPOSITIONS}; causes are: {CAUSES}") from error


def _asked(ledger: Ledger, key: str) -> Review:
    try:
        found = ledger.review(str(UUID(key)))
    except ValueError:
        found = None
    if found is None:
        raise ConfigError(f"no question has the id {key}; `triaged review list` shows those that wait")
    return found


def _verdict(found: Mapping[str, Any] | None) -> tuple[object, ...]:
    if found is None:
        return "expired", "", "", "", ""
    triaged = found["triaged"]
    sure = "" if triaged["confidence"] is None else f"{triaged['confidence']:.4g}"
    host = found.get("host", {}).get("name", "")
    return triaged["verdict"], sure, host, triaged["source"]["siem"], triaged["source"]["id"]


def _state(one: Mapping[str, Any]) -> str:
    return " ".join(
        part for part in (one["state"], one["outcome"], f"by {one['analyst']}" if one["analyst"] else "") if part
    )
