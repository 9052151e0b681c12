"""``triaged export`` and the daemon's job: from files of events and of decisions to labels, and back to names with the key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from connector import wiring
from connector.cli import app
from connector.daemon import Daemon
from connector.errors import ConfigError
from connector.learn.export import Folder
from tests.daemon.site import Site

EXPORT = """
[retention]
snapshot_share = 1.0
[histories.desk]
type = "files"
path = "{path}"
[export]
key = "a key for tests alone, and long"
bulk_closures = 2
[export.dispositions]
harmless = "benign_positive"
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, extra=EXPORT.format(path=tmp_path / "closed.jsonl"))
    made.events(3)
    return made


def triaged(site: Site, *arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def decide(site: Site, number: int, **more: Any) -> None:
    out = [json.loads(line) for line in (site.dir / "out.jsonl").read_text().splitlines()]
    change = {
        "alert_id": f"A{number}",
        "status": "closed",
        "event_ids": [out[number]["event"]["id"]],
        "disposition": "harmless",
    }
    change |= {"changed_at": f"2026-01-0{number + 1}T12:00:00Z", "observed_at": f"2026-01-0{number + 1}T13:00:00Z"}
    with (site.dir / "closed.jsonl").open("a") as file:
        file.write(json.dumps(change | {"analyst": "Ana Lyst"} | more) + "\n")


def test_decisions_become_labels_by_command_and_by_the_daemon_and_names_come_back_with_the_key(site: Site) -> None:
    triaged(site, "run", "--drain")
    decide(site, 0)
    assert "1 new changes of alerts, 1 new events" in (told := triaged(site, "export"))
    assert "1 benign_positive" in told
    assert triaged(site, "export").startswith("nothing new")
    decide(site, 1, disposition="true_positive", analyst="svc-x")
    triaged(site, "run", "--drain")  # whose last job is the export
    assert "left out: 1 service account" in triaged(site, "export")
    [row] = Folder(site.dir / "data" / "export").labels()
    assert triaged(site, "export", "--reveal", row.analyst or "").strip() == "ana lyst"
    then = site.dir / "then"
    assert "labels that stand: none" in triaged(site, "export", "--as-of", "2026-01-01T12:30:00", "--to", str(then))
    assert [row.row for row in Folder(then).labels()] == []


def test_the_daemon_has_the_job_where_there_is_a_key_and_not_without_one(site: Site) -> None:
    def jobs() -> set[str]:
        daemon = Daemon(lambda: wiring.App(wiring.load_settings(site.config)))
        try:
            return {job.id for job in daemon._scheduler.get_jobs()}
        finally:
            daemon.app.close()

    assert "export" in jobs()
    site.config.write_text(site.config.read_text().replace('key = "a key for tests alone, and long"', ""))
    assert "export" not in jobs()


def test_without_a_key_or_with_half_of_as_of_the_command_says_what_to_do(site: Site) -> None:
    with pytest.raises(ConfigError, match="belong together"):
        triaged(site, "export", "--as-of", "2026-01-01T12:30:00")
    site.config.write_text(site.config.read_text().replace("a key for tests alone, and long", "short"))
    with pytest.raises(ConfigError, match=r"export\.key must hold at least 16 bytes"):
        triaged(site, "export")
    site.config.write_text(site.config.read_text().replace('key = "short"', ""))
    with pytest.raises(ConfigError, match="openssl rand"):
        triaged(site, "export")


def test_the_key_is_written_nowhere(site: Site) -> None:
    triaged(site, "run", "--drain")
    decide(site, 0)
    triaged(site, "export")
    written = [path for path in (site.dir / "data").rglob("*") if path.is_file()]
    assert written
    assert [path for path in written if b"a key for tests alone, and long" in path.read_bytes()] == []
