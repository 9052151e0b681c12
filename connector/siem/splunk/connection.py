"""The settings of a connection, which sources, targets and histories share."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from connector.settings import Every
from connector.transport import for_header, is_safe

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_PORT: Final = 8089


class Connection(BaseModel):
    """The keys of a connection to search heads; a ``Config`` derives from this too."""

    hosts: tuple[str, ...] = Field(
        min_length=1,
        description="management addresses (`https://search-head:8089`) of search heads of one site, the first one that "
        "answers is asked",
    )
    token: SecretStr | None = Field(None, description="an authentication token (JWT), sent as bearer")
    username: str | None = Field(None, description="for login with password; a session that expires is renewed")
    password: SecretStr | None = None
    session_key: SecretStr | None = Field(None, description="a session that exists already; nothing renews it")
    app: str | None = Field(None, description="the app whose knowledge objects (macros, lookups) searches use")
    api: Literal["auto", "v1", "v2"] = Field(
        "auto",
        description="search endpoints: `search/v2/jobs` from 9.0.2 on, `search/jobs` before; auto asks the server",
    )
    ca_certs: Path | None = Field(
        None, description="a file of the authorities that are trusted; absent: the usual ones"
    )
    client_cert: Path | None = Field(None, description="our certificate, where the server asks for one")
    client_key: Path | None = Field(None, description="its key; absent: in the same file")
    timeout: Every = Field(
        timedelta(seconds=60), description="how long the server may keep silent; a search that streams may take longer"
    )

    @field_validator("hosts")
    @classmethod
    def _hosts_are_addresses(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(address(host) for host in hosts)

    @field_validator("token", "session_key")
    @classmethod
    def _secrets_fit_into_a_header(cls, secret: SecretStr | None) -> SecretStr | None:
        return None if secret is None else for_header(secret)

    @field_validator("app")
    @classmethod
    def _app_is_a_name(cls, app: str | None) -> str | None:
        if app is not None and not _NAME.fullmatch(app):
            raise ValueError(f"{app!r} is no app: give the name of its folder")
        return app

    @model_validator(mode="after")
    def _one_way_in(self) -> Connection:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        ways = [way for way in ("token", "username", "session_key") if getattr(self, way) is not None]
        if len(ways) != 1:
            given = ", ".join(ways) or "none"
            raise ValueError(
                f"one way of authentication is needed (token, username and password, session_key): {given}"
            )
        if self.client_key and not self.client_cert:
            raise ValueError("client_key needs client_cert")
        if open_ := [host for host in self.hosts if not is_safe(host)]:
            raise ValueError(f"credentials would travel in the open to {open_[0]}: use https://")
        return self


def address(host: str) -> str:
    """An address with scheme and port, and nothing else. Raises ``ValueError``."""
    parts = urlsplit(host)
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into an address: use token, or username and password")
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{host.rpartition('@')[2]!r} is no address: `https://search-head:8089` is one")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{name}:{parts.port or _PORT}"
