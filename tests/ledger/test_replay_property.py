"""Any history of batches, crashes and repeats ends where the history without crashes and repeats ends."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from connector.errors import LostLeaseError, TransientError
from connector.ledger import Commit, DeadLetter, Lease, open_ledger
from connector.types import Position, StateChange
from tests.ledger.make import TTL, FakeClock, batch, event, interval, own_row, reader, verdict

numbers = st.lists(st.integers(0, 25), max_size=6, unique=True)


class Life(RuleBasedStateMachine):
    """A ledger beside a model of it: sets of ids."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.clock = FakeClock()
        self.ledger = open_ledger(f"sqlite:///{Path(self.folder.name) / 'l.db'}", self.clock)
        self.judged: set[str] = set()
        self.dead: set[str] = set()
        self.waiting: set[str] = set()
        self.delivered: list[str] = []
        self.offset = 0
        self.version = 0
        self.last: Commit | None = None
        self.owners = count()

    @initialize()
    def take_lease(self) -> None:
        lease = self.ledger.acquire("src", "0", TTL)
        assert lease is not None
        self.lease: Lease = lease

    @rule(seen=numbers, poison=numbers)
    def commit(self, seen: list[int], poison: list[int]) -> None:
        """As the pipeline does: asks what is known, scores the rest, commits."""
        ids = [event(number) for number in seen]
        bad = {event(number) for number in poison}
        known = self.ledger.known(ids)
        assert known == (self.judged | self.dead) & set(ids)
        new = [one for one in ids if one not in known]
        stop = self.offset + len(ids)
        batch_ = batch(
            [one for one in new if one not in bad],
            lease=self.lease,
            reader=reader(stop),
            interval=interval(self.offset, stop) if ids else None,
            sightings=[(one, "", self.offset + place) for place, one in enumerate(ids)],
            dead=[DeadLetter(subject=one, source="src", reason="poison") for one in new if one in bad],
            state={"sequence": StateChange(rows={"h": (self.version, b"%d" % self.version)})},
        )
        committed = self.ledger.commit(batch_)
        assert (committed.inserted, committed.dead) == (set(new) - bad, set(new) & bad)
        self.judged |= committed.inserted
        self.waiting |= committed.inserted
        self.dead |= committed.dead
        self.offset, self.version, self.last = stop, self.version + 1, batch_

    @precondition(lambda self: self.last is not None)
    @rule()
    def repeat(self) -> None:
        """The answer to a commit was lost, and it comes again: its member state has moved, so nothing is written."""
        assert self.last is not None
        try:
            self.ledger.commit(self.last)
        except TransientError:
            return
        raise AssertionError("a commit from an old state was accepted")

    @rule(seen=numbers)
    def repeat_without_state(self, seen: list[int]) -> None:
        """The same events once more, by another door: nothing is inserted that was there."""
        ids = [event(number) for number in seen]
        known = self.judged | self.dead
        again = Commit(
            source="inlet",
            digest="",
            verdicts=[verdict(one, verdict="malicious") for one in ids if one in known - self.dead],
            outbox=[own_row(one) for one in ids],
            own=(),
        )
        assert self.ledger.commit(again).inserted == frozenset()

    @rule(seen=numbers)
    def commit_with_a_stale_lease(self, seen: list[int]) -> None:
        """Another worker took over: the former one writes nothing."""
        stale = self.lease
        self.clock.advance(2 * TTL)
        fresh = self.ledger.acquire("src", f"owner {next(self.owners)}", TTL)
        assert fresh is not None
        self.lease = fresh
        try:
            self.ledger.commit(batch([event(f"stale {number}") for number in seen], lease=stale))
        except LostLeaseError:
            return
        raise AssertionError("a stale fence was accepted")

    @rule(limit=st.integers(1, 4), settled=st.booleans())
    def deliver(self, limit: int, settled: bool) -> None:
        """Claims, and settles or crashes before."""
        claims = self.ledger.claim("siem", "w", limit, TTL)
        assert len(claims) == min(limit, len(self.waiting))
        if settled:
            self.ledger.settle("siem", [(claim, "delivered", "", None) for claim in claims])
            self.delivered += [claim.record_id for claim in claims]
            self.waiting -= {claim.record_id for claim in claims}
        else:
            self.clock.advance(TTL)

    @rule()
    def replay(self) -> None:
        """Dead letters are pushed again, and now succeed."""
        letters = self.ledger.dead_letters(kind="event")
        assert {letter.subject for letter in letters} == self.dead
        pushed = [letter.subject for letter in self.ledger.replay([letter.id for letter in letters], "ana").push]
        committed = self.ledger.commit(batch(pushed, sightings=[], interval=None, reader=None))
        assert committed.inserted == self.dead
        self.judged |= self.dead
        self.waiting |= self.dead
        self.dead = set()

    @invariant()
    def the_ledger_is_as_the_model(self) -> None:
        assert {one.event_id for one in self.ledger.verdicts()} == self.judged
        assert self.ledger.pending("siem") == len(self.waiting)
        assert not set(self.delivered) & self.waiting
        assert len(self.delivered) == len(set(self.delivered))
        assert self.ledger.gaps("src", "q1", 0, [Position(partition="", offset=self.offset)]) == []

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
