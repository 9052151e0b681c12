"""HTTP with what the delivery promise needs: verified TLS, time-outs, and knowing whether anything was sent.

Every adapter that brings no client of its own speaks through it, and splunklib does, which takes any function as its
``handler``: its own one verifies no certificate unless told to, connects without a limit of time, and cannot tell an address
that nobody listens at from a request that was cut off.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr

from connector.errors import ConfigError

CONNECT_S: Final = 10.0
"""How long a connection may take to stand; the time-out is for the answer."""
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_HEADER: Final = re.compile(r"[\x21-\x7e]+")
_PIECE: Final = 1 << 16


class UnsentError(OSError):
    """No connection came about, so nothing was sent; raised from what kept it."""


class Exchange(NamedTuple):
    """An answer whose body is not read yet. Closing the body closes the connection."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: Body


class Body:
    """The body of an answer, as a stream."""

    def __init__(self, response: http.client.HTTPResponse, connection: http.client.HTTPConnection) -> None:
        self._response = response
        self._connection = connection

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all that is left where that is less.

        Raises ``http.client.IncompleteRead`` where the sender stops before its announced end.
        """
        data = self._response.read(size)
        if size is not None and len(data) < size and (missing := self._response.length):
            raise http.client.IncompleteRead(data, missing)
        if self._response.isclosed():
            self.close()
        return data

    def lines(self) -> Iterator[bytes]:
        """Line by line, as they arrive, without their ends.

        Raises ``http.client.IncompleteRead`` where the sender stops before its announced end.
        """
        rest = b""
        while piece := self._response.read1(_PIECE):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
        if rest:
            yield rest
        if missing := self._response.length:
            raise http.client.IncompleteRead(b"", missing)

    def close(self) -> None:
        """Ends the connection. A search that is still streaming is given up on the server too."""
        with suppress(OSError):
            self._response.close()
        self._connection.close()


def for_header(secret: SecretStr) -> SecretStr:
    """A secret that a header can carry, without the space or newline that a file of secrets ends with.

    Raises ``ValueError`` that does not quote it.
    """
    value = secret.get_secret_value().strip()
    if not _HEADER.fullmatch(value):
        raise ValueError("it is empty, or holds what cannot stand in a header: spaces, control or non-ASCII characters")
    return SecretStr(value)


HeaderSecret: TypeAlias = Annotated[SecretStr, AfterValidator(for_header)]
"""A setting that goes into a header."""


def is_safe(address: str) -> bool:
    """Whether credentials may travel to an address: through TLS, or not at all over a wire."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.hostname in LOOPBACK


class Transport:
    """Sends requests, each on a connection of its own. Safe to use from several threads.

    ``timeout`` is how long the other side may be silent; with ``whole``, how long the whole answer may take.
    """

    def __init__(
        self,
        *,
        timeout: float,
        whole: bool = False,
        ca_certs: Path | None = None,
        client_cert: Path | None = None,
        client_key: Path | None = None,
    ) -> None:
        self._timeout = timeout
        self._whole = whole
        self._context = _context(ca_certs, client_cert, client_key)

    def handle(self, url: str, message: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        """One request as splunklib's handlers take it: ``method``, ``headers`` and ``body`` in, an answer out."""
        exchange = self.send(
            message.get("method", "GET"), url, dict(message.get("headers") or ()), message.get("body") or b""
        )
        return exchange._asdict()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | str = b"") -> Exchange:
        """One request.

        Raises ``UnsentError`` where nothing left, ``OSError`` or ``HTTPException`` where it may have, and ``ConfigError``
        for a header that cannot be sent, or a host or port that cannot be one.
        """
        parts = urlsplit(url)
        connection = self._connected(parts)
        try:
            path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            raw = body.encode() if isinstance(body, str) else body
            if self._whole:
                connection.response_class = partial(_InTime, until=time.monotonic() + self._timeout)  # type: ignore[assignment]
            connection.request(method, path, raw, {"Accept": "*/*", "Connection": "close", **headers})
            response = connection.getresponse()
        except BaseException as error:
            connection.close()
            if isinstance(error, (ValueError, http.client.InvalidURL)) and not isinstance(error, OSError):
                # its text quotes the header, and a header may be the secret
                raise ConfigError(f"a request to {parts.netloc} cannot be made: {type(error).__name__}") from None
            raise
        return Exchange(response.status, response.reason, response.getheaders(), Body(response, connection))

    def _connected(self, parts: SplitResult) -> http.client.HTTPConnection:
        began, limit = time.monotonic(), min(CONNECT_S, self._timeout)
        wait = limit / 2 if self._whole else limit  # each for the connection and for TLS
        try:
            connection = self._connection(parts, wait)
            connection.connect()
            connection.sock.settimeout(self._timeout)
            if self._whole and time.monotonic() - began > limit:
                raise TimeoutError("the connection took too long")
        except OSError as error:
            connection.close()
            raise UnsentError(str(error)) from error
        except (ValueError, http.client.InvalidURL) as error:  # UnicodeError among them
            raise ConfigError(f"no host and port to connect to: {error}") from None
        return connection

    def _connection(self, parts: SplitResult, wait: float) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "https":
            return http.client.HTTPSConnection(host, parts.port, timeout=wait, context=self._context)
        return http.client.HTTPConnection(host, parts.port, timeout=wait)


class _InTime(http.client.HTTPResponse):
    """An answer, headers and body, that has to be read by a moment of the monotonic clock."""

    def __init__(self, sock: socket.socket, *given: Any, until: float, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, until))


class _Timed(io.RawIOBase):
    """A socket's bytes. Raises ``TimeoutError`` from then on, however steadily they trickle."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, until: float) -> None:
        self._raw = raw
        self._socket = sock
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _context(ca_certs: Path | None, client_cert: Path | None, client_key: Path | None) -> ssl.SSLContext:
    """Verifies certificate and name, always. Raises ``ConfigError`` for a file that cannot be used."""
    for name, path in (("ca_certs", ca_certs), ("client_cert", client_cert), ("client_key", client_key)):
        if path is not None and not path.is_file():
            raise ConfigError(f"{name}: no file at {path}")
    try:
        context = ssl.create_default_context(cafile=str(ca_certs) if ca_certs else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if client_cert is not None:
            context.load_cert_chain(client_cert, client_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"a certificate file cannot be used: {error}") from error
    return context
