"""The real deliver loop and ledger with Splunk as the target: every record arrives, or is a dead letter that says why."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.identity import event_id
from connector.models import Bundle, Store
from connector.pipeline import Deliver
from connector.siem.splunk.writer import SplunkWriter, SplunkWriterConfig
from connector.wiring import plugins
from tests.models.tiny import tiny_store
from tests.pipeline.house import House
from tests.siem.splunk.writing import arrived, channels, table
from tests.splunkd import Splunkd

SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning"}
POLICY = 'rules = []\nsoar = "soar"\n'


class Target:
    """A daemon's deliver loop for one Splunk, with an outbox full of verdicts."""

    def __init__(self, house: House, splunkd: Splunkd, count: int, **more: Any) -> None:
        self.house, self.splunkd = house, splunkd
        self.ids = {event_id("lab", f"{n}.exe") for n in range(count)}
        house.put(*(f"{n}.exe" for n in range(count)))
        house.run(60)
        self.more = {"ack_wait": "PT0.02S", **more}
        self.restart()

    def restart(self) -> None:
        """The daemon's process ends, and another one begins: what the writer knew is gone."""
        config = SplunkWriterConfig.model_validate(table(self.splunkd, **self.more))
        self.writer = SplunkWriter("siem", config, self.house.clock)
        self.deliver = Deliver(
            "siem",
            self.writer,
            config,
            ledger=self.house.ledger,
            owner="splunk-worker",
            lease_ttl=timedelta(seconds=60),
            clock=self.house.clock,
            stopping=lambda: False,
            steps=lambda _: None,
        )

    def turn(self, minutes: float, every: float = 30.0) -> None:
        """Lets time pass, delivering regularly."""
        for _ in range(int(minutes * 60 / every)):
            self.house.clock.advance(every)
            self.deliver.drain()

    @property
    def dead(self) -> list[str]:
        """Reasons of the dead letters."""
        return [letter.reason for letter in self.house.ledger.dead_letters()]

    @property
    def pending(self) -> int:
        """Rows that wait."""
        return self.house.ledger.pending("siem")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Bundle:
    store = Store(tiny_store(tmp_path_factory.mktemp("bundle") / "store"))
    return store.open(None, threads=1, cache_entries=1000, kinds=plugins("triaged.member"))


@pytest.fixture
def target(tmp_path, bundle) -> Iterator[Callable[..., Target]]:
    with ExitStack() as opened:

        def make(count: int = 10, **more: Any) -> Target:
            house = opened.enter_context(closing(House(tmp_path, bundle, source=SOURCE, policy=POLICY)))
            return Target(house, opened.enter_context(Splunkd()), count, **more)

        yield make


def test_every_verdict_arrives_once(target) -> None:
    target = target(40)
    target.turn(1)
    assert arrived(target.splunkd) == dict.fromkeys(target.ids, 1)
    assert (target.dead, target.pending) == ([], 0)


def test_what_is_never_acknowledged_is_sent_a_bounded_number_of_times_and_then_a_dead_letter(target) -> None:
    target = target(6, ack_sends=3)
    target.splunkd.faults.acks = "never"
    target.turn(60, every=60)
    assert target.pending == 0
    assert len(target.dead) == 6
    assert all("sent 3 times and never acknowledged" in reason for reason in target.dead)
    assert arrived(target.splunkd) == dict.fromkeys(target.ids, 3)
    target.splunkd.faults.acks = "told"
    target.house.ledger.replay([letter.id for letter in target.house.ledger.dead_letters()], "ana")
    target.turn(2)
    assert (target.dead, target.pending) == ([], 0)


def test_restarts_of_the_daemon_do_not_unbound_the_sends(target) -> None:
    """What the writer counts is gone with its process; the outbox's own count is not."""
    target = target(2, ack_sends=1000, max_attempts=4)
    target.splunkd.faults.acks = "never"
    for _ in range(10):
        target.restart()
        target.turn(10, every=300)
    assert target.pending == 0
    assert len(target.dead) == 2
    assert max(arrived(target.splunkd).values()) <= 4


