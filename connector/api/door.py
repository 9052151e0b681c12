"""The API's place in the daemon: it listens through reloads, while what stands behind it is replaced."""

from __future__ import annotations

import importlib.util
import ssl
from typing import TYPE_CHECKING

from connector.api.desk import Desk
from connector.api.listen import Listener, address, listen, tls
from connector.errors import ConfigError
from connector.settings import ApiSettings
from connector.telemetry import Signal, emit

if TYPE_CHECKING:
    from connector.api.server import Server

PACKAGES = ("fastapi", "uvicorn")


def check_installed(settings: ApiSettings) -> None:
    """Raises ``ConfigError`` where the settings want an API and the extra is not installed."""
    if settings.on and (missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]):
        raise ConfigError(f"[api] needs {' and '.join(missing)}: pip install 'triaged[api]'")


def check(settings: ApiSettings) -> None:
    """Whether these settings could be served, but for the address. Raises ``ConfigError``."""
    if settings.on:
        check_installed(settings)
        tls(settings)


class Door:
    """Closed until :meth:`open`; connections that come while it is shut for a reload wait.

    With settings that want no API every method does nothing.
    """

    def __init__(self) -> None:
        self._listener: Listener | None = None
        self._context: ssl.SSLContext | None = None
        self._ready: tuple[Listener | None, ssl.SSLContext | None] | None = None
        self._server: Server | None = None

    def prepare(self, settings: ApiSettings) -> None:
        """Makes sure that :meth:`open` will work with these settings, and changes nothing yet. Raises ``ConfigError``."""
        if not settings.on:
            self._ready = (None, None)
            return
        check_installed(settings)
        context = tls(settings)
        present = self._listener
        same = present is not None and present.address == address(settings)
        self._ready = (present if same else listen(settings), context)

    def open(self, desk: Desk) -> None:
        """Answers from this desk, as prepared."""
        if self._ready is None:
            self.prepare(desk.settings)
        listener, context = self._ready or (None, None)
        self._ready = None
        if self._listener is not None and self._listener is not listener:
            self._listener.close()
        self._listener = listener
        if listener is None:
            return
        from connector.api.server import Server  # noqa: PLC0415 - of the extra
        from connector.api.web import application  # noqa: PLC0415 - of the extra

        self._server = Server(application(desk), listener.socket.dup(), context)
        self._server.start()
        emit(Signal.API_LISTENING, address=listener.address)

    def shut(self) -> None:
        """Finishes what is under way; the desk may then be closed. Who comes now waits for :meth:`open`."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """Shuts, and listens no more."""
        self.shut()
        for listener in (self._listener, *(self._ready or ())[:1]):
            if listener is not None:
                listener.close()
        self._listener = self._ready = None
