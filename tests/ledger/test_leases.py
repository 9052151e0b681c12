"""Leases: one holder at a time, and a fence that only grows."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.errors import LostLeaseError
from connector.ledger import Lease, Ledger
from tests.ledger.make import TTL, FakeClock


def test_a_held_lease_is_nobody_elses(ledger: Ledger, clock: FakeClock) -> None:
    lease = ledger.acquire("src", "a", TTL)
    assert lease == Lease(name="src", owner="a", fence=1, expires_at=clock.now + TTL)
    assert ledger.acquire("src", "b", TTL) is None
    assert ledger.acquire("other", "b", TTL) is not None


def test_an_expired_lease_changes_hands_with_a_new_fence(ledger: Ledger, clock: FakeClock) -> None:
    first = ledger.acquire("src", "a", TTL)
    clock.advance(TTL)
    second = ledger.acquire("src", "b", TTL)
    assert first is not None
    assert second is not None
    assert second.fence > first.fence
    with pytest.raises(LostLeaseError, match="b holds it now"):
        ledger.renew(first, TTL)


def test_a_renewed_lease_lives_on(ledger: Ledger, clock: FakeClock) -> None:
    lease = ledger.acquire("src", "a", TTL)
    assert lease is not None
    clock.advance(TTL / 2)
    assert ledger.renew(lease, TTL).expires_at == clock.now + TTL
    clock.advance(TTL / 2)
    assert ledger.acquire("src", "b", TTL) is None


def test_a_released_lease_is_free_and_its_fence_is_spent(ledger: Ledger) -> None:
    lease = ledger.acquire("src", "a", TTL)
    assert lease is not None
    ledger.release(lease)
    assert ledger.status().leases == ()
    after = ledger.acquire("src", "b", TTL)
    assert after is not None
    assert after.fence > lease.fence
    ledger.release(lease)
    assert ledger.acquire("src", "c", TTL) is None


def test_a_restarted_owner_takes_its_lease_at_once_and_fences_its_former_self_out(ledger: Ledger) -> None:
    before = ledger.acquire("src", "a", TTL)
    after = ledger.acquire("src", "a", TTL)
    assert before is not None
    assert after is not None
    with pytest.raises(LostLeaseError):
        ledger.renew(before, TTL)
    ledger.renew(after, TTL)


def test_of_many_that_reach_for_a_lease_one_gets_it(ledger: Ledger) -> None:
    start = threading.Barrier(8)

    def reach(owner: int) -> bool:
        start.wait()
        return ledger.acquire("src", str(owner), TTL) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(reach, range(8))) == 1
