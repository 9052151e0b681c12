"""A person's word on an action: what is printed is what holds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from connector import wiring
from connector.cli import app, options
from connector.errors import ConfigError
from tests.daemon.site import Site


@pytest.fixture
def site(tmp_path) -> Site:
    site = Site(tmp_path)
    policy = site.dir / "policy.toml"
    policy.write_text(policy.read_text().replace('mode = "auto"', 'mode = "approve"'))
    site.events(1)
    return site


@pytest.fixture
def triaged(site):
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.stdout

    return run


@pytest.fixture
def key(triaged) -> str:
    triaged("run", "--drain")
    (line,) = triaged("actions").splitlines()
    return line.split("\t")[0]


def test_a_word_that_changes_nothing_says_so(triaged, key) -> None:
    assert "approved by" in triaged("approve", key, "--hours", "2")
    with pytest.raises(ConfigError, match=r"earlier decision stands: approved by .* until"):
        triaged("reject", key)
    with pytest.raises(ConfigError, match="earlier decision stands"):
        triaged("approve", key, "--hours", "9")


def test_an_approval_that_has_expired_is_renewed_and_the_action_runs(site, triaged, key) -> None:
    with wiring.opened_ledger(options.settings(site.config, None)) as ledger:
        ledger.set_approval(key, "approved", "ana", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    triaged("run", "--drain")
    assert site.runs() == {}
    assert "approved by" in triaged("approve", key)
    triaged("run", "--drain")
    assert site.runs() == {key: 1}
