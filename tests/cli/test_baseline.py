"""`triaged baseline`: learn from files, look at it, put it in use, take it back; and what it does to `triaged classify`."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from connector.cli.app import app
from connector.errors import ConfigError
from tests.learn.sites import ADMIN, bundle_with_reference


@pytest.fixture
def run(tmp_path, monkeypatch):
    bundle_with_reference(tmp_path / "store").close()
    monkeypatch.setenv("TRIAGED_MODEL__STORE", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, [*map(str, words)])


def document(command, host, day):
    return {
        "@timestamp": f"2026-03-0{day}T10:00:00Z",
        "host": {"name": host},
        "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"},
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "event_data": {"Image": "C:\\Tools\\tool.exe", "CommandLine": command},
        },
    }


@pytest.fixture
def stream(tmp_path):
    commands = [f"backup {letter}{other}" for letter in "abcdefgh" for other in "abcdefgh"]
    rows = [
        document(command, host, day)
        for day in (1, 2, 3)
        for host in ("ws1", "ws2")
        for command in (*commands, ADMIN, "powershell mimikatz whoami")
    ]
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def confidence(run, path, *options):
    (row,) = run("classify", path, *options).stdout.splitlines()
    return json.loads(row)["triaged"]["confidence"]


def test_a_layer_is_learnt_put_in_use_and_taken_back(run, stream, tmp_path):
    site = tmp_path / "site"
    short = run("baseline", "learn", stream, "--output", site)
    assert short.exit_code == 1
    assert "396 events passed, 10000 are needed" in short.stdout
    assert run("baseline", "status", site).exit_code == 1
    assert run("baseline", "learn", stream, "--output", site, "--min-events", 100).exit_code == 0
    told = run("baseline", "status", site)
    assert told.exit_code == 0
    assert "396 events, 66 distinct, of 2 hosts and 3 days" in told.stdout
    (tmp_path / "one.jsonl").write_text(json.dumps(document(ADMIN, "ws1", 4)))
    assert confidence(run, tmp_path / "one.jsonl", "--site", site) < confidence(run, tmp_path / "one.jsonl")
    assert run("baseline", "promote", site, "000001").exit_code == 0
    assert "layer 000002 is in use" in run("baseline", "rollback", site).stdout
    assert "the site is in shadow" in run("baseline", "rollback", site).stdout


def test_a_budget_is_given_once(run, stream, tmp_path):
    found = run("baseline", "learn", stream, "--output", tmp_path / "s", "--per-10000", 1, "--alarms-a-day", 2)
    assert isinstance(found.exception, ConfigError)
