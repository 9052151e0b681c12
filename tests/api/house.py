"""The API over the tiny model, in this process: a real server, real HTTP, a real ledger."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from connector import wiring
from connector.api import Door
from tests.daemon.site import Site, process_start

TOKENS = {
    name: f"{name}-token-of-at-least-32-characters" for name in ("search", "push", "other", "chief", "boss", "reader")
}

API = """
[api]
socket = "{dir}/api.sock"
rate = 1000
burst = 1000
{more}
[api.inlets.push]
deployment = "lab"
[api.tokens.search]
token = "{search}"
scopes = ["classify"]
[api.tokens.push]
token = "{push}"
scopes = ["ingest"]
[api.tokens.other]
token = "{other}"
scopes = ["ingest"]
[api.tokens.chief]
token = "{chief}"
scopes = ["approve"]
[api.tokens.boss]
token = "{boss}"
scopes = ["admin"]
[api.tokens.reader]
token = "{reader}"
"""


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout: float = 60) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Caller:
    """A client of the API on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        sent = {} if token is None else {"Authorization": f"Bearer {TOKENS.get(token, token)}"}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection = UnixConnection(self.path)
        try:
            connection.request(method, path, data, {**sent, **(headers or {})})
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()


class House(NamedTuple):
    """A site, its application, a caller of its API, and the API's door."""

    site: Site
    app: wiring.App
    call: Caller
    door: Door

    def push(self, *events: Mapping[str, Any], token: str = "push", **headers: str) -> Answer:
        """Pushes these items."""
        return self.call("POST", "/v1/events", {"events": events}, token=token, headers=headers)

    def stored(self) -> int:
        """Verdicts in the ledger."""
        return sum(1 for _ in self.app.ledger.verdicts())


def api_settings(directory: Path, more: str = "", **changed: str) -> str:
    """The section with one inlet and a token for each scope."""
    return API.format(dir=directory, more=more, **{**TOKENS, **changed})


@contextmanager
def opened(directory: Path, more: str = "", *, change: Callable[[str], str] = str) -> Iterator[House]:
    """The API, served until the end of the block. ``change`` is done to the whole settings file."""
    site = Site(directory, extra=api_settings(directory, more))
    site.config.write_text(change(site.config.read_text()))
    app = wiring.App(wiring.load_settings(site.config))
    door = Door()
    try:
        door.open(app.desk())
        yield House(site, app, Caller(directory / "api.sock"), door)
    finally:
        door.close()
        app.close()


def event(number: int = 1) -> dict[str, object]:
    """A process start that no other number gives."""
    return process_start(f"tool-{number}.exe")
