"""``triaged demo``: the bundled intrusion, through the real daemon, with files, SQLite and the dry-run SOAR."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from connector import events, wiring
from connector.attack.techniques import FOLDER
from connector.cli.progress import progress
from connector.demo import report, scenario_paths
from connector.demo.truth import steps_found, truth
from connector.errors import TransientError
from connector.pipeline.entities import IncidentState
from connector.pipeline.entities.rollup import read_incidents
from connector.settings import Settings
from connector.siem.files import open_paths
from connector.soar.dryrun import DryRun, recorded
from connector.types import Event

DEPLOYMENT = "demo"
TIMEOUT_S = 600.0
POLL_S = 0.2
MANY = 100_000

STOP_S = 60.0
STORE = "TRIAGED_MODEL__STORE"
KEPT = frozenset({STORE, "TRIAGED_MODEL__RULES"})
"""The settings of the caller's environment that the demo heeds: another model may be shown, and rules for it.

With another model goes the ATT&CK catalogue that its labels are of.
"""

CONFIG = """\
data_dir = {dir}

{sources}
[targets.verdicts]
type = "files"
path = {verdicts}

[soars.dryrun]
type = "dryrun"
path = {runs}
"""

SOURCE = """\
[sources.{name}]
type = "files"
deployment = "{deployment}"
paths = [{path}]
start = "beginning"
every = "PT1S"

"""


def demo(
    serve: Annotated[bool, typer.Option("--serve", help="Keep the daemon running until Ctrl-C.")] = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Where to keep the demo's data; default: a folder that is removed.")
    ] = None,
) -> None:
    """Replay a bundled intrusion through the real daemon, and print what was found."""
    with _folder(directory) as folder, _own_environment():
        config = folder / "triaged.toml"
        paths = scenario_paths()
        config.write_text(_configuration(folder, paths), encoding="utf-8")
        settings = wiring.load_settings(config)
        scenario = {event.id: event for event in map(events.normalise, open_paths(paths, deployment=DEPLOYMENT))}
        with _daemon(config, folder / "daemon.log") as process:
            _wait(process, settings, folder, len(scenario))
            documents = _written(folder)
            runs = recorded(folder / "runs.sqlite")
            Console().print(
                report.report(
                    findings(documents, runs, scenario),
                    steps=steps_found(truth().planted, tagged(documents, scenario)),
                    incidents=incidents(settings),
                    runs=ran(documents, runs, scenario),
                )
            )
            if serve:
                sys.stderr.write(f"the daemon keeps running on {config}; Ctrl-C stops it\n")
                _until_interrupted(process)
        typer.echo(json.dumps(summary(settings, len(scenario), documents, len(runs))))


def findings(
    documents: Sequence[dict[str, Any]], runs: Sequence[DryRun], scenario: Mapping[str, Event]
) -> Iterator[report.Finding]:
    """What was found, technique by technique, with the playbook that the dry-run SOAR recorded for it.

    A verdict lists the probabilities of its likeliest techniques alone, so one of many may have none.
    """
    playbooks = {run.event_id: run.playbook for run in runs}
    for document in documents:
        technique = document.get("threat", {}).get("technique", {})
        event = scenario[document["event"]["id"]]
        probability = {score["id"]: score["probability"] for score in document["triaged"]["techniques"]}
        for number, name in zip(technique.get("id", ()), technique.get("name", ()), strict=True):
            yield report.Finding(
                host=document.get("host", {}).get("name", "-"),
                technique=number,
                name=name,
                confidence=document["triaged"]["confidence"],
                probability=probability.get(number),
                event=report.summary(event.ecs),
                at=document.get("@timestamp", ""),
                playbook=playbooks.get(event.id),
                votes=document["triaged"]["members"],
            )


def ran(documents: Sequence[dict[str, Any]], runs: Sequence[DryRun], scenario: Mapping[str, Event]) -> list[report.Ran]:
    """What the dry-run SOAR recorded, each with the verdict that asked for it, as the target has it."""
    verdicts = {document["event"]["id"]: document for document in documents}
    return [
        report.Ran(
            playbook=run.playbook,
            rule=run.rule,
            host=run.host or "-",
            event=report.summary(scenario[run.event_id].ecs),
            confidence=verdicts[run.event_id]["triaged"]["confidence"],
            votes=verdicts[run.event_id]["triaged"]["members"],
        )
        for run in sorted(runs, key=lambda run: run.started_at)
    ]


def incidents(settings: Settings) -> list[IncidentState]:
    """The incidents that the intrusion made: the ledger has them whole."""
    with wiring.opened_ledger(settings) as ledger:
        return read_incidents(ledger.newest_incidents(MANY))


def tagged(documents: Sequence[dict[str, Any]], scenario: Mapping[str, Event]) -> dict[str, list[str]]:
    """Technique ids by the place (``file:line``) of the event that was tagged with them."""
    return {
        scenario[d["event"]["id"]].place.rpartition("/")[2]: d.get("threat", {}).get("technique", {}).get("id", [])
        for d in documents
    }


def summary(settings: Settings, total: int, documents: Sequence[dict[str, Any]], runs: int) -> dict[str, int | None]:
    """The demo's last line: counts, asked of the targets; ``dead`` of the ledger, for no target holds dead letters."""
    found = {
        technique
        for document in documents
        for technique in document.get("threat", {}).get("technique", {}).get("id", ())
    }
    with wiring.opened_ledger(settings) as ledger:
        dead = len(ledger.dead_letters())
    return {
        "events": total,
        "verdicts": len({d["event"]["id"] for d in documents}),
        "dead": dead,
        "techniques": len(found),
        "written": len(documents),
        "enriched": None,
        "runs": runs,
    }


