"""The stand-in, its clock, and who asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.testing import ManualClock
from tests.splunkd import Splunkd
from tests.splunkd.asking import Client, Hec

CHANNEL = "0aaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def splunkd(clock: ManualClock) -> Iterator[Splunkd]:
    with Splunkd(clock=clock) as server:
        yield server


@pytest.fixture
def client(splunkd: Splunkd) -> Client:
    return Client(splunkd)


@pytest.fixture
def hec(splunkd: Splunkd) -> Hec:
    return Hec(splunkd)


@pytest.fixture
def acked(splunkd: Splunkd) -> Hec:
    """A collector's client whose token acknowledges."""
    return Hec(splunkd, splunkd.hec_ack_token, CHANNEL)
