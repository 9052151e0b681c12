"""A thin layer before a real server that fails on demand: busy, gone, slow, cut off, or no JSON."""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.servers.process import Server

SLOW_S = 1.0
SLOW, CUT, GARBAGE = -1, -2, -3


class Proxy:
    """Forwards to a server; each entry of ``faults`` is the answer to one request instead: a status, or how it breaks.

    ``seen`` are the headers of all requests.
    """

    def __init__(self, server: Server | None = None) -> None:
        self.faults: deque[int] = deque()
        self.only = ""
        self.seen: list[Mapping[str, str]] = []
        self._server = server
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                proxy.seen.append(dict(self.headers))
                if proxy.faults and proxy.only in self.path:
                    self._fail(proxy.faults.popleft())
                    return
                connection = http.client.HTTPConnection("127.0.0.1", proxy._server.port, timeout=60)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                self._send(answer.status, answer.read(), dict(answer.getheaders()))
                connection.close()

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_one  # noqa: N815 - http.server's names

            def _fail(self, how: int) -> None:
                if how == CUT:
                    self.close_connection = True
                    return
                if how == SLOW:
                    time.sleep(SLOW_S)
                    self.close_connection = True
                    return
                named = {"content-type": "application/json", "x-elastic-product": "Elasticsearch"}
                self._send(200 if how == GARBAGE else how, b"<html>busy</html>" if how == GARBAGE else b"{}", named)

            def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "content-encoding", "connection"}:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        return Handler
