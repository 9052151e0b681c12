"""`triaged explain` tells what weighed most in the events of files, and counts what it could not read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connector.cli.app import app
from tests.models.tiny import tiny_store


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIAGED_MODEL__STORE", str(tiny_store(tmp_path / "store")))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "events.jsonl"
    command = "run mimikatz sekurlsa::logonpasswords"
    data = {"Image": "C:\\Tools\\run.exe", "CommandLine": command}
    winlog = {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": "1", "event_data": data}
    path.write_text(json.dumps({"event": {"code": "1"}, "winlog": winlog}) + "\n")
    return path


def test_each_event_gets_the_words_that_weighed_most(events: Path) -> None:
    done = CliRunner().invoke(app, ["explain", str(events), "--output", "jsonl"])
    assert done.exit_code == 0, done.output
    (row,) = map(json.loads, done.stdout.splitlines())
    assert row["explanation"]["words"][0]["piece"].startswith("mimikatz")
    assert row["explanation"]["examples"] == []


def test_an_event_that_cannot_be_read_is_told_and_the_others_are_explained(events: Path) -> None:
    events.write_text("{broken\n" + events.read_text())
    done = CliRunner().invoke(app, ["explain", str(events)])
    assert done.exit_code == 3
    assert "word" in done.stdout
    assert "mimikatz" in done.stdout
