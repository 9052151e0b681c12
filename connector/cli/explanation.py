"""``triaged explain``: why the model scores events as it does, without a daemon, a ledger or any action."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from connector import events, wiring
from connector.cli import options
from connector.cli.classify import Output
from connector.cli.tables import show
from connector.errors import PermanentError
from connector.models.explain import Explanation
from connector.siem.files import open_paths

SOME_FAILED = 3


def explain(
    files: Annotated[list[Path], typer.Argument(help="JSONL, JSON, EVTX, XML, text; plain, .gz, zip or tar.")],
    *,
    limit: Annotated[int, typer.Option(min=1, help="Events that are explained at most.")] = 100,
    output: Annotated[Output, typer.Option(help="One JSON document a line, or tables.")] = Output.TABLE,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Tell which fields and words of events weighed most, and which labelled examples they are like, whatever the score."""
    bundle = wiring.open_bundle(options.settings(config, secrets_dir))
    failed = 0
    try:
        for raw in islice(open_paths(files), limit):
            try:
                event = events.normalise(raw)
            except PermanentError as error:
                failed += 1
                sys.stderr.write(f"triaged: {raw.place}: {error}\n")
                continue
            (prediction,) = bundle.predict_without_state([event])
            best = [score.id for score in prediction.techniques]
            _print(raw.place, prediction.p_malicious, best, bundle.explain(event), output)
    finally:
        bundle.close()
    if failed:
        raise typer.Exit(SOME_FAILED)


def _print(place: str, p: float, techniques: list[str], told: Explanation | None, output: Output) -> None:
    if output is Output.JSONL:
        document: dict[str, Any] = {"place": place, "p_malicious": p, "techniques": techniques, "explanation": told}
        sys.stdout.buffer.write(msgspec.json.encode(document) + b"\n")
        return
    typer.echo(f"{place}: p_malicious {p:.4g}, {', '.join(techniques[:3])}")
    if told is None:
        typer.echo("no member of this bundle reads texts")
        return
    rows: list[tuple[object, ...]] = [("field", one.piece, f"{one.weight:+.2f}", "") for one in told.fields]
    rows += [("word", one.piece, f"{one.weight:+.2f}", "") for one in told.words]
    for like in told.examples:
        label = ", ".join(like.example.techniques) or ("attack" if like.example.malicious else "ordinary")
        rows.append(("like", like.example.text, f"{like.cosine:.2f}", f"{label}, {like.example.source}"))
    show(("what", "piece or example", "weight", "label"), rows)
