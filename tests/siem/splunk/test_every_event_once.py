"""The delivery promise on Splunk: whatever is late, skewed, repeated or broken, each event has one verdict."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.identity import event_id
from connector.testing import ManualClock
from tests.siem.splunk.site import SplunkSite, source
from tests.siem.splunk.trouble import Trouble
from tests.siem.splunk.writing import table
from tests.splunkd import Splunkd

EXPORT = "search/v2/jobs/export"
LOOKBACK = 300
LATEST = 120
"""Seconds from an event's indexing until a search finds it, at most."""


def event(number: int) -> dict[str, object]:
    return {
        "event": {"code": "1", "kind": "event", "category": ["process"], "type": ["start"]},
        "process": {"command_line": f"tool-{number % 97}.exe /run", "executable": f"C:\\t\\tool-{number % 97}.exe"},
        "number": number,
    }


def arrivals(splunkd: Splunkd, clock: ManualClock, count: int, dice: random.Random) -> Iterator[int]:
    """Puts events in as they come: in bursts of one second, late to be searched, with times of their own that lie far off."""
    number = 0
    while number < count:
        burst = min(count - number, dice.choice((1, 7, 40, 150)))
        late = dice.choice((0.0, 0.0, 3.0, 30.0, LATEST))
        for _ in range(burst):
            skew = dice.choice((0, 0, -86_400, -30 * 86_400, 3600, 400 * 86_400))
            splunkd.put(
                event(number),
                index=dice.choice(("main", "summary")),
                time=clock().timestamp() + skew,
                delay_s=late * dice.random(),
                sourcetype="_json",
            )
            number += 1
        yield number
        clock.advance(dice.choice((0.0, 0.4, 1.0, 5.0)))


def prove(folder: Path, count: int, seed: int, polled: float) -> set[tuple[int, str, int]]:
    """Which head was asked what, and the status that it gave."""
    dice, clock = random.Random(seed), ManualClock()
    peers = ("idx1", "idx2", "idx3")
    with Splunkd(clock=clock, peers=peers) as first, Splunkd(clock=clock, peers=peers, beside=first) as second:
        first.faults.indexer_skew_s = {"idx2": -25.0, "idx3": 18.0}
        trouble = Trouble((first, second), dice)
        with SplunkSite(folder, first, clock, tables(folder, first, second)) as site:
            for _ in arrivals(first, clock, count, dice):
                if dice.random() < polled:
                    trouble.begin()
                    site.turn()
            trouble.end()
            for _ in range(12):
                clock.advance(LOOKBACK / 4)
                site.turn()
            theirs, ours = ([one for one in first.events if (one.index == "triaged") is mine] for mine in (False, True))
            issued = {event_id("site", f"{one.bkt}:{one.cd}") for one in theirs}
            assert len(issued) == count
            assert site.written() == dict.fromkeys(issued, 1)
            assert site.gaps() == "no gaps\n"
            assert {json.loads(one.raw)["triaged"]["record_id"] for one in ours} == issued
            assert not list(site.app.ledger.dead_letters())
            assert site.failures
            assert trouble.met.keys() == trouble.kinds.keys()
        return {(n, one.path, one.status) for n, head in enumerate((first, second)) for one in head.requests}


def tables(folder: Path, first: Splunkd, second: Splunkd) -> dict[str, dict[str, object]]:
    """Everything is polled from two search heads by a password, and verdicts go to a file and to two collectors."""
    login = {"hosts": [first.url, second.url], "username": first.username, "password": first.password}
    polled = {key: value for key, value in source(first).items() if key != "token"} | login
    patient = {"ack_wait": "PT0.02S", "ack_lost": "PT30S", "ack_sends": 1000, "max_attempts": 1000}
    return {
        "sources.splunk": {**polled, "search": "index=*", "page": 400, "batch": 250, "settle": 2, "lookback": LOOKBACK},
        "targets.out": {"type": "files", "path": str(folder / "out.jsonl")},
        "targets.splunk": table(first, hec=[first.hec_url, second.hec_url], **patient),
    }


def test_each_event_has_one_verdict_whatever_breaks_and_the_server_counts_as_many(tmp_path: Path) -> None:
    asked = prove(tmp_path, 500, seed=6, polled=0.9)
    assert {(0, EXPORT, 200), (1, EXPORT, 200)} <= asked  # one took over from the other
    assert {(path, status) for _, path, status in asked} >= {(EXPORT, 401), (EXPORT, 503), ("auth/login", 200)}


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_fifty_thousand_events_have_one_verdict_each_whatever_breaks(tmp_path: Path) -> None:
    asked = prove(tmp_path, 50_000, seed=60, polled=0.4)
    assert {
        (n, path, 200) for n in (0, 1) for path in (EXPORT, "auth/login", "collector/event", "collector/ack")
    } <= asked
    assert {(EXPORT, 401), (EXPORT, 503), ("collector/event", 503), ("collector/ack", 503)} <= {
        one[1:] for one in asked
    }


@pytest.mark.parametrize("exclude", [["triaged"], []])
def test_a_source_of_everything_with_write_back_on_converges(tmp_path: Path, exclude: list[str]) -> None:
    clock = ManualClock()
    with Splunkd(clock=clock) as splunkd:
        tables = {
            "sources.splunk": source(splunkd, search="index=*", exclude=exclude, settle=0, lookback=60),
            "targets.splunk": table(splunkd, index="triaged"),
        }
        splunkd.put(*map(event, range(20)), sourcetype="_json")
        with SplunkSite(tmp_path, splunkd, clock, tables) as site:
            delivered = []
            for _ in range(8):
                clock.advance(30)
                delivered.append(site.turn())
            assert delivered[0] == 20
            assert sum(delivered) == 20
            assert site.gaps() == "no gaps\n"
        written = [one for one in splunkd.events if one.index == "triaged"]
        assert len(written) == 20
