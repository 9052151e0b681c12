"""Real processes on one ledger: they race, and they are killed."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

from connector.ledger import Ledger, open_ledger
from connector.types import Position
from tests.ledger import worker
from tests.ledger.make import FakeClock, action, action_row, batch, event, events, interval, reader

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["pytest", "tests.ledger.worker"])  # imports are paid once, not by each worker


def start(verb: str, url: str, owner: str, told: Path, count: int = 0) -> BaseProcess:
    process = SERVER.Process(target=worker.work, args=(verb, url, owner, count, told))
    process.start()
    return process


def race(folder: Path, verb: str, url: str, count: int = 0) -> list[list[str]]:
    """Runs workers ``a`` and ``b`` at the same time; returns what each told, by line."""
    racing = {owner: start(verb, url, owner, folder / owner, count) for owner in ("a", "b")}
    for process in racing.values():
        process.join(timeout=100)
        assert process.exitcode == 0
    return [(folder / owner).read_text().split() for owner in racing]


def test_two_processes_never_claim_the_same_row_and_lose_none(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ids = events(300)
    ledger.commit(batch(ids))
    first, second = race(tmp_path, "deliver", url)
    assert Counter(first + second) == Counter(ids)
    assert ledger.pending("siem") == 0


def test_two_processes_that_commit_the_same_events_give_each_one_verdict(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    first, second = race(tmp_path, "ingest", url, 40)
    everything = {event(number) for number in range(40 * worker.BATCH)}
    assert not set(first) & set(second)
    assert {*first, *second} == everything
    assert ledger.pending("siem") == len(everything)
    assert len(list(ledger.verdicts())) == len(everything)


def test_a_cap_holds_across_processes(ledger: Ledger, url: str, tmp_path: Path) -> None:
    ids = events(60)
    actions = [action(number, cause=one) for number, one in enumerate(ids)]
    ledger.commit(batch(ids, outbox=[action_row(entry, cause=entry.cause) for entry in actions]))
    first, second = race(tmp_path, "admit", url)
    ran = first + second
    assert len(ran) == len(set(ran)) == worker.CAP


def test_a_chain_written_by_two_processes_is_whole(ledger: Ledger, url: str, tmp_path: Path) -> None:
    race(tmp_path, "audit", url, 30)
    assert ledger.verify_audit()[0] == 60


def test_two_processes_may_open_an_empty_ledger_together(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    race(tmp_path, "audit", url, 1)
    opened = open_ledger(url, FakeClock())
    assert opened.verify_audit()[0] == 2
    opened.close()


def test_a_process_killed_in_mid_commit_leaves_cursor_and_verdicts_consistent(
    ledger: Ledger, url: str, tmp_path: Path
) -> None:
    for kill in range(4):
        told = tmp_path / f"told-{kill}"
        process = start("forever", url, f"killed-{kill}", told)
        while not (told.exists() and told.stat().st_size):
            time.sleep(0.005)
        time.sleep(0.05 + 0.07 * kill)
        process.kill()
        process.join(timeout=30)
        assert process.exitcode == -signal.SIGKILL
        place = ledger.reader("src", "q1", "", "forward")
        assert place is not None
        done = {event(number) for number in range(place.offset)}
        assert {entry.event_id for entry in ledger.verdicts()} == done
        assert ledger.pending("siem") == len(done)
        assert ledger.sighted("src", "", 0, 10**9) == done
        assert ledger.gaps("src", "q1", 0, [Position(partition="", offset=place.offset)]) == []
    ledger.commit(batch([], reader=reader(place.offset), interval=interval(0, place.offset)))
    assert ledger.accounted("src", "", 0, place.offset) == place.offset > 0