def _configuration(folder: Path, paths: Sequence[Path]) -> str:
    sources = (
        SOURCE.format(deployment=DEPLOYMENT, name=path.name.partition(".")[0], path=_quoted(path)) for path in paths
    )
    return CONFIG.format(
        dir=_quoted(folder),
        sources="".join(sources),
        verdicts=_quoted(folder / "verdicts.jsonl"),
        runs=_quoted(folder / "runs.sqlite"),
    )


def _quoted(path: Path) -> str:
    """A path as a TOML string: JSON escapes the same, but leaves DEL as it is."""
    return json.dumps(str(path), ensure_ascii=False).replace("\x7f", "\\u007f")


@contextmanager
def _own_environment() -> Iterator[None]:
    """Hides the caller's settings from us and the daemon, lest they win over the demo's and name a production ledger."""
    kept = KEPT | {FOLDER} if STORE in os.environ else KEPT
    hidden = {
        name: value for name, value in os.environ.items() if name.upper().startswith("TRIAGED_") and name not in kept
    }
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


@contextmanager
def _folder(directory: Path | None) -> Iterator[Path]:
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        yield directory.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="triaged-demo-") as name:
        yield Path(name)


@contextmanager
def _daemon(config: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon in a process of its own, told to drain at the end. Raises ``TransientError`` unless it exits 0."""
    command = [sys.executable, "-m", "connector.cli", "run", "--config", str(config)]
    with log.open("wb") as file, subprocess.Popen(command, stderr=file, start_new_session=True) as process:  # noqa: S603 (our own module)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
    if process.returncode:
        raise TransientError(f"the daemon ended with status {process.returncode}; {_ending(log)}")


def _wait(process: subprocess.Popen[bytes], settings: Settings, folder: Path, total: int) -> None:
    """Until each event has its verdict in the target, and nothing waits any more."""
    begun = time.monotonic()
    shown = 0
    with progress("verdicts") as advance:
        while True:
            written = len(_written(folder))
            advance(written - shown)
            shown = written
            if written >= total and _nothing_waits(settings):
                return
            if process.poll() is not None or time.monotonic() - begun > TIMEOUT_S:
                raise TransientError(
                    f"the daemon did not finish: {written} of {total} verdicts; {_ending(folder / 'daemon.log')}"
                )
            time.sleep(POLL_S)


def _ending(log: Path) -> str:
    return f"its log ends:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}"


def _nothing_waits(settings: Settings) -> bool:
    """Whether all is done but what a person or a cap holds back: such an action waits with a reason, for hours maybe."""
    with wiring.opened_ledger(settings) as ledger:
        # asked first: an action that is held back in between counts as waiting once more, and never as done too early
        held = sum(bool(reason) for _, reason in ledger.waiting(MANY))
        waiting = sum(ledger.pending(name) for name in (*settings.targets, *settings.soars)) - held
        return not waiting and not any(ledger.open_runs(name, 1) for name in settings.soars)


def _written(folder: Path) -> list[dict[str, Any]]:
    """The verdict documents in the target; records of other kinds are left out."""
    path = folder / "verdicts.jsonl"
    whole, _, _ = (path.read_text(encoding="utf-8") if path.exists() else "").rpartition("\n")
    lines = whole.splitlines()
    return [document for document in map(json.loads, lines) if "verdict" in document["triaged"]]


def _until_interrupted(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait()
    except KeyboardInterrupt:
        sys.stderr.write("stopping\n")
