"""A whole Triaged before the stand-in of splunkd, on a clock that both share: days pass in seconds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from typer.testing import CliRunner

from connector import wiring
from connector.cli import app as commands
from connector.errors import TransientError
from connector.testing import ManualClock
from tests.models.tiny import tiny_store
from tests.splunkd import Splunkd

CONFIG = """
data_dir = {dir}
origin_key = "a key for tests alone"
[model]
store = {store}
[policy]
path = {policy}
[soars.dryrun]
type = "dryrun"
path = {runs}
"""

POLICY = """
soar = "dryrun"

[[rules]]
name = "nothing"
min_confidence = 1.0
mode = "suggest"
tier = "ticket"
playbook = "notify-on-call"
"""


class SplunkSite:
    """One daemon's application without its schedule: ``turn`` polls and delivers once, failing as a job may fail."""

    def __init__(
        self, folder: Path, splunkd: Splunkd, clock: ManualClock, tables: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self.folder, self.splunkd, self.clock = folder, splunkd, clock
        self.failures: Counter[str] = Counter()
        if not (folder / "store").exists():
            tiny_store(folder / "store")
        (folder / "policy.toml").write_text(POLICY)
        places = {"dir": "data", "store": "store", "policy": "policy.toml", "runs": "runs.sqlite"}
        text = CONFIG.format(**{name: json.dumps(str(folder / place)) for name, place in places.items()})
        for name, table in tables.items():
            text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        self.config = folder / "triaged.toml"
        self.config.write_text(text)
        self.app = wiring.App(wiring.load_settings(self.config), clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.close()

    def turn(self) -> int:
        """How many records were delivered. An outage ends a poll, and the next one goes on."""
        for ingest in self.app.ingests.values():
            try:
                ingest.poll()
            except TransientError as error:
                self.failures[type(error).__name__] += 1
        for act in self.app.acts.values():
            act.drain()
        delivered = 0
        for deliver in self.app.delivers.values():
            with suppress(TransientError):
                delivered += deliver.drain()
        return delivered

    def written(self) -> Counter[str]:
        """How often each event has a verdict in the file."""
        path = self.folder / "out.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return Counter(json.loads(line)["event"]["id"] for line in lines)

    def gaps(self) -> str:
        """What ``triaged gaps --verify`` says."""
        result = CliRunner().invoke(commands, ["gaps", "--verify", "--config", str(self.config)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return str(result.output)


def source(splunkd: Splunkd, **more: Any) -> dict[str, Any]:
    """The table of a source that reads everything from the beginning."""
    return {
        "type": "splunk",
        "hosts": [splunkd.url],
        "token": splunkd.token,
        "deployment": "site",
        "start": "beginning",
        **more,
    }
