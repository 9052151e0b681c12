"""How the server ends, and what it does with connections that ask nothing."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack

import pytest

from connector.api import server
from tests.api.house import Caller, opened
from tests.daemon.site import wait_until

PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def connected(path) -> socket.socket:
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(30)
    raw.connect(str(path))
    return raw


def answered(raw: socket.socket) -> bytes:
    """The first line of what comes back; empty where the connection ends first."""
    return raw.recv(65536).split(b"\r\n")[0]


@pytest.fixture
def shutting(tmp_path):
    """A door, and what shuts it in the background: it returns once the server has begun to stop."""
    with opened(tmp_path) as house:
        working = []

        def shut():
            stopping = house.door._server._uvicorn
            working.append(threading.Thread(target=house.door.shut))
            working[0].start()
            wait_until(lambda: stopping.should_exit, "the server stops")
            time.sleep(0.3)  # it looks ten times a second
            return working[0]

        yield house, shut
        for thread in working:
            thread.join(60)


def test_who_connected_before_the_server_stopped_may_still_ask_once(shutting):
    house, shut = shutting
    with connected(house.call.path) as raw:
        time.sleep(0.2)
        stopping = shut()
        assert stopping.is_alive()
        raw.sendall(PROBE)
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"}")
        stopping.join(30)
        assert not stopping.is_alive()


def test_who_never_asks_does_not_keep_the_server_from_stopping(shutting, monkeypatch):
    monkeypatch.setattr(server, "LAST_SECONDS", 0.5)
    house, shut = shutting
    with connected(house.call.path) as raw:
        time.sleep(0.2)
        shut().join(30)
        assert raw.recv(1) == b""


def test_who_connects_while_it_is_stopped_is_answered_when_it_opens_again(shutting):
    house, shut = shutting
    shut().join(30)
    with connected(house.call.path) as raw:
        raw.sendall(PROBE)
        house.door.open(house.app.desk())
        assert answered(raw) == b"HTTP/1.1 200 OK"


def test_connections_that_ask_nothing_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "OPEN_CONNECTIONS", 3)
    with opened(tmp_path) as house, ExitStack() as held:
        silent = [held.enter_context(connected(house.call.path)) for _ in range(3)]
        with connected(house.call.path) as more:
            assert more.recv(1) == b""
        silent.pop().close()
        wait_until(lambda: _works(house.call), "there is room again")


def _works(call: Caller) -> bool:
    try:
        return call("GET", "/healthz").status == 200
    except OSError:
        return False
