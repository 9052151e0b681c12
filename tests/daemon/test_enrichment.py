"""The site's own tables: proven by `config check`, heeded by the daemon and by `classify`, read again on SIGHUP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.daemon.site import Site, stop, wait_until
from tests.running import ROOT

HEADER = "list,kind,value,reason,author,expires\n"


def tables(site: Site, lists: str, assets: str = "host,tags\nws-01,laboratory\n") -> None:
    (site.dir / "lists.csv").write_text(HEADER + lists)
    (site.dir / "assets.csv").write_text(assets)


def site_with_tables(tmp_path) -> Site:
    extra = f'[enrichment]\nassets = ["{tmp_path}/assets.csv"]\nlists = ["{tmp_path}/lists.csv"]\n'
    return Site(tmp_path, level="info", extra=extra)


def triaged(site: Site, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "connector.cli", *arguments, "--config", str(site.config)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_reload_puts_new_entries_in_force_and_a_broken_file_keeps_the_old_ones(tmp_path):
    site = site_with_tables(tmp_path)
    tables(site, "")
    site.events(1)
    daemon = site.start()
    wait_until(lambda: len(site.verdicts()) == 1, "the first event is delivered")
    tables(site, "block,host,ws-01,seen before,anna,never\n")
    daemon.send_signal(signal.SIGHUP)

    def blocked() -> bool:
        """One more event at a time, until the new tables are in force."""
        before = len(site.verdicts())
        site.events(1)
        wait_until(lambda: len(site.verdicts()) > before, "the next event is delivered")
        return site.verdicts()[-1]["triaged"]["verdict"] == "malicious"

    wait_until(blocked, "an entry blocks")
    tables(site, "block,host,ws-01,,anna,never\n")
    daemon.send_signal(signal.SIGHUP)
    assert blocked()
    lines = stop(daemon)
    assert site.verdicts()[0]["triaged"]["verdict"] == "benign"
    assert {tuple(document["triaged"]["tags"]) for document in site.verdicts()} == {("laboratory",)}
    refused = [line for line in map(json.loads, lines) if line["event"] == "daemon.reload_refused"]
    assert len(refused) == 1
    assert "lists.csv:2: reason" in refused[0]["reason"]


def test_config_check_proves_the_tables_and_says_what_is_in_force(tmp_path):
    site = site_with_tables(tmp_path)
    tables(site, "block,host,a,r,anna,never\nallow,host,b,r,anna,2020-01-01\nallow,host,c,r,anna,never\n")
    done = triaged(site, "config", "check")
    assert "ok   enrichment (1 assets, 1 block entries, 1 allow entries, 1 expired)" in done.stdout.splitlines()
    tables(site, "block,hosts,a,r,anna,never\n")
    done = triaged(site, "config", "check")
    assert done.returncode == 1
    assert "FAIL enrichment" in done.stdout
    assert "lists.csv:2: kind" in done.stdout
    (tmp_path / "lists.csv").unlink()
    assert "lists.csv cannot be read" in triaged(site, "config", "check").stdout


def test_classify_heeds_the_tables_too(tmp_path):
    site = site_with_tables(tmp_path)
    tables(site, "block,process,C:\\Program Files\\Tools\\tool-0.exe,seen before,anna,never\n")
    site.events(2)
    done = triaged(site, "classify", str(tmp_path / "in" / "a.jsonl"))
    first, second = (json.loads(line)["triaged"] for line in done.stdout.splitlines())
    assert (first["verdict"], second["verdict"]) == ("malicious", "benign")
    assert first["tags"] == second["tags"] == ["laboratory"]
