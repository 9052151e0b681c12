"""A slip of the hand is told, and is never taken for success."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from tests.daemon.site import Site


@pytest.fixture
def site(tmp_path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def triaged(site):
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.mark.parametrize("name", ["kil", "Kill", "kill:all", "rule", "rule:", "playbook: ", "host:ws-01", ""])
def test_a_switch_that_would_stop_nothing_is_refused(triaged, name) -> None:
    with pytest.raises(ConfigError, match="rule:NAME"):
        triaged("policy", "switch", name, "on")
    assert "switch" not in triaged("status")


@pytest.mark.parametrize("name", ["kill", "rule:everything", "playbook:notify-on-call", "soar:dryrun"])
def test_each_switch_that_is_accepted_stops_the_playbook(site, triaged, name) -> None:
    site.events(1)
    triaged("policy", "switch", name, "on")
    triaged("run", "--drain")
    assert site.runs() == {}
    assert "switch" in triaged("actions")


@pytest.mark.parametrize("command", ["list", "verify"])
def test_a_store_without_a_bundle_is_told(site, triaged, command, tmp_path) -> None:
    (tmp_path / "empty").mkdir()
    site.config.write_text(site.config.read_text().replace(f"{tmp_path}/store", f"{tmp_path}/empty"))
    with pytest.raises(ConfigError, match=r"no bundle in .*empty"):
        triaged("model", command)


def test_config_check_says_when_a_source_has_no_file_yet(site, triaged) -> None:
    assert "ok   source lab: nothing there yet\n" in triaged("config", "check")
    site.events(1)
    assert "ok   source lab\n" in triaged("config", "check")
