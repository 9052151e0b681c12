"""One suite for both databases: a test that asks for ``ledger`` or ``url`` runs on each."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.ledger import Ledger, open_ledger
from tests.ledger.make import FakeClock
from tests.ledger.postgres import MISSING, Server, binary

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server with a migrated database ``template`` to copy."""
    server, initdb = binary("postgres"), binary("initdb")
    if server is None or initdb is None:
        pytest.skip(MISSING)
    running = Server(server, initdb)
    try:
        running.run("CREATE DATABASE template")
        open_ledger(running.url("template"), FakeClock()).close()
        yield running
    finally:
        running.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own for each test."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    name = f"test_{next(_numbers)}"
    server.run(f"CREATE DATABASE {name} TEMPLATE template")
    yield server.url(name)
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(url: str, clock: FakeClock) -> Iterator[Ledger]:
    opened = open_ledger(url, clock)
    yield opened
    opened.close()
