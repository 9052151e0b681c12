"""Who asks, and how often: bearer tokens with scopes, known by their hashes, each with a bucket of requests."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

import msgspec

from connector.api.refusal import UNKNOWN, Refusal
from connector.settings import HASHED, ApiSettings, Scope, TokenSettings

SCHEMES = ("bearer ", "splunk ")
"""Words before a token; ``Splunk`` is what clients of the HTTP Event Collector send."""


class Client(msgspec.Struct, frozen=True):
    """Who asks: the name of a token, what it may do, and where its events enter."""

    name: str
    scopes: frozenset[Scope]
    inlet: str | None

    def may(self, scope: Scope) -> bool:
        """Whether it has this scope, or ``admin``, which contains all."""
        return scope in self.scopes or "admin" in self.scopes


class Bucket:
    """A token bucket: ``burst`` requests at once, and ``rate`` a second for long."""

    def __init__(self, rate: float, burst: int, now: float) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._left = float(burst)
        self._at = now

    def wait(self, now: float) -> float:
        """Takes one; else the seconds until there is one."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate


class Guard:
    """Knows the clients. Used by one thread, that of the event loop."""

    def __init__(self, settings: ApiSettings, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._hashes: Mapping[bytes, Client] = {
            digest(token): Client(name, frozenset(token.scopes), token.inlet or _only(settings.inlets))
            for name, token in settings.tokens.items()
        }
        now = monotonic()
        self._buckets = {
            name: Bucket(token.rate or settings.rate, settings.burst, now) for name, token in settings.tokens.items()
        }

    def client(self, authorization: str | None) -> Client:
        """Whose token the header ``Authorization`` holds. Every known hash is compared, each in constant time.

        Raises ``Refusal``: 401 without a token that is known, 429 with the seconds to wait for one that asks too often.
        """
        given = _token(authorization)
        asked = hashlib.sha256(given.encode("utf-8", "surrogatepass")).digest()
        found: Client | None = None
        for known, client in self._hashes.items():
            if hmac.compare_digest(known, asked):
                found = client
        if found is None:
            raise Refusal(401, "this token is not known", code=UNKNOWN)
        if wait := self._buckets[found.name].wait(self._monotonic()):
            raise Refusal(429, f"token {found.name!r} asks too often", code=9, retry_after=wait)
        return found

    def allowed(self, authorization: str | None, scope: Scope | None) -> Client:
        """The client, if it may do this; None: any client may. Raises ``Refusal``, 403 where it may not."""
        client = self.client(authorization)
        if scope is not None and not client.may(scope):
            raise Refusal(403, f"token {client.name!r} lacks the scope {scope!r}", code=1)
        return client


def digest(token: TokenSettings) -> bytes:
    """The hash that the settings keep of a token."""
    return bytes.fromhex(token.token.get_secret_value().removeprefix(HASHED))


def _only(inlets: Mapping[str, object]) -> str | None:
    return next(iter(inlets)) if len(inlets) == 1 else None


def _token(authorization: str | None) -> str:
    if not authorization:
        raise Refusal(401, "a token is required: `Authorization: Bearer …`", code=2)
    for scheme in SCHEMES:
        if authorization[: len(scheme)].lower() == scheme:
            return authorization[len(scheme) :].strip()
    raise Refusal(401, "the header Authorization must be `Bearer` and a token", code=3)
