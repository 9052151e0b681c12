"""What every SOAR behind a REST interface shares: its address, its certificate, one way to ask, one way to fail.

A request is sent once. Only where no connection came about it is tried again inside the call (:mod:`connector.retries`);
after a byte has left, what to do next is the pipeline's to decide, by the adapter's ``uniqueness``.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Collection, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from pydantic import Field, field_validator

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.retries import SECONDS, retrying
from connector.settings import Every, SoarSettings
from connector.transport import Transport, UnsentError, is_safe

LONGEST_ANSWER: Final = 8 << 20
"""Bytes of an answer that are read; a longer one is an error."""

LONGEST_REASON: Final = 500
"""Characters of a platform's own words that are quoted: they may repeat what an event says."""

UNAUTHORIZED: Final = frozenset({401, 403, 407})
BUSY: Final = frozenset({429})
"""The platform says that it did nothing."""

UNCLEAR: Final = frozenset({408, 409, 423, 425})
"""The platform may have begun, as with any 5xx."""

MOVED: Final = frozenset({301, 302, 303})
"""Redirects to where a GET gives more: receivers answer so after they have acted, too. 307 and 308 ask to send again."""


class Reached(SoarSettings):
    """How a platform is reached, wherever it is."""

    ca_certs: Path | None = Field(None, description="a file of the authorities that are trusted; absent: the system's")
    client_cert: Path | None = Field(None, description="a client certificate, with client_key")
    client_key: Path | None = None
    timeout: Every = Field(timedelta(seconds=20), description="how long an answer of the platform may take")


class RestSettings(Reached):
    """A platform with one address. Its credentials are the adapter's own."""

    url: str = Field(description="`https://soar.example`, with its base path if it has one")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password:
            raise ValueError("credentials do not belong into an address")
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{url!r} is no address: `https://soar.example` is one")
        if parts.port == 0:  # asked for even where it does not matter: one that is none raises ValueError
            raise ValueError("0 is no port to send to")
        if not is_safe(url):
            raise ValueError(f"credentials would travel in the open to {url}: use https://")
        return url.rstrip("/")


class Rest:
    """Asks one platform. Safe to use from several threads."""

    def __init__(self, config: RestSettings, headers: Mapping[str, str]) -> None:
        self._url = config.url
        self._timeout = config.timeout.total_seconds()
        self._headers = {"Accept": "application/json", **headers}
        self._transport = Transport(
            timeout=self._timeout,
            whole=True,
            ca_certs=config.ca_certs,
            client_cert=config.client_cert,
            client_key=config.client_key,
        )

    def raw(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        allowed: Collection[int] = (),
        hidden: Collection[str] = (),
        seconds: float = SECONDS,
    ) -> tuple[int, bytes]:
        """One request, and its answer as it came.

        ``allowed`` are statuses above 299 that the caller reads itself, ``hidden`` secrets that errors leave out where they
        would quote them; ``seconds`` is how long it may try to get a connection, and no longer than an answer may take.
        Raises ``TransientError`` (``sent`` where a byte may have left and the platform may have acted), ``PermanentError``
        where it refuses what was asked, ``ConfigError`` where it refuses us.
        """
        sent = {**self._headers, **({} if data is None else {"Content-Type": "application/json"}), **(headers or {})}
        target = f"{self._url}{path}{'?' + urlencode(query) if query else ''}"
        what = _without(hidden, self._named(method, path).encode()).decode()
        status, text = retrying(min(seconds, self._timeout))(self._once, method, target, sent, data or b"", what)
        if status < 300 or status in allowed:
            return status, text
        if method != "GET" and status in MOVED:
            raise TransientError(f"{what}: HTTP {status}: it may have acted first; check `url`", sent=True)
        raise refused(status, _without(hidden, text), what)

    def _named(self, method: str, path: str) -> str:
        return f"{method} {path} on {urlsplit(self._url).netloc}"

    def _once(self, method: str, target: str, headers: Mapping[str, str], data: bytes, what: str) -> tuple[int, bytes]:
        try:
            exchange = self._transport.send(method, target, headers, data)
            try:
                text = exchange.body.read(LONGEST_ANSWER + 1)
            finally:
                exchange.body.close()
        except (OSError, http.client.HTTPException) as error:
            raise broken(error, what) from error
        if exchange.status in BUSY:
            raise TransientError(f"{what}: HTTP {exchange.status}, it is busy")
        return exchange.status, text


def broken(error: Exception, what: str) -> TriagedError:
    """Our error for an exchange that did not come to an end."""
    if isinstance(error, UnsentError):
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            return ConfigError(f"{what}: {error}: check `ca_certs`, and the name in the platform's certificate")
        return TransientError(f"{what}: {error}")
    return TransientError(f"{what}: {error or type(error).__name__}", sent=True)


def refused(status: int, text: bytes, what: str) -> TriagedError:
    """Our error for a status that is no success."""
    message = f"{what}: HTTP {status} {reason_in(text)}".rstrip()
    if status in UNAUTHORIZED:
        return ConfigError(f"{message}: check the credentials and their rights")
    if status in UNCLEAR or status >= 500:
        return TransientError(message, sent=True)
    if status < 400:
        return ConfigError(f"{message}: redirects are not followed: check `url`")
    return PermanentError(message)


def reason_in(text: bytes) -> str:
    """What the platform says of it, in one short printable line."""
    words = text[: 4 * LONGEST_REASON].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in words)[:LONGEST_REASON].strip()


def _without(hidden: Collection[str], text: bytes) -> bytes:
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret.encode(), "…".encode())
    return text


def path(*parts: str | int) -> str:
    """A path of these parts, each escaped: none can leave its place. Raises ``PermanentError`` for what would."""
    if odd := {"", ".", ".."}.intersection(map(str, parts)):
        raise PermanentError(f"{odd.pop()!r} is no part of a path")
    return "".join(f"/{quote(str(part), safe='')}" for part in parts)


def whole(text: bytes, what: str) -> None:
    """Raises ``TransientError``, ``sent``, for an answer that was cut off because of its length: it was done, or not."""
    if len(text) > LONGEST_ANSWER:
        raise TransientError(f"{what}: an answer of more than {LONGEST_ANSWER} bytes", sent=True)


def decoded(text: bytes, what: str) -> Any:
    """The JSON of an answer; None for an empty one. Raises ``TransientError``, ``sent``, where it is too long or no JSON."""
    whole(text, what)
    if not text.strip():
        return None
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        # it was done, or not: the answer that would tell is not one
        raise TransientError(f"{what}: the answer is not JSON", sent=True) from error
