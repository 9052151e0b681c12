"""The delivery promise against a real server: what was written while it was polled has one verdict each."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from connector.identity import event_id
from tests.daemon.site import Site, stop, wait_until
from tests.running import Running
from tests.servers.elasticsearch import Elasticsearch
from tests.siem.elastic.asked import ask
from tests.siem.elastic.beds import TIMES
from tests.siem.elastic.ingest_writers import Writers

LOOKBACK = 12.0
LATE = 3.0
CONFIG = """
data_dir = "{dir}/data"
origin_key = "a key for tests alone"
[log]
format = "json"
level = "warning"
[ledger]
lease = "PT2S"
[model]
store = "{dir}/store"
[policy]
path = "{dir}/policy.toml"
[sources.elastic]
type = "elastic"
deployment = "lab"
hosts = ["{url}"]
index = ["{index}"]
every = "PT0.5S"
settle = "PT0.2S"
lookback = "PT{lookback:g}S"
start = "beginning"
batch = 500
keep_alive = "PT{keep_alive:g}S"
[targets.out]
type = "files"
path = "{dir}/out.jsonl"
every = "PT0.2S"
"""
POLICY = """
soar = "dryrun"

[[rules]]
name = "nothing"
min_confidence = 1.0
mode = "suggest"
tier = "ticket"
playbook = "notify-on-call"
"""


class PolledSite(Site):
    """A site whose one source is an index that is written to, found by a search up to a second after that."""

    def __init__(self, folder: Path, server: Elasticsearch, *, keep_alive: float = 60) -> None:
        super().__init__(folder)
        self.daemons: list[Running] = []
        self.index = f"once-{uuid.uuid4().hex[:12]}"
        settings = {"number_of_shards": 3, "number_of_replicas": 0, "refresh_interval": "1s"}
        ask(server, "PUT", f"/{self.index}", {**TIMES, "settings": settings})
        (self.dir / "policy.toml").write_text(POLICY)
        self.config.write_text(
            CONFIG.format(dir=folder, url=server.url, index=self.index, lookback=LOOKBACK, keep_alive=keep_alive)
        )

    def start(self, *command: str) -> Running:
        """A process that does not outlive the test."""
        self.daemons.append(super().start(*command))
        return self.daemons[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.kill()
                daemon.communicate()

    def proves(self, writers: Writers) -> None:
        """Each event that was written has one verdict, nothing else has, and the server counts as many."""
        assert writers.slowest < LOOKBACK - 2, "the machine was too slow: events came later than the promise allows"
        expected = {event_id("lab", f"{self.index}/{number}") for number in writers.written}
        counts = self.verdict_ids()
        assert counts.keys() == expected
        assert set(counts.values()) == {1}
        time.sleep(max(0, writers.last + 1.25 * LOOKBACK + 4 - time.time()))
        again = 60 + len(expected) / 100  # as many events are read again as were read
        wait_until(lambda: self.gaps() == 0, "every span was read again after its lookback", again)
        counts = self.verdict_ids()
        assert (counts.keys(), set(counts.values())) == (expected, {1})

    def gaps(self) -> int:
        """The exit code of the command that asks the server for its own count."""
        command = self.start("-m", "connector.cli", "gaps", "--verify", "--config", str(self.config))
        command.communicate(timeout=120)
        return command.returncode

    def classified(self) -> int:
        """How many verdicts there are, counted by lines: reading fifty thousand over and over would take the machine."""
        path = self.dir / "out.jsonl"
        return path.read_bytes().count(b"\n") if path.exists() else 0


def all_have_one(site: PolledSite, count: int, daemon: Running, seconds: float) -> None:
    wait_until(lambda: site.classified() >= count, f"{count} events have a verdict", seconds, of=daemon)


@pytest.fixture
def own_server() -> Iterator[Elasticsearch]:
    """A server that a test may end without another one's noticing."""
    with Elasticsearch() as server:
        yield server


def test_what_is_written_while_it_is_polled_has_one_verdict_each_and_what_comes_too_late_is_found(
    elasticsearch: Elasticsearch, tmp_path: Path
) -> None:
    with PolledSite(tmp_path, elasticsearch) as site:
        writers = Writers(elasticsearch, site.index, 2000, writers=4, seconds=4, late=LATE)
        daemon = site.start()
        writers.start()
        writers.join()
        all_have_one(site, 2000, daemon, 120)
        site.proves(writers)
        stop(daemon)
        late = {"event": {"ingested": int((writers.last - 0.1) * 1000)}}
        ask(elasticsearch, "PUT", f"/{site.index}/_doc/late?refresh=true", late)
        assert site.gaps() == 1


@pytest.mark.full
@pytest.mark.timeout(2400)
def test_fifty_thousand_written_while_polled_have_one_verdict_each(own_server: Elasticsearch, tmp_path: Path) -> None:
    with PolledSite(tmp_path, own_server, keep_alive=1) as site:
        writers = Writers(own_server, site.index, 50_000, writers=6, seconds=60, late=LATE)
        daemon = site.start()
        writers.start()
        writers.join()
        all_have_one(site, 50_000, daemon, 900)
        site.proves(writers)
        stop(daemon)


@pytest.mark.full
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_server_and_a_daemon_that_end_in_the_middle_cost_no_event(
    own_server: Elasticsearch, tmp_path: Path, how: str
) -> None:
    count = 10_000
    with PolledSite(tmp_path, own_server) as site:
        writers = Writers(own_server, site.index, count, writers=4, seconds=60, late=LATE)
        daemon = site.start()
        writers.start()
        wait_until(lambda: site.classified() > count // 20, "some events have a verdict", 300, of=daemon)
        if how == "kill":
            own_server.kill()
            own_server.start()
        else:
            own_server.restart()
        wait_until(lambda: site.classified() > count // 5, "more events have a verdict", 300, of=daemon)
        daemon.send_signal(signal.SIGKILL)
        daemon.communicate(timeout=60)
        daemon = site.start()
        writers.join()
        all_have_one(site, count, daemon, 600)
        site.proves(writers)
        stop(daemon)
