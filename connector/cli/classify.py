"""``triaged classify``: files in, one verdict a line out, without a daemon, a ledger or any action."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from connector import events, wiring
from connector.cli import options, report
from connector.cli.progress import Advance, progress
from connector.cli.tables import show
from connector.errors import PermanentError
from connector.models import Bundle
from connector.policy import DecisionContext, Enrichment, Policy, decide, document, error_document
from connector.ports import State
from connector.siem.files import open_paths
from connector.types import Event, RawEvent, StateChange

BATCH = 1000
SOME_FAILED = 3


class Output(StrEnum):
    """How to print verdicts."""

    JSONL = "jsonl"
    TABLE = "table"


def classify(  # noqa: PLR0917 (typer reads the options from the signature)
    files: Annotated[list[Path], typer.Argument(help="JSONL, JSON, EVTX, XML, mail, text; plain, .gz, zip or tar.")],
    output: Annotated[Output, typer.Option(help="One JSON document a line, or a table.")] = Output.JSONL,
    text: Annotated[
        bool, typer.Option("--text", help="The files are reports (text, Markdown, HTML; - for stdin): tag sentences.")
    ] = False,
    site: Annotated[Path | None, typer.Option(help="Folder of a site's layers; see `triaged baseline learn`.")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Classify events in files: one verdict a line, in input order. Exits 3 when some could not be classified."""
    if text:
        _tag(files, output, config, secrets_dir)
        return
    app = Classifier.from_settings(config, secrets_dir, site)
    failed = 0
    rows = app.documents(open_paths(files))
    with progress("events") as advance:
        if output is Output.TABLE:
            failed = _print_table(rows, advance)
        else:
            for row, ok in rows:
                sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
                failed += not ok
                advance(1)
    sys.stdout.flush()
    if failed:
        sys.stderr.write(f"triaged: {failed} event(s) could not be classified; their rows carry an error\n")
        raise typer.Exit(SOME_FAILED)


def _tag(files: Sequence[Path], output: Output, config: Path | None, secrets_dir: Path | None) -> None:
    """Report text: the text member alone, a sentence at a time."""
    bundle = wiring.open_bundle(options.settings(config, secrets_dir))
    try:
        rows = (row for file in files for row in report.tagged(*report.text_of(file), bundle))
        (report.print_table if output is Output.TABLE else report.print_jsonl)(rows)
    finally:
        bundle.close()


class Classifier:
    """A bundle and a policy, with members' state kept in memory, from empty, in input order."""

    def __init__(self, bundle: Bundle, policy: Policy, enrichment: Enrichment | None = None) -> None:
        self.bundle = bundle
        self.policy = policy
        self.enrichment = enrichment or Enrichment()
        self._state: dict[str, dict[str, tuple[int, bytes]]] = {}

    @classmethod
    def from_settings(
        cls, config: Path | None, secrets_dir: Path | None = None, site: Path | None = None
    ) -> Classifier:
        """The bundle and policy that the settings name, the shipped ones without a file; ``site`` has a layer in use."""
        settings = options.settings(config, secrets_dir)
        bundle = wiring.open_bundle(settings)
        return cls(
            bundle if site is None else wiring.open_site(bundle, site),
            wiring.load_policy(settings),
            wiring.load_enrichment(settings),
        )

    def documents(self, raws: Iterable[RawEvent]) -> Iterator[tuple[dict[str, Any], bool]]:
        """One (document, classified) pair for each event, in order."""
        stream = iter(raws)
        while chunk := tuple(islice(stream, BATCH)):
            yield from self._batch(chunk)

    def _batch(self, raws: Sequence[RawEvent]) -> Iterator[tuple[dict[str, Any], bool]]:
        outcomes = [_normalised(raw) for raw in raws]
        good = [event for event in outcomes if isinstance(event, Event)]
        states: dict[str, State] = {
            member: {key: self._state[member][key] for key in keys if key in self._state.get(member, {})}
            for member, keys in self.bundle.state_keys(good).items()
        }
        predictions, changes = self.bundle.predict(good, states)
        self._keep(changes)
        context = DecisionContext(
            now=datetime.now(UTC),
            model=self.bundle.model,
            thresholds=self.bundle.thresholds,
            members=len(self.bundle.members),
            origin_key=None,
        )
        predicted = iter(predictions)
        for raw, event in zip(raws, outcomes, strict=True):
            if isinstance(event, Event):
                known = self.enrichment.context(event, context)
                yield document(decide(event, next(predicted), known, self.policy).verdict), True
            else:
                yield error_document(raw.ref, self.bundle.model, str(event), raw.place), False

    def _keep(self, changes: Mapping[str, StateChange]) -> None:
        for member, change in changes.items():
            rows = self._state.setdefault(member, {})
            rows.update({key: (version + 1, value) for key, (version, value) in change.rows.items()})


def _normalised(raw: RawEvent) -> Event | PermanentError:
    try:
        return events.normalise(raw)
    except PermanentError as error:
        return error


def _print_table(rows: Iterable[tuple[dict[str, Any], bool]], advance: Advance) -> int:
    shown: list[tuple[object, ...]] = []
    failed = 0
    for row, ok in rows:
        advance(1)
        failed += not ok
        mark = row["triaged"]
        best = next(iter(mark["techniques"]), None)
        shown.append(
            (
                row.get("@timestamp") or "",
                row.get("host", {}).get("name") or "",
                mark["verdict"] if ok else f"error: {mark['error']['reason']}",
                "" if mark["confidence"] is None else f"{mark['confidence']:.4f}",
                "" if best is None else f"{best['id']} {best['probability']:.2f}",
                mark["source"]["id"] if ok else mark["error"]["place"],
            )
        )
    show(("time", "host", "verdict", "confidence", "technique", "where"), shown)
    return failed
