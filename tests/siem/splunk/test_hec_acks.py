"""What is known of acknowledgements: never more than the collector's word, whatever it forgets in between."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from connector.siem.splunk import acks
from connector.siem.splunk.acks import Acks, Channel
from connector.testing.clock import START

PATIENCE = timedelta(minutes=5)
SECOND = timedelta(seconds=1)


def sent(
    number: int = 0, *keys: str, state: Acks | None = None, channel: Channel | None = None
) -> tuple[Acks, Channel]:
    state, channel = state or Acks(PATIENCE), channel or Channel()
    state.sent(channel, number, keys, START)
    return state, channel


def test_a_confirmation_is_told_once_and_settles_the_record() -> None:
    state, channel = sent(0, "a", "b")
    assert state.waits("a")
    state.confirm(channel, [0])
    assert not state.waits("a")
    assert [state.confirmed("a"), state.confirmed("a")] == [True, False]
    assert state.confirmed("b")
    assert state.sends("a") == 0


def test_a_confirmation_that_is_told_twice_or_is_of_nothing_changes_nothing() -> None:
    state, channel = sent(0, "a")
    state.confirm(channel, [0, 0, 7])
    state.confirm(channel, [0])
    assert state.confirmed("a")
    assert not state.confirmed("a")


def test_what_is_not_confirmed_in_time_is_lost_and_counted() -> None:
    state, channel = sent(0, "a")
    state.expire(START + PATIENCE - SECOND)
    assert state.waits("a")
    state.expire(START + PATIENCE)
    assert not state.waits("a")
    assert state.sends("a") == 1
    state.confirm(channel, [0])
    assert not state.confirmed("a")


def test_a_number_that_does_not_rise_shows_a_restart_and_loses_all_before_it() -> None:
    state, channel = sent(3, "old")
    state.sent(channel, 0, ["new"], START)
    assert not state.waits("old")
    state.confirm(channel, [0])
    assert state.confirmed("new")
    assert not state.confirmed("old")


def test_a_number_that_was_used_before_the_restart_confirms_only_what_has_it_now() -> None:
    state, channel = sent(0, "old")
    state.sent(channel, 0, ["new"], START)
    state.confirm(channel, [0])
    assert not state.confirmed("old")
    assert state.confirmed("new")


def test_a_lost_answer_gives_the_channel_up_with_all_that_waits_on_it() -> None:
    state, channel = sent(0, "a")
    before = channel.id
    state.broke(channel)
    assert channel.id != before
    assert not state.waits("a")
    assert state.open_on(channel) == []
    state.sent(channel, 0, ["b"], START)
    state.confirm(channel, [0])
    assert state.confirmed("b")
    assert not state.confirmed("a")


def test_what_one_channel_confirms_says_nothing_of_another() -> None:
    state, one = sent(0, "a")
    _, two = sent(0, "b", state=state)
    state.confirm(two, [0])
    assert state.waits("a")
    assert state.open_on(one) == [0]


def test_what_nobody_asks_for_is_forgotten_in_the_end(monkeypatch) -> None:
    monkeypatch.setattr(acks, "REMEMBERED", 2)
    state, channel = sent(0, "a", "b", "c")
    state.confirm(channel, [0])
    assert [state.confirmed(key) for key in "abc"] == [False, True, True]


class Restarts(RuleBasedStateMachine):
    """A collector that restarts, indexes, loses and answers at will, against what is believed of it."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.channel = Acks(PATIENCE), Channel()
        self.channels: dict[str, dict[int, str]] = {}
        self.indexed: set[str] = set()
        self.believed: set[str] = set()
        self.serial = 0
        self.next: dict[str, int] = {}

    def _take(self) -> tuple[int, str]:
        number = self.next.get(self.channel.id, 0)
        self.next[self.channel.id] = number + 1
        self.serial += 1
        key = f"r{self.serial}"
        self.channels.setdefault(self.channel.id, {})[number] = key
        return number, key

    @rule()
    def send(self) -> None:
        number, key = self._take()
        self.state.sent(self.channel, number, [key], START)

    @rule()
    def send_and_lose_the_answer(self) -> None:
        self._take()
        self.state.broke(self.channel)

    @rule()
    def restart(self) -> None:
        self.channels.clear()
        self.next.clear()

    @rule(data=st.data())
    def index_and_tell(self, data) -> None:
        open_ = self.state.open_on(self.channel)
        held = self.channels.get(self.channel.id, {})
        told = [number for number in open_ if number in held and data.draw(st.booleans())]
        self.indexed |= {held[number] for number in told}
        self.state.confirm(self.channel, told)
        self.believed |= {key for n in range(1, self.serial + 1) if self.state.confirmed(key := f"r{n}")}

    @invariant()
    def nothing_is_believed_to_be_indexed_that_is_not(self) -> None:
        assert self.believed <= self.indexed


TestRestarts = Restarts.TestCase
