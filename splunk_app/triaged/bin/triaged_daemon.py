"""The way to the Triaged daemon: where it is, with which token, and calls over HTTPS or a Unix socket.

Standard library alone, Python 3.9 to 3.13. Every server is verified. What takes time to import is imported where it is
first needed, since a search's process starts for one search only.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

APP = Path(__file__).resolve().parent.parent
NAME = "triaged"
READERS = {"search": "triaged_analyst", "inlet": "triaged_responder"}
"""The role that may read each token; ``metadata/default.meta`` says so too."""
LANES = 2
"""Requests under way at once: while the daemon works on one batch, the one before is written and the next is encoded."""
PAUSES_S = (0.2, 0.8)
"""Before the second and the third try."""
LONGEST_PAUSE_S = 5.0
_ALIVE_S = 0.5
"""How often it is looked whether the search is still there while something is waited for."""
_IDLE_S = 2.0
_BUSY = (429, 502, 503, 504)
_MESSAGE = 200


class DaemonError(Exception):
    """There is no answer that can be used; the message says why. ``again``: it may work after ``pause`` seconds."""

    def __init__(self, message: str, *, again: bool = False, pause: float = 0.0) -> None:
        super().__init__(message)
        self.again = again
        self.pause = pause

    @property
    def broken(self) -> bool:
        """Whether other requests would meet it too."""
        return True


class Refused(DaemonError):  # noqa: N818 - a word of HTTP
    """The server answered, and did not do it: ``status`` is HTTP's."""

    def __init__(self, message: str, status: int, pause: float = 0.0) -> None:
        super().__init__(message, again=status in _BUSY, pause=pause)
        self.status = status

    @property
    def broken(self) -> bool:
        """Whether it is about the caller or the server, and not about this one request."""
        return self.status in (401, 403, *_BUSY)


class Settings(NamedTuple):
    """What the set-up page stored, less the tokens."""

    url: str
    deployment: str
    ca_file: Optional[str]
    timeout: float
    splunkd_ca_file: Optional[str]


def settings(app: Path = APP) -> Settings:
    """Reads ``triaged.conf`` of this app, ``local`` over ``default``. Raises DaemonError where it is not set up.

    From the files, not over REST: no user's own copy of the stanza can send the token to another place.
    """
    from configparser import ConfigParser, Error

    conf = ConfigParser(interpolation=None, strict=False, delimiters=("=",), comment_prefixes=("#",))
    try:
        conf.read([app / "default" / "triaged.conf", app / "local" / "triaged.conf"], encoding="utf-8-sig")
        found = Settings(
            url=conf.get("daemon", "url", fallback="").strip(),
            deployment=conf.get("daemon", "deployment", fallback="").strip(),
            ca_file=conf.get("daemon", "ca_file", fallback="").strip() or None,
            timeout=conf.getfloat("daemon", "timeout", fallback=60.0),
            splunkd_ca_file=conf.get("splunkd", "ca_file", fallback="").strip() or None,
        )
    except (Error, ValueError) as error:
        raise DaemonError(f"triaged.conf cannot be read: {error}") from None
    if not found.url:
        raise DaemonError("the app is not set up: its set-up page asks for the daemon's URL")
    return found


class Server(NamedTuple):
    """Where to connect to, and whom to trust there."""

    url: str
    ca_file: Optional[str]
    timeout: float
    local: bool = False
    """splunkd on this machine: a given CA must have signed, but its default certificate names no host."""

    @property
    def prefix(self) -> str:
        """The path before every path."""
        from urllib.parse import urlsplit

        return "" if self.url.startswith("unix:") else urlsplit(self.url).path.rstrip("/")

    def connection(self) -> Any:
        """A connection that opens when it is used. Raises DaemonError for a URL that would be no safe way."""
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.parse import urlsplit

        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port
        except ValueError:
            parts, host, port = urlsplit(""), None, None
        if parts.scheme == "unix" and parts.path:
            return _through_socket(parts.path, self.timeout, host=NAME)
        if parts.scheme == "https" and host:
            return HTTPSConnection(host, port, timeout=self.timeout, context=self._context())
        if parts.scheme == "http" and host and self.local:
            return HTTPConnection(host, port, timeout=self.timeout)
        raise DaemonError(f"the URL must be https://host:port or unix:/path/of/the.sock, not {self.url!r}")

    def _context(self) -> Any:
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise DaemonError(f"the CA file {self.ca_file} cannot be used: {error}") from None
        if self.local:
            context.check_hostname = False
            # Splunk's own CA is older than the strict profile, which Python 3.13 asks for by default
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        return context


