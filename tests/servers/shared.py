"""One server of a kind for a whole process, started when it is first asked for and ended with the process."""

from __future__ import annotations

import atexit
import os
from typing import TypeVar

from tests.servers.process import Server

Kind = TypeVar("Kind", bound=Server)

_servers: dict[type[Server], Server] = {}


def started() -> tuple[type[Server], ...]:
    """The kinds of which one was asked for."""
    return tuple(_servers)


def shared(kind: type[Kind]) -> Kind:
    """The server of this kind, running. Raises ``Unavailable`` where it cannot be had, ``StartError`` where it fails.

    ``$TRIAGED_TEST_ELASTICSEARCH`` and ``$TRIAGED_TEST_OPENSEARCH`` hold the address of one that runs already: its start
    takes longer than most tests, and somebody who runs a few of them again and again need not wait for it.
    """
    server = _servers.get(kind)
    address = os.environ.get(f"TRIAGED_TEST_{kind.name.upper()}")
    if server is None and address and kind.scheme == "http":
        server = _servers[kind] = kind.at(address)
    if server is None:
        server = _servers[kind] = kind()
        atexit.register(server.close)
    assert isinstance(server, kind)
    return server.start()