def test_acknowledgements_that_were_lost_come_again_and_nothing_is_a_dead_letter(target) -> None:
    target = target(20)
    target.splunkd.faults.acks = "lost"
    target.turn(2)
    assert not target.splunkd.events
    target.splunkd.faults.acks = "told"
    target.turn(20)
    assert arrived(target.splunkd) == dict.fromkeys(target.ids, 1)
    assert (target.dead, target.pending) == ([], 0)


def test_a_daemon_that_dies_between_send_and_acknowledgement_sends_again_on_another_channel(target) -> None:
    target = target(5)
    target.splunkd.faults.acks = "lost"
    target.turn(0.5)
    target.restart()
    target.splunkd.faults.acks = "told"
    target.turn(5)
    assert arrived(target.splunkd) == dict.fromkeys(target.ids, 1)
    assert (target.dead, target.pending) == ([], 0)
    assert len(set(channels(target.splunkd))) == 2


def test_a_collector_that_is_busy_for_an_hour_makes_no_dead_letter(target) -> None:
    target = target(5, max_attempts=2)
    target.splunkd.faults.hec_busy = 10_000
    target.turn(60, every=120)
    assert (target.dead, target.pending) == ([], 5)
    target.splunkd.faults.hec_busy = 0
    target.turn(10)
    assert arrived(target.splunkd) == dict.fromkeys(target.ids, 1)


def test_a_token_that_is_refused_is_told_and_counts_against_no_record(target) -> None:
    target = target(5, hec_token="33333333-3333-4333-8333-333333333333", max_attempts=1)
    with pytest.raises(ConfigError, match="Invalid token"):
        target.turn(1)
    assert (target.dead, target.pending) == ([], 5)


def test_one_event_that_the_collector_refuses_is_one_dead_letter(target) -> None:
    target = target(20)
    bad = event_id("lab", "7.exe")
    real = target.splunkd.collector._index

    def index(request, token, *, raw, lost):
        from tests.splunkd.hec import RejectedError

        for number, event in enumerate(request.body.split(b'{"source":')[1:]):
            if bad.encode() in event:
                raise RejectedError(400, 15, "Error in handling indexed fields", number)
        real(request, token, raw=raw, lost=lost)

    target.splunkd.collector._index = index
    target.turn(1)
    (reason,) = target.dead
    assert "code 15: Error in handling indexed fields" in reason
    assert arrived(target.splunkd) == dict.fromkeys(target.ids - {bad}, 1)


def faults_at_random(splunkd: Splunkd, dice: random.Random) -> None:
    """Any of the collector's faults, for a while."""
    faults = splunkd.faults
    faults.acks = dice.choice(["told", "told", "lost", "never", "twice", "pending"])
    faults.ack_polls, faults.ack_busy = dice.choice([0, 0, 1]), dice.choice([0, 0, 2])
    faults.hec_busy, faults.hec_no_answer = dice.choice([0, 0, 1]), dice.choice([0, 0, 1])
    if dice.random() < 0.3:
        splunkd.reset_channels()
    if dice.random() < 0.1:
        splunkd.refuse(0, "collector/ack")


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.full) for n in range(1, 6))])
def test_whatever_fails_in_whatever_order_every_verdict_arrives_at_least_once(target, seed: int) -> None:
    target = target(60, batch=7, ack_sends=1000, max_attempts=1000, max_bytes=8000)
    dice = random.Random(seed)
    for _ in range(15):
        faults_at_random(target.splunkd, dice)
        target.turn(1)
        if dice.random() < 0.1:
            target.restart()
    target.splunkd.faults.__init__()
    target.turn(40, every=60)
    assert (target.dead, target.pending) == ([], 0)
    assert set(arrived(target.splunkd)) == target.ids


def test_nothing_is_settled_as_delivered_that_was_not_indexed(target) -> None:
    """Promise 2, with the fault that tempts most: resets while acknowledgements of the same numbers wait."""
    target = target(60, batch=5, ack_sends=1000, max_attempts=1000)
    dice = random.Random(7)
    for _ in range(20):
        target.splunkd.faults.acks = dice.choice(["lost", "told"])
        target.splunkd.faults.hec_no_answer = dice.choice([0, 1])
        target.turn(0.5)
        target.splunkd.reset_channels()
        assert len(arrived(target.splunkd)) >= 60 - target.pending
