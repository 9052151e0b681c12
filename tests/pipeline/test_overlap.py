"""While a batch is scored, the one before is committed: what must overlap, and what must not be lost by it."""

from __future__ import annotations

from datetime import timedelta
from threading import Event as Flag

import pytest

from connector.errors import ConfigError, TransientError
from connector.models.bundle import Bundle
from connector.models.testbed import lay_bundle
from connector.pipeline import spans
from tests.models.members import Counting, Fixed

BATCH = 8
SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning", "batch": BATCH}
LONG = 10.0
SHORT = 0.2


class Watched:
    """The bundle, telling of each batch before it is scored."""

    def __init__(self, bundle, before):
        self._bundle = bundle
        self._before = before

    def __getattr__(self, name):
        return getattr(self._bundle, name)

    def predict(self, events, states):
        self._before(events)
        return self._bundle.predict(events, states)


@pytest.fixture
def full(house):
    """A house with three batches of events waiting."""
    made = house(source=SOURCE)
    made.put(*(f"{n:02}.exe" for n in range(3 * BATCH)))
    made.clock.advance(60)
    return made


def whole(house):
    """Every event has one verdict or one dead letter after some more polls, and no attempt is left counted."""
    house.run(120)
    house.deliver.drain()
    assert set(house.verdicts().values()) == {1}
    assert {reader.attempts for reader in house.ledger.readers("lab")} == {0}
    return len(house.verdicts()), len(house.ledger.dead_letters())


def test_a_batch_is_scored_while_the_one_before_is_committed(full):
    both, waited = Flag(), []

    def step(name):
        if name == "ingest.score" and full.steps.count("ingest.score") == 2:
            both.set()
        if name == "ingest.decide" and not waited:
            waited.append(both.wait(LONG))

    full.at_step = step
    full.ingest.poll()
    assert waited == [True]
    assert whole(full) == (3 * BATCH, 0)


def forward(house):
    """The attempts that the reader of what is new has behind it."""
    (reader,) = (reader for reader in house.ledger.readers("lab") if reader.purpose == spans.FORWARD)
    return reader.attempts


def test_a_commit_that_fails_beside_the_next_batch_loses_neither(full):
    def fail(name):
        if name == "ingest.decide" and full.steps.count(name) == 2:
            raise TransientError("the disk is full")

    full.at_step = fail
    with pytest.raises(TransientError, match="disk"):
        full.ingest.poll()
    assert forward(full) == 0
    assert full.ledger.pending("siem") == BATCH
    assert whole(full) == (3 * BATCH, 0)


@pytest.mark.parametrize("landing", [None, ConfigError("the ledger's disk is gone")], ids=["lands", "does not land"])
def test_an_outage_while_a_batch_is_scored_counts_no_attempt_whether_the_one_before_lands(full, landing):
    failed = Flag()

    def fail(events):
        if full.steps.count("ingest.score") == 1:
            failed.set()
            raise TransientError("the model's disk does not answer")

    def step(name):
        if name == "ingest.decide":
            failed.wait(LONG)
            if landing is not None:
                raise landing

    honest, full.bundle = full.bundle, Watched(full.bundle, fail)
    full.at_step = step
    with pytest.raises(TransientError, match="model"):
        full.ingest.poll()
    full.at_step = lambda _: None
    assert forward(full) == 0
    assert full.ledger.pending("siem") == (BATCH if landing is None else 0)
    full.bundle = honest
    assert whole(full) == (3 * BATCH, 0)


def test_a_bug_in_scoring_does_not_hide_what_kept_the_batch_before_out(full, capsys):
    failed = Flag()

    def fail(events):
        if full.steps.count("ingest.score") == 1:
            failed.set()
            raise MemoryError("poison")

    def step(name):
        if name == "ingest.decide" and failed.wait(LONG):
            raise RuntimeError("a bug in the commit")

    full.bundle = Watched(full.bundle, fail)
    full.at_step = step
    with pytest.raises(MemoryError):
        full.ingest.poll()
    assert "a bug in the commit" in "".join(capsys.readouterr())


def test_an_outage_before_anything_was_begun_pins_no_span(full):
    full.siem.faults.add("read", times=1)
    with pytest.raises(TransientError):
        full.ingest.poll()
    assert [reader.span_stop for reader in full.ledger.readers("lab") if reader.purpose == spans.FORWARD] == [None]
    assert whole(full) == (3 * BATCH, 0)


def test_a_bug_in_scoring_is_counted_by_the_commit_of_the_batch_before(full):
    calls = []

    def fail(events):
        calls.append(events)
        if len(calls) == 2:
            raise MemoryError("poison")

    full.bundle = Watched(full.bundle, fail)
    with pytest.raises(MemoryError):
        full.ingest.poll()
    assert forward(full) == 1
    assert full.ledger.pending("siem") == BATCH
    assert whole(full) == (3 * BATCH, 0)


def test_what_ends_the_process_beside_a_commit_that_is_not_done_is_found_and_quarantined_alone(full):
    commit, dying = full.ledger.commit, Flag()

    def poisoned(events):
        if any("13.exe" in str(event.ecs) for event in events):
            dying.set()
            raise MemoryError("poison")

    def dead_with_it(batch):
        """A commit comes late: a poison event beside it ends the process first."""
        if dying.wait(SHORT):
            raise MemoryError("the process is gone")
        return commit(batch)

    full.bundle = Watched(full.bundle, poisoned)
    full.ledger.commit = dead_with_it
    for _ in range(30):
        dying.clear()
        try:
            full.ingest.poll()
        except MemoryError:
            continue
        break
    full.ledger.commit = commit
    assert whole(full) == (3 * BATCH - 1, 1)
    assert [letter.reason.partition(":")[0] for letter in full.ledger.dead_letters()] == ["poison"]


def test_a_member_with_state_reads_what_the_batch_before_wrote(full, tmp_path):
    counting = Counting("sequence")
    full.bundle = Bundle(lay_bundle(tmp_path / "bundle"), (Fixed("text", 0.1), counting))
    full.ingest.poll()
    assert full.ledger.member_state("sequence", {"seen"})["seen"][1] == str(3 * BATCH).encode()
    assert whole(full) == (3 * BATCH, 0)


def test_what_comes_again_while_its_batch_is_committed_is_not_taken_twice(house):
    made = house(source=SOURCE)
    names = [f"{n:02}.exe" for n in range(BATCH)]
    made.put(*names)
    made.put(*names)
    made.put("new.exe")
    scored, both = [], Flag()

    def step(name):
        if name == "ingest.scored" and made.steps.count(name) == 2:
            both.set()
        if name == "ingest.decide" and made.steps.count(name) == 1:
            both.wait(LONG)

    made.at_step = step
    made.bundle = Watched(made.bundle, lambda events: scored.extend(event.id for event in events))
    made.run(60)
    assert len(scored) == len(set(scored)) == BATCH + 1
    assert whole(made) == (BATCH + 1, 0)
