"""Real processes on one ledger: they race, and they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from connector.ledger import Ledger, open_ledger
from connector.types import Position
from tests.ledger import worker
from tests.ledger.make import FakeClock, action, action_row, batch, event, events, interval, reader

ROOT = Path(__file__).parents[2]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.ledger.worker", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def race(*commands: Sequence[object]) -> list[list[str]]:
    """Runs workers at the same time; returns what each printed, by line."""
    racing = [start(*command) for command in commands]
    printed = []
    for process in racing:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        printed.append(out.split())
    return printed


def test_two_processes_never_claim_the_same_row_and_lose_none(ledger: Ledger, url: str) -> None:
    ids = events(300)
    ledger.commit(batch(ids))
    first, second = race(("deliver", url, "a"), ("deliver", url, "b"))
    assert Counter(first + second) == Counter(ids)
    assert ledger.pending("siem") == 0


def test_two_processes_that_commit_the_same_events_give_each_one_verdict(ledger: Ledger, url: str) -> None:
    first, second = race(("ingest", url, "a", 40), ("ingest", url, "b", 40))
    everything = {event(number) for number in range(40 * worker.BATCH)}
    assert not set(first) & set(second)
    assert {*first, *second} == everything
    assert ledger.pending("siem") == len(everything)
    assert len(list(ledger.verdicts())) == len(everything)


def test_a_cap_holds_across_processes(ledger: Ledger, url: str) -> None:
    ids = events(60)
    actions = [action(number, cause=one) for number, one in enumerate(ids)]
    ledger.commit(batch(ids, outbox=[action_row(entry, cause=entry.cause) for entry in actions]))
    first, second = race(("admit", url, "a"), ("admit", url, "b"))
    ran = first + second
    assert len(ran) == len(set(ran)) == worker.CAP


def test_a_chain_written_by_two_processes_is_whole(ledger: Ledger, url: str) -> None:
    race(("audit", url, "a", 30), ("audit", url, "b", 30))
    assert ledger.verify_audit()[0] == 60


def test_two_processes_may_open_an_empty_ledger_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    race(("audit", url, "a", 1), ("audit", url, "b", 1))
    opened = open_ledger(url, FakeClock())
    assert opened.verify_audit()[0] == 2
    opened.close()


def test_a_process_killed_in_mid_commit_leaves_cursor_and_verdicts_consistent(ledger: Ledger, url: str) -> None:
    for kill in range(4):
        process = start("forever", url, f"killed-{kill}")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.07 * kill)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        place = ledger.reader("src", "q1", "", "forward")
        assert place is not None
        done = {event(number) for number in range(place.offset)}
        assert {entry.event_id for entry in ledger.verdicts()} == done
        assert ledger.pending("siem") == len(done)
        assert ledger.sighted("src", "", 0, 10**9) == done
        assert ledger.gaps("src", "q1", 0, [Position(partition="", offset=place.offset)]) == []
    ledger.commit(batch([], reader=reader(place.offset), interval=interval(0, place.offset)))
    assert ledger.accounted("src", "", 0, place.offset) == place.offset > 0
