"""The Typer application, put together from the modules of this package."""

from __future__ import annotations

from typing import Annotated

import typer

import connector
from connector.cli import (
    actions,
    audit,
    baseline,
    classify,
    closures,
    config,
    coverage,
    daemon,
    dataset,
    demo,
    elastic,
    evaluate,
    evasion,
    explanation,
    export,
    labels,
    learn,
    ledger,
    model,
    playbook,
    policy,
    promote,
    retrain,
    review,
    rules,
    shadow,
    silences,
    splunk,
    thresholds,
    train,
)

app = typer.Typer(
    name="triaged",
    help="Triage security events: ATT&CK verdicts where analysts look, and the right playbook exactly once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"triaged {connector.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Triage security events."""


app.command("run")(daemon.run)
app.command("demo")(demo.demo)
app.command("classify")(classify.classify)
app.command("coverage")(coverage.coverage)
app.command(
    "evaluate",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)(evaluate.evaluate)
app.command("thresholds")(thresholds.thresholds)
app.command("export")(export.export)
app.command("causes")(closures.causes)
app.command("scorecard")(closures.scorecard)
app.command("retrain")(retrain.retrain)
app.command("evasion")(evasion.evasion)
app.command("promote")(promote.promote)
app.command("rollback")(promote.rollback)
app.command("history")(promote.history)
app.command("shadow")(shadow.shadow)
app.command("explain")(explanation.explain)
app.command("backfill")(ledger.backfill)
app.command("status")(ledger.status)
app.command("gaps")(ledger.gaps)
app.command("replay")(ledger.replay)
app.command("actions")(actions.actions)
app.command("approve")(actions.approve)
app.command("reject")(actions.reject)
app.command("silence")(silences.silence)
app.command("silences")(silences.silences)
app.add_typer(audit.app, name="audit")
app.add_typer(baseline.app, name="baseline")
app.add_typer(ledger.cursor, name="cursor")
app.add_typer(config.app, name="config")
app.add_typer(dataset.app, name="dataset")
app.add_typer(elastic.app, name="elastic")
app.add_typer(labels.app, name="labels")
app.add_typer(learn.app, name="learn")
app.add_typer(model.app, name="model")
app.add_typer(playbook.app, name="playbook")
app.add_typer(policy.app, name="policy")
app.add_typer(review.app, name="review")
app.add_typer(rules.app, name="rules")
app.add_typer(splunk.app, name="splunk")
app.add_typer(train.app, name="train")