def _through_socket(path: str, timeout: float, host: str) -> Any:
    """A connection over a Unix socket; ``host`` is what its requests name."""
    import socket
    from http.client import HTTPConnection

    class Connection(HTTPConnection):
        def connect(self) -> None:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(timeout)
            self.sock.connect(path)

    return Connection(host)


def splunkd(url: str, ca_file: Optional[str], timeout: float) -> Server:
    """The search head that started this process, by the address that it gave. Raises DaemonError for another one's.

    On the loopback interface its certificate need not name a host, since nobody else listens there; which authority
    signed is checked all the same: the given one, else the one that Splunk comes with.
    """
    from urllib.parse import urlsplit

    local = urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
    if ca_file is None and local:
        shipped = Path(os.environ.get("SPLUNK_HOME", "/opt/splunk")) / "etc" / "auth" / "cacert.pem"
        ca_file = str(shipped) if shipped.is_file() else None
    return Server(url, ca_file, timeout, local=local)


def token(server: Server, session_key: str, name: str) -> str:
    """A secret of this app from Splunk's credential store, read in the name of the search's user. Raises DaemonError."""
    from urllib.parse import quote

    path = f"/servicesNS/nobody/{NAME}/storage/passwords/{quote(f'{NAME}:{name}:', safe='')}?output_mode=json"
    try:
        answer = Client(server, f"Splunk {session_key}").call(Request("GET", path))
        return str(answer["entry"][0]["content"]["clear_password"]).strip()
    except Refused as refused:
        may = f"the role {READERS.get(name, 'admin')} may"
        why = {403: f"this user may not read it: {may}", 404: f"it was not set up, or this user may not read it: {may}"}
        reason = why.get(refused.status, str(refused))
        raise DaemonError(f"the token {name!r} cannot be read from the credential store: {reason}") from None
    except (LookupError, TypeError):
        raise DaemonError(f"the credential store holds no token {name!r}: the set-up page asks for it") from None


def client(info: Mapping[str, Any], name: str, alive: Callable[[], None] = lambda: None, app: Path = APP) -> Client:
    """A client of the daemon, from what Splunk tells a process: ``splunkd_uri`` and ``session_key``. Raises DaemonError."""
    found = settings(app)
    server = splunkd(str(info.get("splunkd_uri") or ""), found.splunkd_ca_file, min(found.timeout, 10.0))
    secret = token(server, str(info.get("session_key") or ""), name)
    return Client(Server(found.url, found.ca_file, found.timeout), f"Bearer {secret}", found.deployment, alive)


class Request(NamedTuple):
    """A call that may be sent again: it changes nothing, or carries an idempotency key of its own."""

    method: str
    path: str
    body: Optional[bytes] = None
    headers: Mapping[str, str] = {}


