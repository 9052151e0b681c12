"""The audit log: every action is in it, and what was changed, cut off or damaged does not go unseen."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.errors import ConfigError
from tests.daemon.site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Site:
    site = Site(tmp_path_factory.mktemp("site"))
    site.events(2)
    return site


@pytest.fixture(scope="module")
def triaged(site):
    def run(*arguments: str, code: int = 0):
        done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done

    run("run", "--drain")
    run("policy", "switch", "kill", "on")
    return run


def test_every_action_is_audited_with_its_rule_its_key_what_was_asked_and_how_it_ended(site, triaged) -> None:
    lines = [json.loads(line) for line in triaged("audit", "export").stdout.splitlines()]
    with sqlite3.connect(site.dir / "data" / "ledger.sqlite") as ledger:
        runs = {
            str(UUID(bytes=row[0])): row[1:] for row in ledger.execute("SELECT action_key, action, state FROM runs")
        }
    assert runs.keys() == site.runs().keys()
    for key, (action, state) in runs.items():
        told = [line for line in lines if line["detail"].get("key") == key]
        assert [line["what"] for line in told] == ["action admitted", "action started", "action ended"]
        assert [line["actor"] for line in told] == ["policy", "policy", "soar:dryrun"]
        assert {line["detail"]["rule"] for line in told} == {"everything"}
        assert {line["detail"]["request"] for line in told} == {hashlib.sha256(action).hexdigest()}
        assert told[-1]["detail"]["state"] == state


def test_an_export_is_proven_without_the_ledger_and_a_change_in_it_is_found(triaged, tmp_path) -> None:
    copy = tmp_path / "audit.jsonl"
    newest = triaged("audit", "export", "--output", str(copy)).stderr.split()[-1]
    assert newest in triaged("audit", "verify").stdout
    assert triaged("audit", "verify", str(copy), "--kept", newest).stdout.split()[-1] == newest
    whole = copy.read_bytes()
    copy.write_bytes(whole.replace(b'"everything"', b'"something"', 1))
    assert "broken at entry 1" in triaged("audit", "verify", str(copy), code=1).stderr
    copy.write_bytes(whole[:-20])
    assert "no entry of an audit log" in triaged("audit", "verify", str(copy), code=1).stderr
    with pytest.raises(ConfigError, match="cannot be written"):
        triaged("audit", "export", "--output", str(copy))


def test_an_end_that_was_cut_off_is_found_by_the_hash_that_was_kept(triaged, tmp_path) -> None:
    newest = triaged("audit", "verify").stdout.split()[-1]
    copy = tmp_path / "audit.jsonl"
    copy.write_text("".join(triaged("audit", "export").stdout.splitlines(keepends=True)[:-1]))
    assert "unbroken" in triaged("audit", "verify", str(copy)).stdout
    assert "is not in the chain" in triaged("audit", "verify", str(copy), "--kept", newest, code=1).stdout


def test_anybody_can_compute_the_hash_of_a_line_as_the_page_says(triaged) -> None:
    for line in triaged("audit", "export").stdout.splitlines():
        entry = json.loads(line)
        detail = line[line.index('"detail":') + len('"detail":') : line.index(',"prev":')]
        since = datetime.fromisoformat(entry["at"]) - datetime(1970, 1, 1, tzinfo=UTC)
        content = [
            entry["prev"],
            entry["seq"],
            since // timedelta(microseconds=1),
            entry["actor"],
            entry["what"],
            detail,
        ]
        text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == entry["hash"]
