"""`triaged rules`: what takes part, what matches, what it costs; nothing is passed over in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from connector.models.rules.packs import files_of
from connector.models.rules.testbed import lay_rules_member, rules_spec
from connector.models.testbed import lay_bundle
from connector.settings import Settings
from connector.wiring import open_bundle
from tests.models.rules.made import rule, sysmon


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, word in (("a", "whoami"), ("b", "certutil")):
        made = rule({"CommandLine|contains": word}, title=f"Says {word}", level="high", author="Ann, Bob")
        (folder / f"{name}.yml").write_bytes(made[1])
    (folder / "bad.yml").write_bytes(rule({"Image|upside-down": "a"})[1])
    return folder


@pytest.fixture
def events(tmp_path: Path) -> Path:
    lines = ("whoami /all", "notepad", "x whoami")
    path = tmp_path / "events.jsonl"
    record = '{{"EventID": 1, "Channel": "Microsoft-Windows-Sysmon/Operational", "CommandLine": "{}"}}'
    path.write_text("\n".join([*(record.format(line) for line in lines), "{"]) + "\n")
    return path


def triaged(*arguments: object) -> tuple[str, str]:
    done = CliRunner().invoke(app, ["rules", *map(str, arguments)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout, done.stderr


def test_list_shows_the_rules_that_take_part_and_those_left_out_with_the_reason(rules: Path) -> None:
    said, counted = triaged("list", "--rules", rules)
    assert "high\twindows/process_creation\t\tSays whoami" in said
    assert f"{rules}/bad.yml\tUnknown modifier 'upside-down'" in said
    assert "2 rules take part, 1 are left out" in counted


def test_test_prints_each_event_that_a_rule_matches_with_its_place(rules: Path, events: Path) -> None:
    said, counted = triaged("test", events, "--rules", rules)
    found = [json.loads(line) for line in said.splitlines()]
    assert [hit["place"].rpartition(":")[2] for hit in found] == ["1", "3"]
    assert [match[1] for hit in found for match in hit["matches"]] == ["Says whoami", "Says whoami"]
    assert "1 records could not be read" in counted


def test_stats_counts_matches_and_tests_by_rule(rules: Path, events: Path) -> None:
    said, counted = triaged("stats", events, "--rules", rules)
    rows = [line.split("\t") for line in said.splitlines()]
    # certutil stands in no event, so its rule was never worth testing
    assert [(row[0], row[1], row[4]) for row in rows] == [("2", "2", "Says whoami")]
    assert "3 events" in counted
    assert "2 matches" in counted


def test_a_pack_holds_the_rules_that_can_be_compiled_and_can_be_used_as_a_folder_is(
    rules: Path, tmp_path: Path
) -> None:
    (tmp_path / "LICENSE").write_text("terms")
    said, _ = triaged("pack", rules, "--output", tmp_path / "pack.json")
    assert "2 rule files of 2 authors; 1 left out" in said
    assert [path for path, _ in files_of(tmp_path / "pack.json")] == ["a.yml", "b.yml"]
    assert "2 rules take part, 0 are left out" in triaged("list", "--rules", tmp_path / "pack.json")[1]


def test_without_rules_it_says_where_to_name_some(tmp_path: Path) -> None:
    config = tmp_path / "triaged.toml"
    config.write_text("")
    with pytest.raises(ConfigError, match=r"--rules.*model\.rules"):
        triaged("list", "--config", config)


def test_the_settings_folders_reach_a_bundles_rules_member_and_are_refused_where_it_has_none(
    rules: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    lay_rules_member(store / "tiny" / "1" / "rules")
    lay_bundle(store, members=[rules_spec()])
    lay_bundle(store, version="2")
    model = {"store": store, "bundle": "tiny/1", "rules": [rules]}
    bundle = open_bundle(Settings(model=model))
    (prediction,), _ = bundle.predict([sysmon(CommandLine="certutil")], {})
    assert any("Says certutil (high, by Ann, Bob)" in note for note in prediction.explanation)
    with pytest.raises(ConfigError, match="tiny/2 has no member of kind rules"):
        open_bundle(Settings(model={**model, "bundle": "tiny/2"}))
