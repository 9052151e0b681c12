"""Silences from the command line: what is printed is what holds, and what would cover nothing is refused."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from tests.daemon.site import Site


@pytest.fixture
def site(tmp_path) -> Site:
    site = Site(tmp_path)
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


def test_a_silence_is_listed_refuses_and_ends(site, triaged) -> None:
    assert "1: * is silenced until 20" in triaged("silence", "*", "--for", "2h", "--reason", "patching")
    ((number, scope, _, _, reason),) = [line.split("\t") for line in triaged("silences").splitlines()]
    assert (number, scope, reason) == ("1", "*", "patching")
    triaged("run", "--drain")
    assert site.runs() == {}
    assert "1: ended" in triaged("silence", "--end", "1")
    assert triaged("silences") == ""
    with pytest.raises(ConfigError, match="it is over"):
        triaged("silence", "--end", "1")
    site.events(1)
    triaged("run", "--drain")
    assert len(site.runs()) == 1


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["*"], "--reason is needed"),
        (["*", "--reason", " "], "--reason is needed"),
        (["*", "--reason", "x", "--for", "for ever"], "no time up to 366d"),
        (["*", "--reason", "x", "--for", "900d"], "no time up to 366d"),
        (["everything", "--reason", "x"], "is no scope"),
        (["entity:host:", "--reason", "x"], "is no scope"),
        (["entity:address:ten", "--reason", "x"], "is no scope"),
        (["rule:no such rule", "--reason", "x"], "the policy has no rule 'no such rule'; it has: "),
        (["soar:elsewhere", "--reason", "x"], "the policy has no soar"),
        ([], "either a scope or --end"),
        (["*", "--end", "1"], "either a scope or --end"),
    ],
)
def test_what_would_silence_nothing_is_refused_and_says_why(triaged, arguments: list[str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        triaged("silence", *arguments)
    assert triaged("silences") == ""