class Client:
    """Calls to one server, over connections that are kept while they are in use."""

    def __init__(
        self, server: Server, authorization: str, deployment: str = "", alive: Callable[[], None] = lambda: None
    ) -> None:
        """``deployment``: what the daemon calls this Splunk. ``alive`` raises where nobody needs the answer any more."""
        self.server = server
        self.deployment = deployment
        self.alive = alive
        self.headers = {
            "Authorization": authorization,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }
        self._idle: deque[tuple[float, Any]] = deque()

    def call(self, request: Request) -> Any:
        """The JSON answer to one request. Raises DaemonError."""
        (reply,) = self.replies([request])
        if isinstance(reply, DaemonError):
            raise reply
        return reply

    def replies(self, requests: Iterable[Request]) -> Iterator[Union[Any, DaemonError]]:
        """The JSON answer to each request, or why there is none, in their order; a few are under way at once.

        After an error that the next request would meet too, nothing more is sent, and the rest gets that error.
        """
        waiting: deque[_Call] = deque()
        broken: Optional[DaemonError] = None
        for request in requests:
            if broken is not None:
                yield broken
                continue
            waiting.append(_Call(self, request))
            if len(waiting) == LANES:
                reply = waiting.popleft().reply()
                yield reply
                if isinstance(reply, DaemonError) and reply.broken:
                    broken = reply
                    yield from (call.reply() for call in waiting)
                    waiting.clear()
        yield from (call.reply() for call in waiting)

    def lend(self) -> Any:
        """A connection that nobody uses: one that was just used, or a new one."""
        while self._idle:
            since, connection = self._idle.popleft()
            if time.monotonic() - since < _IDLE_S:
                return connection
            connection.close()
        return self.server.connection()

    def take_back(self, connection: Any) -> None:
        """For the next call."""
        self._idle.append((time.monotonic(), connection))


class _Call:
    """One request, and the thread that sends it and reads the answer, so that other work goes on meanwhile."""

    def __init__(self, owner: Client, request: Request) -> None:
        self._owner = owner
        self._request = request
        self._connection: Any = None
        self._thread: Any = None
        self._found: Union[Any, DaemonError] = None
        self._start()

    def reply(self) -> Union[Any, DaemonError]:
        """The answer. What may work next time is sent again, after a pause."""
        for pause in PAUSES_S:
            found = self._finished()
            if not (isinstance(found, DaemonError) and found.again):
                return found
            end = time.monotonic() + max(pause, min(found.pause, LONGEST_PAUSE_S))
            while (left := end - time.monotonic()) > 0:
                self._owner.alive()
                time.sleep(min(left, _ALIVE_S))
            self._start()
        return self._finished()

    def _start(self) -> None:
        from threading import Thread

        self._owner.alive()
        self._found = DaemonError(f"{self._owner.server.url} was not asked")
        # a daemon thread, so that a search that is cancelled does not wait for an answer
        self._thread = Thread(target=self._ask, daemon=True)
        try:
            self._connection = self._owner.lend()
        except DaemonError as error:
            self._found = error
        else:
            self._thread.start()

    def _finished(self) -> Union[Any, DaemonError]:
        while self._thread.is_alive():
            self._thread.join(_ALIVE_S)
            self._owner.alive()
        return self._found

    def _ask(self) -> None:
        from http.client import HTTPException

        request, server = self._request, self._owner.server
        try:
            headers = {**self._owner.headers, **request.headers}
            self._connection.request(request.method, server.prefix + request.path, request.body, headers)
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, HTTPException, ValueError) as error:
            self._found = self._lost(error)
            return
        self._owner.take_back(self._connection)
        self._found = self._read(response, data)

    def _read(self, response: Any, data: bytes) -> Union[Any, DaemonError]:
        url = self._owner.server.url
        if not 200 <= response.status < 300:
            return _refused(url, response.status, response.getheader("Retry-After"), data)
        try:
            return json.loads(data)
        except ValueError:
            return DaemonError(f"{url} answered what is no JSON")

    def _lost(self, error: Exception) -> DaemonError:
        """A broken connection may be tried again; a certificate that does not verify, or a server that hangs, may not."""
        from socket import timeout
        from ssl import SSLError

        self._connection.close()
        # what http.client says of a header that cannot be sent quotes the header, and so the token
        quotes = isinstance(error, ValueError) and not isinstance(error, OSError)
        reason = type(error).__name__ if quotes else str(error) or type(error).__name__
        message = f"{self._owner.server.url} does not answer: {reason}"
        return DaemonError(message, again=not isinstance(error, (SSLError, ValueError, timeout)))


def _refused(url: str, status: int, retry_after: Optional[str], data: bytes) -> Refused:
    try:
        found = json.loads(data)
        detail = found.get("error") or found["messages"][0]["text"]
    except (ValueError, LookupError, AttributeError, TypeError):
        detail = ""
    said = f": {detail}"[:_MESSAGE] if detail else ""
    pause = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
    return Refused(f"{url} answered {status}{said}", status, pause)
