"""Promises 1 to 3 under SIGKILL: wherever the daemon dies, each event has one verdict and each action one run."""

from __future__ import annotations

import signal

import pytest

from tests.daemon.site import Site, stop, wait_until

EVENTS = 50

STEPS = [
    "ingest.read",
    "ingest.begun",
    "ingest.normalise",
    "ingest.prepared",
    "ingest.score",
    "ingest.scored",
    "ingest.decide",
    "ingest.commit",
    "ingest.committed",
    "deliver.claimed",
    "deliver.written",
    "deliver.settled",
    "act.admitted",
    "act.sent",
    "act.marked",
    "act.finished",
]


@pytest.mark.parametrize("occurrences", [(1,), pytest.param((1, 2), marks=pytest.mark.full)], ids=["once", "twice"])
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_every_event_gets_one_verdict_and_every_action_one_run(step, occurrences, tmp_path):
    site = Site(tmp_path, lease="PT1S")  # short, so that what was killed is soon taken over
    site.events(EVENTS)
    for occurrence in occurrences:
        daemon = site.start("-m", "tests.daemon.crash", str(site.config), step, str(occurrence))
        _, errors = daemon.communicate(timeout=60)
        assert daemon.returncode == -signal.SIGKILL, errors.decode()
    daemon = site.start()
    site.events(1, "proof-of-life.jsonl")  # all else may be done already, before this daemon listens to signals
    wait_until(lambda: len(site.verdict_ids()) == len(site.runs()) == EVENTS + 1, "all is delivered", of=daemon)
    stop(daemon)
    assert set(site.verdict_ids().values()) == {1}
    assert set(site.runs().values()) == {1}
