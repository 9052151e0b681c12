"""The wire to one event collector (HEC): events go out, and the numbers of acknowledgements come back.

Source: Splunk's REST API reference, ``services/collector/event`` and ``services/collector/ack``.
"""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import SecretStr

from connector.errors import TransientError
from connector.siem.splunk.acks import Channel
from connector.siem.splunk.faults import fault as broken
from connector.siem.splunk.outcomes import NoAcksError, fault
from connector.transport import Exchange, Transport, is_safe

PORT: Final = 8088
LONGEST_ANSWER: Final = 1 << 20
"""Bytes of an answer that are read; an answer of HEC is short."""

_CHANNEL: Final = "X-Splunk-Request-Channel"
_COMPRESSION: Final = 5


def collector_address(url: str) -> str:
    """An address with scheme and port, and nothing else. Raises ``ValueError``."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into an address: use hec_token")
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{url.rpartition('@')[2]!r} is no address: `https://collector:8088` is one")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    address = f"{parts.scheme}://{name}:{parts.port or PORT}"
    if not is_safe(address):
        raise ValueError(f"the token would travel in the open to {address}: use https://")
    return address


class Collector:
    """One collector, or a load balancer that keeps to one by a cookie. ``channel`` is ours alone."""

    def __init__(self, address: str, token: SecretStr, transport: Transport, *, compress: bool = True) -> None:
        self.address = address
        self.channel = Channel()
        self._token = token
        self._transport = transport
        self._compress = compress
        self._cookies: SimpleCookie = SimpleCookie()

    def send(self, body: bytes) -> int | None:
        """Sends events, as JSON objects one after the other.

        Returns the number under which they will be acknowledged; None where the token has no acknowledgement.
        Raises what :mod:`connector.siem.splunk.outcomes` maps the answer to.
        """
        headers = {_CHANNEL: self.channel.id}
        if self._compress:
            body = gzip.compress(body, _COMPRESSION, mtime=0)
            headers["Content-Encoding"] = "gzip"
        answer = self._post("sending events", "/services/collector/event", body, headers)
        number = answer.get("ackId")
        return number if isinstance(number, int) else None

    def confirmed(self, numbers: Collection[int]) -> list[int]:
        """Which of these numbers the indexers have confirmed. Each is told once. Raises like :meth:`send`."""
        acks = self._acks(self.channel, numbers)
        if not isinstance(acks, Mapping):
            raise TransientError(f"asking for acknowledgements on {self.address}: an answer without acks", sent=True)
        return [number for number in numbers if acks.get(str(number)) is True]

    def acknowledges(self) -> bool:
        """Whether the token has indexer acknowledgement. Raises where the token is refused; sends no event."""
        try:
            self._acks(Channel(), [0])
        except NoAcksError:
            return False
        return True

    def _acks(self, channel: Channel, numbers: Collection[int]) -> Any:
        body = msgspec.json.encode({"acks": list(numbers)})
        what = "asking for acknowledgements"
        return self._post(what, "/services/collector/ack", body, {_CHANNEL: channel.id}).get("acks")

    def _post(self, what: str, path: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        what = f"{what} on {self.address}"
        sent = {
            "Authorization": f"Splunk {self._token.get_secret_value()}",
            "Content-Type": "application/json",
            **self._kept_cookies(),
            **headers,
        }
        try:
            exchange = self._transport.send("POST", f"{self.address}{path}", sent, body)
            try:
                text = exchange.body.read(LONGEST_ANSWER)
            finally:
                exchange.body.close()
        except (OSError, http.client.HTTPException) as error:
            raise broken(error, what) from error
        self._keep_cookies(exchange)
        return _read(exchange.status, text, what)

    def _kept_cookies(self) -> dict[str, str]:
        """A load balancer finds the collector that knows our channel by the cookie that it gave us."""
        pairs = "; ".join(f"{name}={morsel.coded_value}" for name, morsel in self._cookies.items())
        return {"Cookie": pairs} if pairs else {}

    def _keep_cookies(self, exchange: Exchange) -> None:
        for name, value in exchange.headers:
            if name.lower() == "set-cookie":
                try:
                    self._cookies.load(value)
                except CookieError:
                    continue


def _read(status: int, text: bytes, what: str) -> Mapping[str, Any]:
    """The decoded answer of a success. Raises our error for anything else."""
    try:
        body = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        body = None
    if status == 200 and isinstance(body, Mapping) and ("acks" in body or body.get("code") == 0):
        return body
    raise fault(status, body, what)
