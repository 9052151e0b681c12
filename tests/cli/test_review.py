"""``triaged review`` and the daemon's job: from a drain to a question, to an answer, to a label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connector import wiring
from connector.cli import app
from connector.daemon import Daemon
from connector.errors import ConfigError
from connector.learn.export import Folder
from tests.daemon.site import Site, process_start

SETTINGS = """
[retention]
snapshot_share = 1.0
[export]
key = "a key for tests alone, and long"
[review]
budget = 2
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, extra=SETTINGS)
    for name in ("one", "two", "three"):
        (made.dir / "in" / f"{name}.jsonl").write_text(json.dumps(process_start(f"{name}\x1b[31m.exe")) + "\n")
    return made


def triaged(site: Site, *arguments: str) -> str:
    done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def questions(site: Site, *more: str) -> list[list[str]]:
    return [line.split("\t") for line in triaged(site, "review", "list", *more).splitlines()]


def test_a_drain_asks_and_an_answer_by_command_is_in_the_next_export(site: Site) -> None:
    triaged(site, "run", "--drain")
    first, second = questions(site)
    assert first[3:6] == ["benign", "0.01799", "ws-01"]
    told = [json.loads(line) for line in (site.dir / "out.jsonl").read_text().splitlines()]
    assert {one["event"]["id"] for one in told if one["triaged"].get("needs_label")} == {first[0], second[0]}
    shown = triaged(site, "review", "show", first[0])
    assert "\x1b" not in shown
    found = json.loads(shown)
    assert (found["verdict"]["triaged"]["verdict"], found["event"]["process"]["name"][-9:]) == (
        "benign",
        "\x1b[31m.exe",
    )
    answer = ("review", "answer", first[0].upper(), "benign_positive", "--technique", "T1105", "--analyst", "Ana")
    assert triaged(site, *answer).endswith("benign_positive by Ana\n")
    assert triaged(site, *answer).endswith("benign_positive by Ana\n")
    assert questions(site) == [second]
    assert [row[-1] for row in questions(site, "--all") if row[0] == first[0]] == ["answered benign_positive by Ana"]
    triaged(site, "run", "--drain")
    [row] = Folder(site.dir / "data" / "export").labels()
    assert (row.alert, row.disposition, row.techniques) == (first[0], "benign_positive", ("T1105",))
    ends = [json.loads(line)["triaged"] for line in (site.dir / "out.jsonl").read_text().splitlines()]
    assert [one["cause"] for one in ends if one.get("needs_label") is False] == [row.event_id]


def test_an_answer_that_is_none_is_refused_with_the_words_that_are_known(site: Site) -> None:
    triaged(site, "run", "--drain")
    key = questions(site)[0][0]
    for words, why in (
        (("harmless",), r"Dispositions are: true_positive, .*; causes are: benign_software"),
        (("false_positive", "--cause", "bad luck"), "causes are: benign_software"),
        (("false_positive", "--technique", "T0"), "no ATT&CK technique has the id 'T0'"),
        (("true_positive", "--cause", "test"), "a cause is of false alarms"),
        (("false_positive", "--comment", "x" * 3000), "2000"),
    ):
        with pytest.raises(ConfigError, match=why):
            triaged(site, "review", "answer", key, *words)
    for unknown in ("nobody", "00000000-0000-5000-8000-000000000000"):
        with pytest.raises(ConfigError, match="no question has the id"):
            triaged(site, "review", "answer", unknown, "false_positive")
    with wiring.opened_ledger(wiring.load_settings(site.config)) as ledger:
        ledger.withdraw_reviews({key: "labelled in the SIEM"})
    with pytest.raises(ConfigError, match="it was withdrawn: labelled in the SIEM"):
        triaged(site, "review", "answer", key, "false_positive")


def test_without_a_budget_there_is_no_job(site: Site) -> None:
    def jobs() -> set[str]:
        daemon = Daemon(lambda: wiring.App(wiring.load_settings(site.config)))
        try:
            return {job.id for job in daemon._scheduler.get_jobs()}
        finally:
            daemon.app.close()

    assert "review" in jobs()
    site.config.write_text(site.config.read_text().replace("budget = 2", ""))
    assert "review" not in jobs()
