"""Settings: one tree from file, secrets and environment; a wrong key says which keys exist."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from connector import wiring
from connector.errors import ConfigError
from connector.ledger import REVIEW
from connector.settings import json_schema

FILE = """
data_dir = "{data}"
[sources.lab]
type = "files"
deployment = "lab"
paths = ["{data}/in/*.jsonl"]
[targets.out]
type = "files"
path = "{data}/out.jsonl"
[soars.dry]
type = "dryrun"
path = "{data}/runs.sqlite"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "triaged.toml"
    path.write_text(FILE.format(data=tmp_path))
    return path


def test_a_file_becomes_typed_settings_with_the_adapters_own_keys(file):
    settings = wiring.load_settings(file)
    assert settings.sources["lab"].lookback == timedelta(0)
    assert settings.targets["out"].when_full == "pause"
    assert settings.soars["dry"].when_full == "park"


def test_the_environment_wins_over_secret_files_and_they_win_over_the_file(file, tmp_path, monkeypatch):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "ledger__url").write_text("sqlite:///from-secret\n")
    (secrets / "origin_key").write_text("from-secret")
    monkeypatch.setenv("TRIAGED_ORIGIN_KEY", "from-environment")
    monkeypatch.setenv("TRIAGED_LOG__LEVEL", "debug")
    settings = wiring.load_settings(file, secrets)
    assert settings.ledger.url is not None
    assert settings.ledger.url.get_secret_value() == "sqlite:///from-secret"
    assert settings.origin_key is not None
    assert settings.origin_key.get_secret_value() == "from-environment"
    assert settings.log.level == "debug"


def test_a_secret_is_never_shown(file, monkeypatch):
    monkeypatch.setenv("TRIAGED_ORIGIN_KEY", "do-not-show")
    settings = wiring.load_settings(file)
    assert "do-not-show" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("addition", "says"),
    [
        ("[log]\nlevle = 'info'\n", ["log.levle", "unknown key", "did you mean 'level'", "format, level"]),
        ("[sources.x]\ntype = 'files'\ndeployment = 'x'\npath = ['a']\n", ["paths", "lookback"]),
        ("[sources.x]\ntype = 'sentinel'\ndeployment = 'x'\n", ["files"]),
        ("[soars.x]\ntype = 'phantom'\n", ["dryrun"]),
        ("[nonsense]\n", ["nonsense", "sources", "targets"]),
        ("[log]\nlevel = 'loud'\n", ["log.level", "'warning'"]),
    ],
)
def test_a_wrong_setting_says_where_it_is_and_what_exists(file, addition, says):
    file.write_text(file.read_text() + addition)
    with pytest.raises(ConfigError) as caught:
        wiring.load_settings(file)
    for words in says:
        assert words in str(caught.value)


def test_a_source_whose_target_does_not_exist_is_refused(file):
    file.write_text(file.read_text().replace('deployment = "lab"', 'deployment = "lab"\ntargets = ["siem"]'))
    with pytest.raises(ConfigError, match=r"siem.*targets are: out"):
        wiring.load_settings(file)


def test_keys_that_would_not_outlive_the_lookback_are_refused(file):
    file.write_text(file.read_text() + "[retention]\nverdicts = 'P100D'\ntombstones = 'P10D'\n")
    with pytest.raises(ConfigError, match="second verdict"):
        wiring.load_settings(file)


def test_settings_cannot_be_changed_once_loaded(file):
    settings = wiring.load_settings(file)
    with pytest.raises(ValueError, match="frozen"):
        settings.log.level = "debug"


def test_the_schema_names_every_adapter():
    schema = json.loads(json_schema(wiring.kinds()))
    assert {"sources", "targets", "soars", "histories"} <= schema["properties"].keys()
    assert "paths" in json.dumps(schema)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        wiring.load_settings(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[log\n")
    with pytest.raises(ConfigError, match="not TOML"):
        wiring.load_settings(broken)


@pytest.mark.parametrize(
    ("where", "addition"),
    [
        ("sources.x.settle", "[sources.x]\ntype='files'\ndeployment='x'\npaths=['a']\nsettle='-PT5S'\n"),
        ("sources.x.every", "[sources.x]\ntype='files'\ndeployment='x'\npaths=['a']\nevery='PT0S'\n"),
        ("targets.x.every", "[targets.x]\ntype='files'\npath='a'\nevery='-PT1S'\n"),
        ("ledger.lease", "[ledger]\nlease='PT0S'\n"),
        ("retention.verdicts", "[retention]\nverdicts='PT0S'\ntombstones='PT0S'\n"),
        ("retention.dead_letters", "[retention]\ndead_letters='-P1D'\n"),
        ("retention.every", "[retention]\nevery='PT0S'\n"),
    ],
)
def test_a_duration_that_would_break_a_promise_is_refused(file, where, addition):
    file.write_text(file.read_text() + addition)
    with pytest.raises(ConfigError, match=where):
        wiring.load_settings(file)


def test_what_cannot_be_read_is_a_wrong_setting_and_no_traceback(file, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="cannot be read"):
        wiring.load_settings(tmp_path)
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b'data_dir = "\xe9"\n')
    with pytest.raises(ConfigError, match=r"latin\.toml"):
        wiring.load_settings(broken)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "origin_key").write_bytes(b"\xff" * 32)
    with pytest.raises(ConfigError, match="UTF-8"):
        wiring.load_settings(file, secrets)
    (secrets / "origin_key").unlink()
    (secrets / "ledger").write_text("x")
    (secrets / "ledger__url").write_text("x")
    with pytest.raises(ConfigError, match="'ledger' is a secret file itself"):
        wiring.load_settings(file, secrets)
    monkeypatch.setenv("TRIAGED_SOURCES", "{no json")
    with pytest.raises(ConfigError, match="environment"):
        wiring.load_settings(file)


def test_no_alert_history_of_a_site_lies_where_answers_to_our_questions_do(tmp_path: Path) -> None:
    path = tmp_path / "triaged.toml"
    path.write_text(f'[histories.{REVIEW}]\ntype = "files"\npath = "x"\n')
    with pytest.raises(ConfigError, match="answers to our own questions"):
        wiring.load_settings(path)
