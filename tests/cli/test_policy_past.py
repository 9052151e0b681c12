"""``policy explain`` and ``policy simulate`` on the command line: what they say, and that they change nothing."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from connector import wiring
from connector.cli import app, options
from connector.errors import ConfigError
from connector.types import DispositionChange
from tests.daemon.site import POLICY, Site, process_start

STRICT = POLICY.replace("min_confidence = 0.0", 'min_confidence = 1.0\ntechniques = ["T1003"]')


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    site.events(3)
    (site.dir / "strict.toml").write_text(STRICT)
    return site


@pytest.fixture(scope="module")
def triaged(site):
    def run(*arguments: str, given: str | None = None) -> str:
        done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)], input=given)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    run("run", "--drain")
    return run


@pytest.fixture(scope="module")
def ids(site, triaged) -> list[str]:
    return sorted(site.verdict_ids())


def content(site: Site) -> list[str]:
    with sqlite3.connect(site.dir / "data" / "ledger.sqlite") as ledger:
        return list(ledger.iterdump())


def test_an_explanation_says_what_each_rule_missed_what_admission_says_now_and_what_happened(
    site, triaged, ids
) -> None:
    before = content(site)
    told = json.loads(triaged("policy", "explain", ids[0], "--output", "json"))
    assert [rule["decides"] for rule in told["rules"]] == [True]
    assert told["then"].startswith("ran")
    assert told["now"].startswith(("run notify-on-call on dryrun", "refuse: cool-down"))
    page = triaged("policy", "explain", ids[0])
    assert "decides" in page
    assert "on record: ran" in page
    assert content(site) == before


def test_a_raw_event_is_explained_from_a_file_and_from_standard_input(site, triaged, tmp_path) -> None:
    event = json.dumps(process_start("whoami.exe")) + "\n"
    (tmp_path / "one.jsonl").write_text(event)
    from_file = json.loads(triaged("policy", "explain", str(tmp_path / "one.jsonl"), "--output", "json"))
    from_stdin = json.loads(triaged("policy", "explain", "-", "--output", "json", given=event))
    assert from_file["then"] == from_stdin["then"] == "never queued"
    assert from_file["p_malicious"] == from_stdin["p_malicious"]


def test_what_is_no_event_is_refused_with_what_was_looked_for(triaged) -> None:
    for nothing in ("no-such-event", "00000000-0000-5000-8000-000000000000"):
        with pytest.raises(ConfigError, match="neither a file nor the id"):
            triaged("policy", "explain", nothing)


def test_a_stricter_policy_is_tried_on_the_past_and_what_it_would_lose_is_named(site, triaged, ids) -> None:
    with wiring.opened_ledger(options.settings(site.config, None)) as ledger:
        now = datetime.now(UTC)
        confirmed = DispositionChange(
            alert_id="a",
            event_ids=tuple(ids[:1]),
            status="closed",
            disposition="true_positive",
            changed_at=now,
            observed_at=now,
        )
        ledger.record_dispositions("h", [confirmed], None)
    before = content(site)
    strict = str(site.dir / "strict.toml")
    told = json.loads(triaged("policy", "simulate", "--policy", strict, "--since", "1h", "--output", "json"))
    assert (told["verdicts"], told["lost"], told["gained"], told["new"]["runs"]) == (3, told["today"]["runs"], 0, 0)
    assert told["today"]["runs"] == len(site.runs())
    assert [change["event_id"] for change in told["lost_true_positives"]] == ids[:1]
    assert (told["record"]["other"], told["record"]["unknown"], told["record"]["only_recorded"]) == ({}, 0, 0)
    page = triaged("policy", "simulate", "--policy", strict)
    assert "This cannot tell:" in page
    assert "no rule matches" in page
    assert content(site) == before


def test_a_policy_that_could_not_be_in_force_is_not_simulated(site, triaged) -> None:
    (site.dir / "elsewhere.toml").write_text(POLICY.replace('soar = "dryrun"', 'soar = "elsewhere"'))
    with pytest.raises(ConfigError, match="elsewhere"):
        triaged("policy", "simulate", "--policy", str(site.dir / "elsewhere.toml"))
    with pytest.raises(ConfigError, match="no stretch of time"):
        triaged("policy", "simulate", "--policy", str(site.dir / "strict.toml"), "--since", "a while")


class Later(datetime):
    """A clock that is a day ahead."""

    @classmethod
    def now(cls, tz=None):
        return datetime.now(tz) + timedelta(days=1)


def test_an_event_of_a_group_is_explained_by_the_action_of_its_own_window(tmp_path) -> None:
    site = Site(tmp_path)
    (site.dir / "policy.toml").write_text(POLICY + 'group = "30m"\n')
    site.events(1)
    runner = CliRunner()
    assert runner.invoke(app, ["run", "--drain", "--config", str(site.config)]).exit_code == 0
    (event_id,) = site.verdict_ids()
    with sqlite3.connect(site.dir / "data" / "ledger.sqlite") as ledger:
        (document,) = ledger.execute("SELECT payload FROM outbox WHERE kind = 'action'").fetchone()
    key, subject = json.loads(document)["key"], json.loads(document)["subject"]
    assert subject != event_id
    arguments = ["policy", "explain", event_id, "--output", "json", "--config", str(site.config)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connector.cli.explain.datetime", Later)
        told = json.loads(runner.invoke(app, arguments).stdout)
    assert (told["action"], told["then"].partition(":")[0]) == (key, "ran")
    assert "max_age" not in told["now"]
