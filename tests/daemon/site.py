"""A small site on disk: events in files, verdicts to a file, playbooks to the dry-run SOAR, a tiny model."""

from __future__ import annotations

import itertools
import json
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.models.tiny import tiny_store
from tests.running import Running

CONFIG = """
data_dir = "{dir}/data"
origin_key = "a key for tests alone"
[log]
format = "json"
level = "{level}"
[ledger]
lease = "{lease}"
[model]
store = "{dir}/store"
[policy]
path = "{dir}/policy.toml"
[sources.lab]
type = "files"
deployment = "lab"
paths = ["{dir}/in/*.jsonl"]
every = "PT0.1S"
batch = 20
[targets.out]
type = "files"
path = "{dir}/out.jsonl"
every = "PT0.1S"
batch = 15
[soars.dryrun]
type = "dryrun"
path = "{dir}/runs.sqlite"
every = "PT0.1S"
"""

POLICY = """
soar = "dryrun"

[[rules]]
name = "everything"
min_confidence = 0.0
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
rate = { runs = 100000, per = "1h" }
"""


class Site:
    """One directory that a daemon runs in."""

    def __init__(self, directory: Path, *, level: str = "warning", extra: str = "", lease: str = "PT1M") -> None:
        self.dir = directory
        self._numbers = itertools.count()
        (directory / "in").mkdir()
        tiny_store(directory / "store")
        (directory / "policy.toml").write_text(POLICY)
        self.config = directory / "triaged.toml"
        self.config.write_text(CONFIG.format(dir=directory, level=level, lease=lease) + extra)

    def events(self, count: int, name: str = "a.jsonl") -> None:
        """Adds so many distinct process starts."""
        with (self.dir / "in" / name).open("a") as file:
            for _ in range(count):
                file.write(json.dumps(process_start(f"tool-{next(self._numbers)}.exe")) + "\n")

    def verdicts(self) -> list[dict[str, Any]]:
        """The verdict documents in the target file, whole lines only."""
        path = self.dir / "out.jsonl"
        whole, _, _ = (path.read_text() if path.exists() else "").rpartition("\n")
        return [d for d in map(json.loads, whole.splitlines()) if "verdict" in d["triaged"]]

    def verdict_ids(self) -> Counter[str]:
        """How often each event has a verdict in the target file."""
        return Counter(document["event"]["id"] for document in self.verdicts())

    def model_versions(self) -> set[str]:
        """The versions of the bundle that scored."""
        return {document["triaged"]["model"]["version"] for document in self.verdicts()}

    def runs(self) -> Counter[str]:
        """How often each action key was run, asked of the dry-run SOAR's own store."""
        path = self.dir / "runs.sqlite"
        if not path.exists():
            return Counter()
        with sqlite3.connect(path) as connection:
            return Counter(key for (key,) in connection.execute("SELECT key FROM runs"))

    def start(self, *command: str) -> Running:
        """Starts a process in this site, by default the daemon; it ends with the test."""
        return Running(command or ("-m", "connector.cli", "run", "--config", str(self.config)))

    def drain(self) -> None:
        """Runs `triaged run --drain` to its end."""
        done = self.start("-m", "connector.cli", "run", "--drain", "--config", str(self.config))
        _, errors = done.communicate(timeout=120)
        assert done.returncode == 0, errors.decode()


def process_start(image: str) -> dict[str, object]:
    """A Sysmon process start as Winlogbeat sends it."""
    return {
        "@timestamp": "2026-03-01T10:00:00Z",
        "host": {"name": "ws-01"},
        "agent": {"id": f"agent-of-{image}"},
        "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"},
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "event_data": {
                "Image": f"C:\\Program Files\\Tools\\{image}",
                "CommandLine": f"{image} --run",
                "User": "LAB\\alice",
            },
        },
    }


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60, *, of: Running | None = None) -> None:
    """Waits for something to come true, and fails with its name where it does not.

    ``of``: the process that is to do it; its log is part of the failure, and its end is one.
    """
    end = time.monotonic() + seconds
    while not condition():
        told = "" if of is None else f"; it logged:\n{of.log().decode()}"
        assert of is None or of.poll() is None, f"exit code {of.returncode} before {what}{told}"
        assert time.monotonic() < end, f"waited {seconds} s in vain until {what}{told}"
        time.sleep(0.05)


def listens(daemon: Running, to: signal.Signals = signal.SIGTERM) -> bool:
    """Whether it catches a signal by now: before, the signal would end it as it stands."""
    lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    (caught,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt"))
    return bool(caught >> (to - 1) & 1)


def logged(daemon: Running) -> list[str]:
    """The names of what it has logged until now, as JSON, in order."""
    whole, _, _ = daemon.log().decode().rpartition("\n")
    return [json.loads(line)["event"] for line in whole.splitlines() if line.startswith("{")]


def stop(process: Running) -> Sequence[str]:
    """Sends SIGTERM, and expects the daemon to drain and exit 0. Returns its log lines."""
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()
    return errors.decode().splitlines()
