"""HTTP as splunkd speaks it: requests taken apart, answers whole or in chunks, and an explicit ``Connection`` header on each."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import threading
import time
import traceback
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_IDLE_S = 60.0
_END_S = 5.0
_FORM = "application/x-www-form-urlencoded"


class RefusedError(Exception):
    """A request ends here: its status, and the message that the client is told."""

    def __init__(
        self, status: int, text: str, *, kind: str = "ERROR", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(text)
        self.status, self.text, self.kind, self.headers = status, text, kind, dict(headers or {})


class MistakeError(AssertionError):
    """The stand-in itself failed on a request: raised where the server ends, so that no test passes over it."""


class CutOffError(Exception):
    """The connection breaks here, in the midst of an answer or before one; with the argument ``reset`` it is reset."""


@dataclass(slots=True)
class Request:
    """One request. ``path`` has lost its namespace (``/services`` or ``/servicesNS/<owner>/<app>``) and its last slash."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    path: str = ""
    owner: str = ""
    app: str = ""
    query: dict[str, list[str]] = field(default_factory=dict)
    form: dict[str, list[str]] = field(default_factory=dict)
    status: int = 0
    user: str = ""

    def get(self, name: str, default: str = "") -> str:
        """A parameter of the form, else of the query string; the last one where it is repeated."""
        values = self.all(name)
        return values[-1] if values else default

    def all(self, name: str) -> list[str]:
        """Every value of a parameter."""
        return self.form.get(name) or self.query.get(name) or []

    def number(self, name: str, default: int = 0) -> int:
        """A parameter as a whole number. Raises :class:`RefusedError` for anything else."""
        text = self.get(name)
        if text and not text.isdecimal():
            raise RefusedError(400, f"Invalid value '{text[:40]}' for {name}: a whole number is expected.")
        return int(text or default)

    def json(self) -> Any:
        """The body as JSON. Raises :class:`RefusedError` as the KV store does."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise RefusedError(400, "JSON in the request is invalid.") from None

    @property
    def wants_json(self) -> bool:
        """Whether ``output_mode`` asks for JSON."""
        return self.get("output_mode").startswith("json")


@dataclass(slots=True)
class Answer:
    """What goes back: a whole body, or an iterator of pieces that are sent as chunks."""

    body: bytes | Iterator[bytes] = b""
    status: int = 200
    kind: str = "text/xml; charset=UTF-8"
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(value: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(value, separators=(",", ":")).encode(), status, "application/json; charset=UTF-8")


class Listener:
    """A server on a loopback port that hands every request to a function; TLS where a context is given."""

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        *,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.mistakes: list[str] = []
        self._made = lambda port: self._server(port, _handler(answer, clock, self.mistakes), tls)
        self.scheme = "https" if tls else "http"
        self._http: _Server | None = self._made(port)
        self.port = self._http.server_port
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begins to answer, at the same port as before."""
        if self._http is None:
            self._http = self._made(self.port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it: whoever still waits for an answer sees the connection close."""
        server, self._http = self._http, None
        if server is None:
            return
        if self._thread is not None:
            server.shutdown()
            self._thread.join(_END_S)
        server.server_close()
        with self._lock:
            waiting = list(self._open)
        for connection in waiting:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.wait(_END_S)

    def _server(self, port: int, handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None) -> _Server:
        server = _Server(("127.0.0.1", port), handler)
        server.tls, server.keep, server.drop = tls, self._keep, self._drop
        return server

    def _keep(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)

    def _drop(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    tls: ssl.SSLContext | None = None

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self.keep(request)
        try:
            if self.tls is not None:
                plain, request = request, self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
                self.drop(plain)
                self.keep(request)
                request.settimeout(_IDLE_S)
                request.do_handshake()
            super().process_request_thread(request, client_address)
        except OSError:
            self.shutdown_request(request)
        finally:
            self.drop(request)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self.__dict__.setdefault("running", []).append(thread)
        self.running = [one for one in self.running if one.is_alive() or one is thread]
        thread.start()

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for thread in self.__dict__.get("running", []):
            thread.join(max(0.0, until - time.monotonic()))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news, and a mistake of this server has been noted."""

    keep: Callable[[socket.socket], None]
    drop: Callable[[socket.socket], None]


class _Handler(BaseHTTPRequestHandler):
    """One connection. What it answers from, its clock and where mistakes are noted are the server's own."""

    answer: Callable[[Request], Answer]
    clock: Callable[[], float]
    mistakes: list[str]
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "Splunkd", ""
    timeout = _IDLE_S
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def one(self) -> None:
        try:
            self._send(self.answer(self._request()))
        except CutOffError as cut:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
                if "reset" in cut.args:
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    socket.close(self.connection.detach())
                else:
                    self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - a mistake of the stand-in is noted, and raised where it ends
            self.mistakes.append(f"{self.command} {self.path}\n{traceback.format_exc()}")
            self.close_connection = True
            with suppress(OSError):
                self._send(Answer(self.mistakes[-1].encode(), 500, "text/plain; charset=UTF-8"))

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = one  # noqa: N815 - http.server's names

    def _request(self) -> Request:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding", "").lower() == "gzip":
            with suppress(OSError, EOFError, zlib.error):  # what is not packed is invalid data, as the collector says
                body = gzip.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body, self.clock())
        place = urlsplit(self.path)
        request.query = parse_qs(place.query, keep_blank_values=True)
        if headers.get("content-type", _FORM).startswith(_FORM) and body[:1] not in (b"{", b"["):
            request.form = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
        request.path, request.owner, request.app = _without_namespace(place.path)
        return request

    def _send(self, reply: Answer) -> None:
        whole = isinstance(reply.body, bytes)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Connection", "Keep-Alive")
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if whole:
            self.send_header("Content-Length", str(len(reply.body)))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if whole:
            self.wfile.write(reply.body)
        else:
            for piece in reply.body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.clock() if timestamp is None else timestamp, usegmt=True)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _handler(
    answer: Callable[[Request], Answer], clock: Callable[[], float], mistakes: list[str]
) -> type[BaseHTTPRequestHandler]:
    own = {"answer": staticmethod(answer), "clock": staticmethod(clock), "mistakes": mistakes}
    return type("Handler", (_Handler,), own)


def _without_namespace(path: str) -> tuple[str, str, str]:
    """The path below the namespace, the owner and the app. Raises nothing: an unknown shape is left as it is."""
    parts = path.strip("/").split("/")
    if parts[0] == "services":
        return "/".join(map(unquote, parts[1:])), "", ""
    if parts[0] == "servicesNS" and len(parts) >= 3:
        return "/".join(map(unquote, parts[3:])), unquote(parts[1]), unquote(parts[2])
    return "/" + "/".join(map(unquote, parts)), "", ""
