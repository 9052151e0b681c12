"""The tables of the HTTP API: where it listens, who may ask, and where pushed events enter."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from connector.settings.base import Section

Scope = Literal["classify", "ingest", "approve", "review", "admin"]
"""What a client of the API may do: ask for verdicts, push events, decide on actions, answer questions, or all of it."""
CLEARTEXT = "tokens and events cross the network in clear text"
HASHED = "sha256:"
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
SHORTEST_TOKEN = 32
"""Characters. Only a token's SHA-256 is kept, which protects none that could be guessed."""


class TokenSettings(Section):
    """One client of the API. The token is read once; from then on only its SHA-256 is in memory."""

    token: SecretStr = Field(description="at least 32 characters; or `sha256:` and the hex digest of one")
    scopes: tuple[Scope, ...] = ()
    inlet: str | None = Field(None, description="where its events enter; absent: the only inlet that there is")
    rate: float | None = Field(None, gt=0, description="requests a second; absent: what the section says")

    @field_validator("token")
    @classmethod
    def _hash(cls, token: SecretStr) -> SecretStr:
        """Forgets the token."""
        given = token.get_secret_value()
        if given.startswith(HASHED):
            digest = given.removeprefix(HASHED).lower()
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"{HASHED} must be followed by 64 hexadecimal digits")
            return SecretStr(HASHED + digest)
        if len(given) < SHORTEST_TOKEN:
            raise ValueError(f"a token has at least {SHORTEST_TOKEN} characters: `openssl rand -hex 32` makes one")
        return SecretStr(HASHED + hashlib.sha256(given.encode()).hexdigest())


class InletSettings(Section):
    """Where pushed events enter; in every other way a source that nobody polls."""

    deployment: str = Field(description="names the SIEM; sources and inlets that share it share event ids")
    targets: tuple[str, ...] | None = Field(None, description="writers that get the verdicts; absent: all")
    batch: int = Field(1000, ge=1, le=50_000, description="events a transaction")


class ApiSettings(Section):
    """The HTTP API: off until it has a port or a socket."""

    host: str = Field("127.0.0.1", description="another address than this machine's own needs TLS")
    port: int = Field(0, ge=0, le=65535, description="0: no TCP port")
    socket: Path | None = Field(None, description="a Unix socket of mode 0600, instead of a port")
    certificate: Path | None = Field(None, description="PEM, with its chain: TLS")
    key: Path | None = Field(None, description="PEM, of the certificate")
    accept: Literal["tokens and events cross the network in clear text"] | None = None
    max_body: int = Field(16 << 20, ge=1024, description="bytes of a request's body, unpacked")
    max_events: int = Field(10_000, ge=1, description="events a request")
    rate: float = Field(50.0, gt=0, description="requests a second that each token may make for long")
    burst: int = Field(100, ge=1, description="requests that it may make at once")
    workers: int = Field(2, ge=1, le=64, description="requests that score at the same time")
    tokens: dict[str, TokenSettings] = Field({})
    inlets: dict[str, InletSettings] = Field({})

    @property
    def on(self) -> bool:
        """Whether it listens at all."""
        return bool(self.port) or self.socket is not None

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _can_be_served(self) -> Self:
        if self.port and self.socket is not None:
            raise ValueError("give a port or a socket, not both")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if self.on and not self.is_local and self.certificate is None and self.accept != CLEARTEXT:
            raise ValueError(
                f"{self.host} is not this machine alone: give certificate and key, or write `accept = {CLEARTEXT!r}`"
            )
        if self.on and not self.tokens:
            raise ValueError("without a token nobody could ask: name one in `[api.tokens.NAME]`")
        return self

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        names: dict[str, str] = {}
        for name, token in self.tokens.items():
            if (other := names.setdefault(token.token.get_secret_value(), name)) != name:
                raise ValueError(
                    f"tokens.{other} and tokens.{name} have the same token: whose request it is must be clear"
                )
        return self

    @model_validator(mode="after")
    def _inlets_are_named(self) -> Self:
        known = ", ".join(self.inlets) or "none"
        if odd := [name for name in (*self.tokens, *self.inlets) if not _PLAIN.fullmatch(name)]:
            raise ValueError(
                f"{odd[0]!r}: names of tokens and inlets are letters, digits, `_`, `.` and `-`, at most 64"
            )
        for name, token in self.tokens.items():
            if token.inlet is not None and token.inlet not in self.inlets:
                raise ValueError(f"tokens.{name}.inlet names {token.inlet!r}; inlets are: {known}")
            if token.inlet is None and {"ingest", "admin"} & set(token.scopes) and len(self.inlets) > 1:
                raise ValueError(f"tokens.{name}.inlet must say which inlet its events enter: {known}")
            if "ingest" in token.scopes and not self.inlets:
                raise ValueError(f"tokens.{name} may push events, and there is no `[api.inlets.NAME]` for them")
        return self
