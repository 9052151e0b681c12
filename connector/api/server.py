"""uvicorn in a thread of its own, beside the daemon's loops."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from connector.errors import ConfigError

CONNECTIONS: Final = 256
"""At once; who asks on one more is told to come again."""

OPEN_CONNECTIONS: Final = 1024
"""At most, those included that have asked nothing: the next is closed."""

QUIET_SECONDS: Final = 30
"""How long a connection may be silent, or take to say what it wants."""

LAST_SECONDS: Final = 1
"""The same once the server stops: who connected before may have sent a request that was not read yet."""

GRACE_SECONDS: Final = 30
"""How long requests that are under way have when the server stops."""

START_SECONDS: Final = 30.0


class Protocol(H11Protocol):
    """HTTP/1.1, for clients that say in time what they want: uvicorn itself waits for a first header for ever.

    While the server stops, a connection that has asked nothing yet may still ask once: to close it would reset the
    request that is on its way.
    """

    _deadline: asyncio.TimerHandle | None = None
    _unread: float = math.inf
    _asked = False

    def __init__(self, *args: Any, stopping: Callable[[], bool], **named: Any) -> None:
        super().__init__(*args, **named)
        self._stopping = stopping

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock."""
        super().connection_made(transport)
        if len(self.connections) > OPEN_CONNECTIONS:
            transport.abort()
        else:
            self._restart()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops it."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Starts it anew for the next request."""
        super().on_response_complete()
        self._restart()

    def handle_events(self) -> None:
        """Reads requests; while the server stops, one is the last."""
        super().handle_events()
        self._asked = self.cycle is not None
        if self._asked and self._stopping():
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Ends it: at once if it is idle, else after what is asked or on its way."""
        if self._asked:
            super().shutdown()
        else:
            self._restart()

    def _restart(self) -> None:
        self._unread = math.inf
        self._wait()

    def _wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = LAST_SECONDS if self._stopping() else QUIET_SECONDS
        self._deadline = self.loop.call_later(seconds, self._too_late)

    def _too_late(self) -> None:
        """Ends it, and does not wait for what the client does not read: a mere close would, for ever."""
        if self.cycle is not None and not self.cycle.response_complete:
            return
        unread = self.transport.get_write_buffer_size()
        if 0 < unread < self._unread:  # the answer is being read, if slowly
            self._unread = unread
            self._wait()
        else:
            self.transport.abort()


class _Uvicorn(uvicorn.Server):
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes no more connections, lets those begin that were just taken, and only then closes."""
        loop = asyncio.get_running_loop()
        for listening in sockets or []:
            loop.remove_reader(listening.fileno())
        for _ in range(2):  # a connection that was taken is known one turn of the loop later
            await asyncio.sleep(0)
        await super().shutdown(sockets)


class Server:
    """Answers on a socket until it is stopped. The socket is closed with it: give it a copy."""

    def __init__(self, app: FastAPI, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what strangers send wrongly is no news
        config = uvicorn.Config(
            app,
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=QUIET_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        config.load()
        config.ssl = context
        self._uvicorn = _Uvicorn(config)
        protocol = partial(Protocol, stopping=lambda: self._uvicorn.should_exit)
        config.http_protocol_class = protocol  # type: ignore[assignment]
        self._thread = threading.Thread(target=self._uvicorn.run, args=([listening],), name="api", daemon=True)

    def start(self) -> None:
        """Returns once it answers. Raises ``ConfigError`` where it does not come up."""
        self._thread.start()
        end = time.monotonic() + START_SECONDS
        while not self._uvicorn.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise ConfigError("api: the server did not start; the log says why")
            time.sleep(0.005)

    def stop(self) -> None:
        """Takes no new request, finishes those under way, and returns."""
        self._uvicorn.should_exit = True
        self._thread.join()
