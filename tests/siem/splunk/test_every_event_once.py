"""The delivery promise on Splunk: whatever is late, skewed, repeated or broken, each event has one verdict."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.identity import event_id
from connector.testing import ManualClock
from tests.siem.splunk.site import SplunkSite, source
from tests.siem.splunk.writing import table
from tests.splunkd import Cut, Faults, Refusal, Splunkd

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


def break_something(faults: Faults, dice: random.Random) -> None:
    """Switches on what may be wrong for one poll."""
    faults.peers_down = {"idx2"} if dice.random() < 0.1 else set()
    faults.previews = dice.choice((0, 0, 3))
    faults.most_rows = dice.choice((None,) * 9 + (20,))
    faults.quota = 0 if dice.random() < 0.05 else None
    if dice.random() < 0.15:
        faults.cuts.append(Cut(dice.randrange(50), dice.choice(("broken", "quiet", "told"))))
    if dice.random() < 0.15:
        faults.refuse.append(Refusal(dice.choice((0, 429, 500, 503)), dice.choice(("export", "server/info"))))


def mend(faults: Faults) -> None:
    """Nothing is wrong any more."""
    faults.peers_down, faults.previews, faults.most_rows, faults.quota = set(), 0, None, None
    faults.cuts.clear()
    faults.refuse.clear()


def prove(folder: Path, count: int, seed: int) -> None:
    dice, clock = random.Random(seed), ManualClock()
    with Splunkd(clock=clock, peers=("idx1", "idx2", "idx3")) as splunkd:
        splunkd.faults.indexer_skew_s = {"idx2": -25.0, "idx3": 18.0}
        tables = {
            "sources.splunk": source(splunkd, search="index=*", page=400, batch=250, settle=2, lookback=LOOKBACK),
            "targets.out": {"type": "files", "path": str(folder / "out.jsonl")},
        }
        with SplunkSite(folder, splunkd, clock, tables) as site:
            for _ in arrivals(splunkd, clock, count, dice):
                if dice.random() < 0.4:
                    break_something(splunkd.faults, dice)
                    site.turn()
            mend(splunkd.faults)
            for _ in range(12):
                clock.advance(LOOKBACK / 4)
                site.turn()
            issued = {event_id("site", f"{one.bkt}:{one.cd}") for one in splunkd.events}
            assert len(issued) == count
            assert site.written() == dict.fromkeys(issued, 1)
            assert site.gaps() == "no gaps\n"
            assert site.failures


def test_each_event_has_one_verdict_whatever_breaks_and_the_server_counts_as_many(tmp_path: Path) -> None:
    prove(tmp_path, 500, seed=6)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_fifty_thousand_events_have_one_verdict_each_whatever_breaks(tmp_path: Path) -> None:
    prove(tmp_path, 50_000, seed=60)


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
