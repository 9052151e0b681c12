"""``triaged policy simulate``: what another policy would have done with what the ledger holds. Nothing is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, get_args

import msgspec
import typer
from pydantic import TypeAdapter, ValidationError

from connector import wiring
from connector.cli import options
from connector.cli.past import KeptThresholds, uniqueness
from connector.cli.progress import progress
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.pipeline.simulation import Change, Fate, Report, Side, Site, simulate as simulated
from connector.pipeline.simulation.arm import Outcome
from connector.policy import Policy
from connector.policy.model import Duration
from connector.resources import shipped

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)[:-1]
"""All but ``unmatched``, which no rule has."""

SHOWN = 20
"""Entities in the table; the JSON has more."""


class Output(StrEnum):
    """How to print the report."""

    TABLE = "table"
    JSON = "json"


def simulate(
    policy: Annotated[Path, typer.Option(help="The policy to try.")],
    since: Annotated[str, typer.Option(help="How far back: 12h, 30d.")] = "30d",
    output: Annotated[Output, typer.Option(help="Tables, or one JSON document.")] = Output.TABLE,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Try a policy on the past: what would have run, what changes against today's, what confirmed attacks it would lose."""
    settings = options.settings(config, secrets_dir)
    today = wiring.load_policy(settings)
    new = Policy.load(policy, settings.policy.playbooks or shipped("playbooks"))
    for one in (today, new):
        wiring.check_policy(one, settings)
    until = wiring.utc_now()
    thresholds = KeptThresholds(settings)
    site = Site(
        known=wiring.load_enrichment(settings).known,
        uniqueness=uniqueness(settings, today.soars | new.soars),
        room={name: soar.max_pending for name, soar in settings.soars.items() if soar.when_full == "park"},
    )
    begin = until - _stretch(since)
    with wiring.opened_ledger(settings) as ledger, progress("verdicts") as advance:
        report = simulated(ledger, today, new, site=site, thresholds=thresholds, since=begin, until=until, told=advance)
    if thresholds.gone:
        gone = f"thresholds of {', '.join(sorted(thresholds.gone))}: gone from the store, those of production stand in"
        report = msgspec.structs.replace(report, unknowable=(*report.unknowable, gone))
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        _print(report)


def _stretch(text: str) -> timedelta:
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError as error:
        raise ConfigError(f"--since {text!r} is no stretch of time: 90s, 15m, 12h and 30d are") from error


def _print(report: Report) -> None:
    typer.echo(f"{report.verdicts} verdicts from {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC")
    sides = (("today", report.today), ("new", report.new))
    show(("policy", "rule", *OUTCOMES), [row for named in sides for row in _rules(*named)])
    if refusals := [row for named in sides for row in _refusals(*named)]:
        show(("policy", "rule", "refused because", "verdicts"), refusals)
    names = sorted(
        report.today.entities.keys() | report.new.entities.keys(),
        key=lambda name: (-max(side.entities.get(name, 0) for _, side in sides), name),
    )
    counts = [(name, *(side.entities.get(name, 0) for _, side in sides)) for name in names[:SHOWN]]
    show(("runs on", "today", "new"), [*counts, *([("…", "", "")] if len(names) > SHOWN else [])])
    if said := sorted(report.today.analysts.keys() | report.new.analysts.keys()):
        show(
            ("runs that analysts called", "today", "new"),
            [(word, *(s.analysts.get(word, 0) for _, s in sides)) for word in said],
        )
    typer.echo(f"runs gained: {report.gained}, lost: {report.lost}, with another playbook: {report.moved}")
    _changes("for example", report.examples)
    typer.echo(f"true positives that the new policy does less for: {report.lost_true_positives_count}")
    _changes("confirmed", report.lost_true_positives)
    agreed = report.record
    other = ", ".join(
        f"{count} simulated as {pair.replace(', ', ' and recorded as ')}" for pair, count in agreed.other.items()
    )
    typer.echo(
        f"against the record, today's policy: {agreed.same} actions as they were{other and ', '}{other}, "
        f"{agreed.unknown} never queued, {agreed.only_recorded} queued under another policy or not at all now"
    )
    typer.echo("This cannot tell:")
    for sentence in report.unknowable:
        typer.echo(f"- {sentence}")


def _rules(name: str, side: Side) -> Iterator[tuple[object, ...]]:
    for rule, outcomes in side.rules.items():
        yield (name, rule, *(outcomes.get(outcome, 0) for outcome in OUTCOMES))


def _refusals(name: str, side: Side) -> Iterator[tuple[object, ...]]:
    for rule, reasons in side.refusals.items():
        for reason, count in reasons.items():
            yield name, rule, reason, count


def _changes(title: str, changes: tuple[Change, ...]) -> None:
    if changes:
        show(
            (title, "at", "entity", "today", "new"),
            [(c.event_id, f"{c.at:%Y-%m-%d %H:%M:%S}", c.entity, _told(c.today), _told(c.new)) for c in changes],
        )


def _told(fate: Fate) -> str:
    if fate.rule is None:
        return "no rule matches"
    return f"{fate.rule}: {fate.outcome}{f' ({fate.reason})' if fate.reason else ''}"
