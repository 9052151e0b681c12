"""Where the scenario's files are: inside the package, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

SCENARIO = Path(__file__).parent / "scenario"

WORKSTATION = SCENARIO / "lmr-ws-0147.winlogbeat.jsonl.gz"
FILE_SERVER = SCENARIO / "lmr-fs-02.splunk.jsonl.gz"

TRUTH = SCENARIO / "truth.json"
"""Which events were planted, and what each shows. Nothing that scores an event reads it."""


def scenario_paths() -> tuple[Path, Path]:
    """The event files: the workstation's in Winlogbeat format, the file server's as exported Splunk rows."""
    return WORKSTATION, FILE_SERVER
