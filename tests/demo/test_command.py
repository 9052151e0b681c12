"""`triaged demo` keeps to its own folder, ends whatever the policy holds back, and tells of a daemon that failed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from connector.attack.techniques import FACTS, FOLDER
from connector.cli import app, demo
from connector.errors import TransientError
from connector.models.testbed import THRESHOLDS
from connector.types import Event, SourceRef
from connector.wiring import load_settings
from tests.daemon.site import Site
from tests.models.whole import whole_store
from tests.running import ROOT


class Shown(NamedTuple):
    """What a demo printed, and its folder."""

    text: str
    folder: Path

    @property
    def summary(self) -> dict[str, int | None]:
        """The last line."""
        return json.loads(self.text.splitlines()[-1])


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Shown:
    """The demo with a bundle of several members, in an environment that would steer it elsewhere."""
    place = tmp_path_factory.mktemp("demo")
    folder = place / 'a "quoted" \\ földer 🌲'
    steering = {
        "TRIAGED_DATA_DIR": str(place / "production"),
        "TRIAGED_LEDGER__URL": f"sqlite:///{place}/production.sqlite",
        "TRIAGED_SECRETS_DIR": str(place),
        "TRIAGED_MODEL__STORE": str(whole_store(place / "store")),
        "COLUMNS": "160",
    }
    (place / "origin_key").write_text("short")
    return Shown(run("-m", "connector.cli", "demo", "--dir", str(folder), **steering), folder)


def run(*words: str, **more: str) -> str:
    """What Python prints in a process of its own, with more variables in its environment."""
    command, environment = [sys.executable, *words], {**os.environ, **more}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_callers_settings_do_not_steer_the_demo_and_any_folder_will_do(shown) -> None:
    found = shown.summary
    assert found["events"] == found["verdicts"] == found["written"] >= 500
    assert (shown.folder / "ledger.sqlite").exists()
    assert not list(shown.folder.parent.glob("production*"))


def test_votes_incident_and_what_ran_are_told_of_a_bundle_of_several_members(shown) -> None:
    assert "votes: text 0.88, rules 0.75, sequence 1, meta 1" in shown.text
    assert "Without a view of these events, and so without a vote: payload, flow." in shown.text
    assert len(re.findall(r"^Incident \S+: LMR-WS-0147\.larkmoor\.example", shown.text, re.MULTILINE)) == 1
    runs = re.findall(r"^Playbook (\S+) ran on (\S+): rule '(.+)', (\S+) sure$", shown.text, re.MULTILINE)
    assert len(runs) == shown.summary["runs"] > 0
    assert ("credential-dumping-response", "credential dumping") in {(run[0], run[2]) for run in runs}
    assert all(float(run[3]) >= THRESHOLDS.trigger for run in runs)


def test_the_environment_is_given_back(monkeypatch) -> None:
    monkeypatch.setenv("TRIAGED_DATA_DIR", "theirs")
    monkeypatch.setenv("triaged_log__level", "theirs")
    for name in demo.KEPT:
        monkeypatch.setenv(name, "theirs")
    before = dict(os.environ)
    with demo._own_environment():
        assert {name for name in os.environ if name.upper().startswith("TRIAGED_")} == demo.KEPT
    assert dict(os.environ) == before


def test_the_catalogue_of_another_model_is_heeded_and_without_one_it_is_not(monkeypatch) -> None:
    monkeypatch.setenv(FOLDER, "theirs")
    monkeypatch.delenv(demo.STORE, raising=False)
    with demo._own_environment():
        assert FOLDER not in os.environ
    monkeypatch.setenv(demo.STORE, "theirs")
    with demo._own_environment():
        assert os.environ[FOLDER] == "theirs"


@pytest.mark.full
def test_a_bundle_of_another_catalogue_is_shown(tmp_path) -> None:
    (tmp_path / FACTS.name).write_text(json.dumps(json.loads(FACTS.read_bytes()) | {"version": "99.0"}))
    theirs = {FOLDER: str(tmp_path), demo.STORE: str(tmp_path / "store")}
    run("-c", f"import pathlib, tests.models.tiny as t; t.tiny_store(pathlib.Path({theirs[demo.STORE]!r}))", **theirs)
    run("-m", "connector.cli", "demo", "--dir", str(tmp_path / "demo"), **theirs)
    verdicts = map(json.loads, (tmp_path / "demo" / "verdicts.jsonl").read_text().splitlines())
    assert {one["triaged"]["model"]["attack_version"] for one in verdicts if "verdict" in one["triaged"]} == {"99.0"}


def test_every_character_of_a_path_reaches_the_settings() -> None:
    path = Path("".join(map(chr, range(1, 0x100))) + "🌲")
    assert tomllib.loads(f"path = {demo._quoted(path)}") == {"path": str(path)}


def test_an_action_that_waits_for_a_person_does_not_keep_the_demo_waiting(tmp_path) -> None:
    site = Site(tmp_path)
    policy = tmp_path / "policy.toml"
    policy.write_text(policy.read_text().replace('mode = "auto"', 'mode = "approve"'))
    site.events(2)
    site.drain()
    listed = CliRunner().invoke(app, ["actions", "--config", str(site.config)]).stdout
    assert listed.count("waits for approval") == 2
    assert demo._nothing_waits(load_settings(site.config))


def test_a_daemon_that_fails_is_told_with_the_end_of_its_log(tmp_path) -> None:
    with (
        pytest.raises(TransientError, match=r"status 2; its log ends:\n.*none\.toml"),
        demo._daemon(tmp_path / "none.toml", tmp_path / "daemon.log") as process,
    ):
        process.wait(60)


def test_a_technique_whose_probability_the_verdict_does_not_list_keeps_the_verdicts_confidence() -> None:
    event = Event(
        id="e", ref=SourceRef(siem="s", index="i", id="1"), kind="generic", ecs={}, canonical=(), fingerprint="f"
    )
    document = {
        "event": {"id": "e"},
        "threat": {"technique": {"id": ["T1003", "T1059"], "name": ["a", "b"]}},
        "triaged": {
            "confidence": 0.97,
            "techniques": [{"id": "T1003", "probability": 0.6}],
            "members": {"text": 0.97},
        },
    }
    found = list(demo.findings([document], [], {"e": event}))
    assert [(f.technique, f.confidence, f.probability) for f in found] == [("T1003", 0.97, 0.6), ("T1059", 0.97, None)]
