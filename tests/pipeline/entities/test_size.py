"""What entities cost: rows of a site of a hundred thousand hosts, and the time that a batch takes."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest

from connector.ledger import Commit, open_ledger
from connector.pipeline.entities.rollup import RollUp
from connector.policy import DecisionContext, Policy, decide
from connector.resources import shipped
from connector.testing import ManualClock
from tests.pipeline.entities.test_rollup import KEY, MODEL, Levels, event, scored

TECHNIQUES = ("T1003", "T1059", "T1021", "T1547")


def grown(directory: Path, hosts: int, batch: int) -> tuple[float, float]:
    """Rolls one suspicious event of each host, of its own user and address, into a ledger.

    Returns bytes of the database for each host, and seconds of rolling up and committing for each batch.
    """
    clock = ManualClock()
    clock.advance(timedelta(days=900))
    ledger = open_ledger(f"sqlite:///{directory / 'ledger.sqlite'}", clock)
    policy = Policy.load(shipped("playbooks") / "policy.toml", shipped("playbooks"))
    context = DecisionContext(now=clock(), model=MODEL, thresholds=Levels(), members=1, origin_key=KEY)
    rollup, spent = RollUp(ledger, KEY), 0.0
    empty = sum(path.stat().st_size for path in directory.iterdir())
    for start in range(0, hosts, batch):
        numbers = range(start, min(start + batch, hosts))
        events = [
            event(n, host={"name": f"ws{n}"}, user={"name": f"u{n}"}, source={"ip": f"203.{n >> 16}.{n >> 8 & 255}.{n & 255}"})
            for n in numbers
        ]  # fmt: skip
        predictions = [scored(0.05, TECHNIQUES[n % len(TECHNIQUES)]) for n in numbers]
        begun = time.process_time()
        rolled = rollup.of(events, predictions, [context] * len(events))
        spent += time.process_time() - begun
        verdicts = [
            decide(e, p, c, policy).verdict for e, p, c in zip(events, predictions, rolled.contexts, strict=True)
        ]
        begun = time.process_time()
        ledger.commit(Commit(source="lab", digest="d", verdicts=verdicts, entities=rolled.changes))
        spent += time.process_time() - begun
    assert len(ledger.riskiest(10 * hosts)) == 3 * hosts
    ledger.close()
    whole = sum(path.stat().st_size for path in directory.iterdir())
    return (whole - empty) / hosts, spent * batch / hosts


def test_a_hosts_rows_are_small(tmp_path: Path) -> None:
    assert grown(tmp_path, 300, 100)[0] < 8_000


@pytest.mark.full
def test_a_hundred_thousand_hosts_fit_and_the_last_batch_costs_no_more_than_the_first(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    (tmp_path / "many").mkdir()
    _, first = grown(tmp_path / "few", 5_000, 1_000)
    size, all_of_them = grown(tmp_path / "many", 100_000, 1_000)
    print(
        f"{size:.0f} bytes a host with its verdict; {first:.2f} s CPU a batch of 1,000 at first, {all_of_them:.2f} s over all"
    )
    assert size < 5_000
    assert all_of_them < 2 * first
