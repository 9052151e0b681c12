"""One server of a kind for a whole process, started when it is first asked for and ended with the process."""

from __future__ import annotations

import atexit
from typing import TypeVar

from tests.servers.process import Server

Kind = TypeVar("Kind", bound=Server)

_servers: dict[type[Server], Server] = {}


def shared(kind: type[Kind]) -> Kind:
    """The server of this kind, running. Raises ``Unavailable`` where it cannot be had, ``StartError`` where it fails."""
    server = _servers.get(kind)
    if server is None:
        server = _servers[kind] = kind()
        atexit.register(server.close)
    assert isinstance(server, kind)
    return server.start()
