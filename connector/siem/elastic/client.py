"""How a cluster is reached: the settings of a connection, and the one place that makes the client.

TLS is always verified. The client's own retries are off: inside a call :func:`connector.retries.retrying` tries again
what never left, and across calls the next poll or the outbox does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from elastic_transport import ApiError, JsonSerializer, SerializationError, TransportError
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from connector.errors import ConfigError
from connector.retries import retrying
from connector.settings import Every
from connector.siem.elastic.faults import UnsendableError, fault
from connector.siem.elastic.flavour import FLAVOURS, HITS, FlavourName
from connector.siem.elastic.hits import decoded
from connector.transport import is_safe

if TYPE_CHECKING:
    from elasticsearch import Elasticsearch

Reply = TypeVar("Reply")

_FINGERPRINT_DIGITS: Final = 2 * hashlib.sha256().digest_size


class Connection(BaseModel):
    """The keys of a connection, which sources, targets and histories share; a ``Config`` derives from this too."""

    flavour: FlavourName = Field("elasticsearch", description="which product the server is")
    hosts: tuple[str, ...] = Field((), description="addresses (`https://…`) of nodes of one cluster; each may be asked")
    cloud_id: str | None = Field(None, description="of an Elastic Cloud deployment, instead of hosts")
    api_key: SecretStr | None = Field(None, description="an encoded API key")
    username: str | None = Field(None, description="for basic authentication, with password")
    password: SecretStr | None = None
    service_token: SecretStr | None = Field(None, description="a bearer token of a service account")
    ca_certs: Path | None = Field(
        None, description="a file of the authorities that are trusted; absent: the usual ones"
    )
    fingerprint: str | None = Field(None, description="SHA-256 of the server's certificate, instead of ca_certs")
    client_cert: Path | None = Field(None, description="our certificate, where the server asks for one")
    client_key: Path | None = Field(None, description="its key; absent: in the same file")
    timeout: Every = Field(timedelta(seconds=30), description="how long a request may take")

    @field_validator("fingerprint")
    @classmethod
    def _fingerprint_is_sha256(cls, value: str | None) -> str | None:
        if value is None:
            return None
        digits = value.replace(":", "").lower()
        if len(digits) != _FINGERPRINT_DIGITS or set(digits) - set("0123456789abcdef"):
            raise ValueError(f"a fingerprint is a SHA-256: {_FINGERPRINT_DIGITS} hexadecimal digits")
        return digits

    @field_validator("hosts")
    @classmethod
    def _hosts_are_addresses(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            parts = urlsplit(host)
            if parts.scheme not in {"https", "http"} or not parts.hostname:
                raise ValueError(f"{_public(host)!r} is no address: `https://name:9200` is one")
            if parts.username or parts.password:
                raise ValueError("credentials do not belong into an address: use username and password")
        return hosts

    @model_validator(mode="after")
    def _one_way_in(self) -> Connection:
        if bool(self.hosts) == bool(self.cloud_id):
            raise ValueError("exactly one of hosts and cloud_id is needed")
        if self.cloud_id and self.flavour != "elasticsearch":
            raise ValueError("cloud_id belongs to Elastic Cloud: use hosts")
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        ways = [way for way in ("api_key", "username", "service_token") if getattr(self, way) is not None]
        if len(ways) > 1:
            raise ValueError(f"one way of authentication is needed, not {len(ways)}: {', '.join(ways)}")
        if self.fingerprint and self.ca_certs:
            raise ValueError("the server is known by ca_certs or by fingerprint, not by both")
        if self.client_key and not self.client_cert:
            raise ValueError("client_key needs client_cert")
        if self.fingerprint and self.client_cert:
            raise ValueError("with a client certificate the server is known by ca_certs, not by fingerprint")
        if ways and (open_ := [host for host in self.hosts if not is_safe(host)]):
            raise ValueError(f"credentials would travel in the open to {open_[0]}: use https://")
        return self


def _public(host: str) -> str:
    return host.rpartition("@")[2]


class Cluster:
    """A cluster that is asked. Safe to use from several threads."""

    def __init__(self, config: Connection) -> None:
        self.flavour = FLAVOURS[config.flavour]
        self.address = ", ".join(config.hosts) or "Elastic Cloud"
        self._client = _client(config)

    def ask(self, what: str, call: Callable[[Elasticsearch], Reply]) -> Reply:
        """Calls the client, again while nothing was sent. ``what`` says what is tried, for a message.

        Raises one of our three errors, and nothing that the client raises.
        """
        answer: Reply = retrying()(self._once, what, call)
        return answer

    def request(self, what: str, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """A call that the client has no method for, or that differs between the products; the decoded answer."""
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        answer = self.ask(
            what, lambda client: client.perform_request(method, path, params=params or None, headers=headers, body=body)
        )
        return answer.body

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _once(self, what: str, call: Callable[[Elasticsearch], Reply]) -> Reply:
        try:
            return call(self._client)
        except (ApiError, TransportError) as error:
            raise fault(error, f"{what} on {self.address}") from error


def _client(config: Connection) -> Elasticsearch:
    """Raises ``ConfigError`` where a file cannot be read, or the client refuses a value."""
    from elasticsearch import Elasticsearch  # noqa: PLC0415 - half a second, paid for by those who have a cluster

    wanted: dict[str, Any] = {
        "hosts": list(config.hosts) or None,
        "cloud_id": config.cloud_id,
        "api_key": _shown(config.api_key),
        "bearer_auth": _shown(config.service_token),
        "basic_auth": (config.username, _shown(config.password)) if config.username is not None else None,
        "ca_certs": str(config.ca_certs) if config.ca_certs else None,
        "ssl_assert_fingerprint": config.fingerprint,
        "client_cert": str(config.client_cert) if config.client_cert else None,
        "client_key": str(config.client_key) if config.client_key else None,
    }
    for name in ("ca_certs", "client_cert", "client_key"):
        path: Path | None = getattr(config, name)
        if path is not None and not path.is_file():
            raise ConfigError(f"{name}: no file at {path}")
    try:
        return Elasticsearch(
            **{name: value for name, value in wanted.items() if value is not None},
            node_class=FLAVOURS[config.flavour].node_class,
            request_timeout=config.timeout.total_seconds(),
            max_retries=0,
            retry_on_timeout=False,
            retry_on_status=(),
            serializers={"application/json": Json(), HITS: HitsJson()},
            meta_header=False,
        )
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"no connection can be made to {config.cloud_id or ', '.join(config.hosts)}: {error}"
        ) from error


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


class Json(JsonSerializer):
    """JSON at the speed of the rest. What a server's answer breaks is told without the answer, which may be long."""

    def dumps(self, data: Any) -> bytes:
        """Bytes and text as they are; anything else as JSON."""
        if isinstance(data, bytes):
            return data
        try:
            return data.encode() if isinstance(data, str) else msgspec.json.encode(data)
        except (TypeError, ValueError, RecursionError) as error:
            raise UnsendableError(f"this cannot be written as JSON: {error}") from error

    def loads(self, data: bytes) -> Any:
        """None for an empty answer."""
        if not data:
            return None
        try:
            return msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise SerializationError(f"the answer is not JSON: {error}") from error


class HitsJson(Json):
    """The answer to a search, with its documents as they stand there."""

    def loads(self, data: bytes) -> Any:
        """A :class:`~connector.siem.elastic.hits.SearchReply`."""
        try:
            return decoded(data)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise SerializationError(f"the answer is no search reply: {error}") from error
