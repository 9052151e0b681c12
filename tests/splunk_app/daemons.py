"""A daemon that misbehaves: one answer after the other, as a test wrote them down."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

Answer = Callable[["Asked"], None]


class Asked(BaseHTTPRequestHandler):
    """One connection; kept open between requests, as the real API keeps it."""

    protocol_version = "HTTP/1.1"
    server: Moody

    def do_POST(self) -> None:
        """The next answer of the script; the last one for ever."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.bodies.append(json.loads(body))
            script = self.server.script
            answer = script.pop(0) if len(script) > 1 else script[0]
        answer(self)

    def send(self, status: int, body: bytes, **headers: str) -> None:
        """An answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


class Moody(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """The server."""

    daemon_threads = True

    def __init__(self, path: Path, script: Iterable[Answer]) -> None:
        self.script = list(script)
        self.bodies: list[Any] = []
        self.lock = threading.Lock()
        super().__init__(str(path), Asked)

    def get_request(self) -> tuple[socket.socket, Any]:
        request, _ = super().get_request()
        return request, ("unix", 0)


@contextmanager
def moody(path: Path, *script: Answer) -> Iterator[Moody]:
    """Serves until the end of the block."""
    with Moody(path, script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def verdict(data: Any, **more: Any) -> dict[str, Any]:
    """A document that says which event it is about."""
    name = data.get("n", "") if isinstance(data, dict) else ""
    triaged = {"verdict": "benign", "confidence": 0.25, "explanation": [f"event {name}"], "techniques": [], **more}
    return {"triaged": {"model": {"name": "m", "version": "1"}, **triaged}}


def scored(asked: Asked) -> None:
    """A verdict on each event."""
    documents = [verdict(item["data"]) for item in asked.server.bodies[-1]["events"]]
    asked.send(200, json.dumps({"verdicts": documents}).encode())


def said(status: int, body: bytes = b'{"error": "no"}', **headers: str) -> Answer:
    """Always this."""
    return lambda asked: asked.send(status, body, **headers)


def broken(asked: Asked) -> None:
    """The connection ends without an answer."""
    asked.close_connection = True
    asked.connection.shutdown(socket.SHUT_RDWR)


def silent(seconds: float) -> Answer:
    """No answer for so long."""

    def wait(asked: Asked) -> None:
        time.sleep(seconds)
        asked.close_connection = True

    return wait
