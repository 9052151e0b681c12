"""Indexer acknowledgement: what was sent on which channel, and what of it the indexers have confirmed.

A collector numbers what it takes on a *channel* from zero, keeps the numbers in memory alone, tells each confirmation
once and then forgets it. From that follows how a channel is used here:

- A channel has one user: its id is random, so that no other process can ever confirm, or take, what is ours. After a
  restart of ours nothing is known of earlier channels, and nothing needs to be: what was not confirmed is still in the
  outbox, and is sent again.
- A number that is not higher than all before it shows that the collector has begun anew: nothing that was sent before
  will ever be confirmed, and its numbers may now mean something else.
- Where an answer is lost, the collector may have begun anew unseen, and may have given an old number to what was sent.
  The channel is given up, with all that waits on it.

What is given up, or waits too long, is *lost*: it is sent again, and so may stand there twice.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple, TypeVar

T = TypeVar("T")

REMEMBERED: Final = 100_000
"""Records whose confirmation nobody has asked for yet, and whose sends are counted; the oldest are forgotten first."""


class Channel:
    """A channel to one collector."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begins a channel that nobody has used."""
        self.id = str(uuid.uuid4())
        self.highest = -1


class Sent(NamedTuple):
    """One request that was taken under a number."""

    channel: str
    number: int
    at: datetime
    keys: tuple[str, ...]


class Acks:
    """The state of all that was sent and is not settled. Keys are record ids."""

    def __init__(self, patience: timedelta) -> None:
        self._patience = patience
        self._open: dict[tuple[str, int], Sent] = {}
        self._waiting: dict[str, Sent] = {}
        self._confirmed: dict[str, None] = {}
        self._sends: dict[str, int] = {}

    def sent(self, channel: Channel, number: int, keys: Iterable[str], now: datetime) -> None:
        """Notes what the collector took under this number of the channel."""
        if number <= channel.highest:
            self._give_up(channel)
        channel.highest = number
        sent = Sent(channel.id, number, now, tuple(keys))
        self._open[channel.id, number] = sent
        for key in sent.keys:
            self._waiting[key] = sent
            _remember(self._sends, key, self.sends(key) + 1)

    def broke(self, channel: Channel) -> None:
        """An answer on the channel was lost: it is not used again, and what waited on it is lost."""
        self._give_up(channel)
        channel.renew()

    def confirm(self, channel: Channel, numbers: Iterable[int]) -> None:
        """The indexers have what was sent under these numbers. Being told twice, or of others' numbers, is harmless."""
        for number in numbers:
            sent = self._open.pop((channel.id, number), None)
            for key in sent.keys if sent is not None else ():
                if self._waiting.get(key) is sent:
                    del self._waiting[key]
                    _remember(self._confirmed, key, None)

    def expire(self, now: datetime) -> None:
        """Gives up what has waited too long."""
        for place, sent in list(self._open.items()):
            if now - sent.at >= self._patience:
                self._lose(place)

    def open_on(self, channel: Channel) -> list[int]:
        """The numbers of the channel that are not confirmed yet."""
        return [number for at, number in self._open if at == channel.id]

    def waits(self, key: str) -> bool:
        """Whether this record was sent and may still be confirmed."""
        return key in self._waiting

    def confirmed(self, key: str) -> bool:
        """Whether this record is confirmed. True is told once: who asks settles the record."""
        if key not in self._confirmed:
            return False
        del self._confirmed[key]
        self._sends.pop(key, None)
        return True

    def sends(self, key: str) -> int:
        """How often this record was taken without having been settled."""
        return self._sends.get(key, 0)

    def forget(self, key: str) -> None:
        """The record is settled otherwise: should it come again, it starts anew."""
        self._waiting.pop(key, None)
        self._sends.pop(key, None)

    def _give_up(self, channel: Channel) -> None:
        for number in self.open_on(channel):
            self._lose((channel.id, number))

    def _lose(self, place: tuple[str, int]) -> None:
        sent = self._open.pop(place)
        for key in sent.keys:
            if self._waiting.get(key) is sent:
                del self._waiting[key]


def _remember(memory: dict[str, T], key: str, value: T) -> None:
    memory.pop(key, None)
    memory[key] = value
    while len(memory) > REMEMBERED:
        del memory[next(iter(memory))]
