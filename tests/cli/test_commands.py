"""The commands around the daemon: each says what it did, and its exit status says how it went."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from connector import pipeline, wiring
from connector.cli import app
from connector.errors import ConfigError, TransientError
from connector.ledger import Ledger
from connector.siem.files import FilesSource
from connector.testing import ManualClock, MemorySiem, memory_siem_plugin
from tests.daemon.site import Site


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture
def triaged(site):
    def run(*arguments: str, code: int = 0, stderr: bool = False) -> str:
        done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stderr if stderr else done.stdout

    return run


def test_run_drain_reads_delivers_and_follows_everything_once(site, triaged):
    site.events(30)
    triaged("run", "--drain")
    triaged("run", "--drain")
    assert sorted(site.verdict_ids().values()) == [1] * 30
    assert sorted(site.runs().values()) == [1] * 30
    assert triaged("gaps") == "no gaps\n"
    assert triaged("gaps", "--verify") == "no gaps\n"


def test_status_counts_verdicts_and_what_waits(site, triaged):
    site.events(5)
    triaged("run", "--drain")
    assert "verdicts" in triaged("status")


def test_dead_letters_are_listed_and_replayed(site, triaged):
    (site.dir / "in" / "a.jsonl").write_text("[1]\n")
    triaged("run", "--drain")
    assert "a.jsonl" in triaged("replay")
    assert triaged("replay", "--all") == "replayed 1\n"
    with pytest.raises(ConfigError, match="12345"):
        triaged("replay", "12345")


def test_a_cursor_is_shown_and_reset_and_events_keep_their_verdicts(site, triaged):
    site.events(8)
    triaged("run", "--drain")
    assert "forward" in triaged("cursor", "show")
    triaged("cursor", "reset", "lab")
    assert "forward" not in triaged("cursor", "show")
    triaged("run", "--drain")
    assert sorted(site.verdict_ids().values()) == [1] * 8


def test_an_unknown_source_is_named_with_those_that_exist(triaged):
    with pytest.raises(ConfigError, match="sources are: lab"):
        triaged("cursor", "reset", "lba")


def test_backfill_of_files_says_what_to_do_instead(site, triaged):
    site.events(1)
    with pytest.raises(ConfigError, match="cursor reset"):
        triaged("backfill", "lab", "--from", "2026-01-01", "--to", "2026-01-02")


def test_config_check_proves_each_connection_and_fails_on_a_broken_one(site, triaged):
    site.events(1)
    assert "FAIL" not in triaged("config", "check")
    (site.dir / "policy.toml").write_text('[[rules]]\nname = "x"\nplaybok = "y"\n')
    assert "FAIL policy" in triaged("config", "check", code=1)


def test_config_schema_is_json():
    done = CliRunner().invoke(app, ["config", "schema"])
    assert json.loads(done.output)["title"] == "Settings"


def test_model_list_marks_production_and_verify_finds_a_changed_byte(site, triaged):
    assert "*" in triaged("model", "list")
    assert ": ok" in triaged("model", "verify")
    (onnx,) = (site.dir / "store").rglob("model.onnx")
    onnx.write_bytes(onnx.read_bytes() + b"x")
    assert "model.onnx" in triaged("model", "verify", code=1)


def test_the_kill_switch_is_thrown_and_nothing_runs(site, triaged):
    site.events(3)
    triaged("policy", "switch", "kill", "on")
    triaged("run", "--drain")
    assert site.runs() == {}
    assert "kill" in triaged("status")


def test_a_policy_is_checked_before_it_is_used(site, triaged):
    assert "everything" in triaged("policy", "check")
    bad = site.dir / "bad.toml"
    bad.write_text('[[rules]]\nname = "x"\ntechniques = ["T9999"]\ntier = "note"\nplaybook = "notify-on-call"\n')
    with pytest.raises(ConfigError, match="T9999"):
        triaged("policy", "check", str(bad))


def test_a_policy_that_would_keep_the_daemon_from_starting_is_no_good_policy(site, triaged):
    long = site.dir / "long.toml"
    long.write_text((site.dir / "policy.toml").read_text().replace('per = "1h"', 'per = "300d"'))
    with pytest.raises(ConfigError, match="tombstones"):
        triaged("policy", "check", str(long))


def test_a_rule_that_nothing_reaches_is_told_and_exits_1(site, triaged):
    policy = site.dir / "policy.toml"
    policy.write_text(policy.read_text() + '[[rules]]\nname = "never"\ntier = "note"\nplaybook = "notify-on-call"\n')
    assert "'never' is never reached" in triaged("policy", "check", code=1, stderr=True)


def test_an_action_waits_for_a_person_and_runs_or_never_runs_as_they_say(site, triaged):
    policy = site.dir / "policy.toml"
    policy.write_text(policy.read_text().replace('mode = "auto"', 'mode = "approve"'))
    site.events(2)
    triaged("run", "--drain")
    first, second = (line.split("\t")[0] for line in triaged("actions").splitlines())
    assert "waits for approval" in triaged("actions")
    assert site.runs() == {}
    assert "approved" in triaged("approve", first, "--reason", "seen on the host")
    assert "rejected" in triaged("reject", second)
    triaged("run", "--drain")
    assert site.runs() == {first: 1}
    assert triaged("actions") == ""
    with pytest.raises(ConfigError, match="waits"):
        triaged("approve", first)


def break_the_model(site):
    (onnx,) = (site.dir / "store").rglob("model.onnx")
    onnx.write_bytes(onnx.read_bytes() + b"x")


def test_gaps_and_dead_letters_are_listed_whatever_the_model_is_like(site, triaged):
    (site.dir / "in" / "a.jsonl").write_text("[1]\n")
    triaged("run", "--drain")
    break_the_model(site)
    assert triaged("gaps") == "no gaps\n"
    assert "a.jsonl" in triaged("replay")


def test_a_file_that_is_cut_and_written_anew_under_the_same_first_line_is_read_anew(site, triaged):
    site.events(1)
    path = site.dir / "in" / "a.jsonl"
    first = path.read_bytes()
    site.events(20)
    triaged("run", "--drain")
    path.write_bytes(first)
    site.events(1)
    triaged("run", "--drain")
    assert triaged("gaps") == "no gaps\n"
    assert len(site.verdicts()) == 21 + 2


def test_a_dead_letter_that_cannot_be_replayed_stops_no_other(site, triaged, monkeypatch):
    (site.dir / "in" / "a.jsonl").write_text("[1]\n[2]\n[3]\n")
    triaged("run", "--drain")
    second = int(triaged("replay").splitlines()[1].split("\t")[0])
    replay = pipeline.replay

    def poisoned(ids, *rest):
        if second in ids:
            raise RuntimeError("poison")
        return replay(ids, *rest)

    monkeypatch.setattr(pipeline, "replay", poisoned)
    assert triaged("replay", "--all", code=1) == "replayed 2\n"


def test_a_source_out_of_reach_stops_no_other_and_retention_runs(site, triaged, monkeypatch):
    more = f'[sources.away]\ntype = "files"\ndeployment = "away"\npaths = ["{site.dir}/in/*"]\n'
    text = site.config.read_text()
    site.config.write_text(text.replace("[sources.lab]", f"{more}[sources.lab]"))
    heads, retained = FilesSource.heads, []

    def away(source):
        if source.name == "away":
            raise TransientError("no route to host")
        return heads(source)

    monkeypatch.setattr(FilesSource, "heads", away)
    monkeypatch.setattr(Ledger, "retain", lambda *_, **given: retained.append(given) or {})
    site.events(5)
    triaged("run", "--drain", code=1)
    assert len(site.verdict_ids()) == 5
    assert len(site.runs()) == 5
    (given,) = retained
    assert given["present"].keys() == {"lab"}


@pytest.fixture
def remote(site):
    """A site whose source is a SIEM with times."""
    siem = MemorySiem(ManualClock(datetime.now(UTC)))
    MemorySiem._named["remote"] = siem
    plugins = dict(wiring.plugins("triaged.siem"))
    text = site.config.read_text()
    start, end = text.index("[sources.lab]"), text.index("[targets.out]")
    table = '[sources.lab]\ntype = "memory"\ndeployment = "lab"\ninstance = "remote"\n'
    with pytest.MonkeyPatch.context() as patch:
        known = wiring.plugins
        added = plugins | {"memory": memory_siem_plugin}
        patch.setattr(
            "connector.wiring.registered.plugins", lambda group: added if group == "triaged.siem" else known(group)
        )
        site.config.write_text(text[:start] + table + text[end:])
        yield siem
    MemorySiem.forget("remote")


def test_backfill_says_why_it_did_not_read(site, remote, triaged):
    day = remote.clock() - timedelta(days=1)
    times = ("--from", f"{day:%Y-%m-%dT%H:%M:%S}", "--to", f"{day + timedelta(hours=1):%Y-%m-%dT%H:%M:%S}")
    with pytest.raises(ConfigError, match="--from lies ahead"):
        triaged("backfill", "lab", "--from", "2200-01-01", "--to", "2200-01-02")
    settings = wiring.load_settings(site.config)
    with wiring.opened_ledger(settings) as ledger:
        lease = ledger.acquire("source:lab", "another", timedelta(minutes=1))
        assert "another process holds lab" in triaged("backfill", "lab", *times, stderr=True)
        ledger.release(lease)
    assert "not read" not in triaged("backfill", "lab", *times, stderr=True)
