"""One suite for both databases: a test that asks for ``ledger`` or ``url`` runs on each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.ledger import Ledger, open_ledger
from connector.ledger.schema import metadata
from tests.ledger.make import FakeClock
from tests.ledger.postgres import MISSING, Server, binary


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server with one migrated database, ``ledger``."""
    server, initdb = binary("postgres"), binary("initdb")
    if server is None or initdb is None:
        pytest.skip(MISSING)
    running = Server(server, initdb)
    try:
        running.run("CREATE DATABASE ledger")
        open_ledger(running.url("ledger"), FakeClock()).close()
        yield running
    finally:
        running.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty ledger for each test. A new PostgreSQL database would take half a second; emptying one takes none."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server: Server = request.getfixturevalue("postgres")
    tables = "; ".join(f'DELETE FROM "{table.name}"' for table in metadata.sorted_tables)
    server.run(f"SET session_replication_role = replica; {tables}", database="ledger")  # which keeps triggers out
    yield server.url("ledger")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(url: str, clock: FakeClock) -> Iterator[Ledger]:
    opened = open_ledger(url, clock)
    yield opened
    opened.close()
