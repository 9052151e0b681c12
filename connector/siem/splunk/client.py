"""How a site's search heads are asked: the one place that makes splunklib's client.

splunklib signs requests, logs in again where a session has expired, and knows the endpoints; connections are
:mod:`connector.transport`'s, where TLS is verified and silence is limited. A search head that does not
answer is passed over: what it may have received already is sent to the next one only where asking twice is harmless.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from connector.errors import ConfigError, TransientError
from connector.retries import retrying
from connector.siem.splunk.connection import Connection
from connector.siem.splunk.faults import RAISED, fault
from connector.transport import Body, Transport

if TYPE_CHECKING:
    from splunklib.client import Service

Reply = TypeVar("Reply")

Method = Literal["GET", "POST", "DELETE"]

_DEAD_PEER: Final = "the search head sends no date"


class Answer(msgspec.Struct, frozen=True):
    """A whole answer; ``headers`` in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body; None for an empty one. Raises ``TransientError`` where it is no JSON."""
        if not self.body.strip():
            return None
        try:
            return msgspec.json.decode(self.body)
        except (ValueError, RecursionError) as error:
            raise TransientError(f"the answer is not JSON: {error}", sent=True) from error


class Splunk:
    """The search heads of one site. Safe to use from several threads."""

    def __init__(self, config: Connection) -> None:
        """Connects to nothing yet. Raises ``ConfigError`` for a certificate file that cannot be used."""
        self.hosts = config.hosts
        self._transport = Transport(
            timeout=config.timeout.total_seconds(),
            ca_certs=config.ca_certs,
            client_cert=config.client_cert,
            client_key=config.client_key,
        )
        self._services = [_service(host, config, self._transport) for host in config.hosts]
        self._first = 0
        self._mutex = threading.Lock()

    def ask(self, what: str, call: Callable[[Service], Reply], *, harmless: bool = False) -> Reply:
        """Calls splunklib on the first search head that answers, and again for a while where nothing was sent.

        ``what`` says what is tried, for a message. ``harmless``: the call changes nothing, so it may go to the next
        search head even if one has received it. Raises one of our three errors, and nothing that splunklib raises.
        """
        answer: Reply = retrying()(self._anywhere, what, call, harmless=harmless)
        return answer

    def request(
        self,
        what: str,
        method: Method,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        form: Mapping[str, Any] | None = None,
        json: Any = None,
        harmless: bool | None = None,
    ) -> Answer:
        """A request to a path below the management address, which is escaped here: give its parts to :func:`path_of`.

        ``form`` and ``json`` are bodies; a sequence in ``query`` or ``form`` is a key that comes several times.
        Harmless unless told otherwise: only GET.
        """
        body, headers = b"", [("Accept", "application/json")]
        if json is not None:
            body = msgspec.json.encode(json)
            headers.append(("Content-Type", "application/json"))
        elif form is not None:
            body = urlencode(form, doseq=True).encode()
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
        return self.ask(
            what,
            lambda service: _requested(service, method, _with(path, query), headers, body),
            harmless=method == "GET" if harmless is None else harmless,
        )

    def export(self, what: str, search: str, **params: Any) -> Body:
        """A search as a stream; the caller closes it. Raises for what is refused before the stream begins."""
        wanted = {"output_mode": "json", "preview": "false", **params}
        body: Body = self.ask(what, lambda service: service.jobs.export(search, **wanted), harmless=True)
        return body

    def now(self) -> datetime:
        """The clock of the search head, in whole seconds (the ``Date`` that HTTP has, RFC 9110).

        Raises ``TransientError`` where it sends none.
        """
        answer = self.request("asking for the time", "GET", "/services/server/info", query={"output_mode": "json"})
        try:
            moment = parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError as error:
            raise TransientError(f"asking for the time on {self.address}: {_DEAD_PEER}", sent=True) from error
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)

    @property
    def address(self) -> str:
        """The search head that is asked first now."""
        return self.hosts[self._first]

    def close(self) -> None:
        """Nothing is held: each request has a connection of its own."""

    def _anywhere(self, what: str, call: Callable[[Service], Reply], *, harmless: bool) -> Reply:
        first = self._first
        failed: TransientError | None = None
        for step in range(len(self._services)):
            number = (first + step) % len(self._services)
            try:
                answer = _once(self._services[number], call, f"{what} on {self.hosts[number]}")
            except TransientError as error:
                if error.sent and not harmless:
                    self._pass_over(number)
                    raise
                failed = failed if failed is not None and failed.sent else error
                continue
            with self._mutex:
                self._first = number
            return answer
        if failed is None:
            raise ConfigError(f"{what}: no search head is configured")
        raise failed

    def _pass_over(self, number: int) -> None:
        """The next call begins with the search head after this one."""
        with self._mutex:
            if self._first == number:
                self._first = (number + 1) % len(self._services)


def path_of(*parts: str) -> str:
    """An absolute path of these parts, each escaped whole: a name with a slash or a dot in it stays one part."""
    return "".join(
        f"/{quote(part, safe='').replace('.', '%2E') if part in {'.', '..'} else quote(part, safe='')}"
        for part in parts
    )


def _once(service: Service, call: Callable[[Service], Reply], what: str) -> Reply:
    try:
        return call(service)
    except RAISED as error:
        raise fault(error, what) from error


def _with(path: str, query: Mapping[str, Any] | None) -> str:
    return f"{path}?{urlencode(query, doseq=True)}" if query else path


def _requested(service: Service, method: Method, path: str, headers: list[tuple[str, str]], body: bytes) -> Answer:
    from splunklib.binding import UrlEncoded  # noqa: PLC0415 - see _service

    encoded = UrlEncoded(path, skip_encode=True)
    if method == "POST":
        response = service.post(encoded, headers=headers, body=body)
    elif method == "GET":
        response = service.request(encoded, method="GET", headers=headers)
    else:
        response = service.request(encoded, method=method, headers=headers)
    told = {name.lower(): value for name, value in response.headers}
    return Answer(response.status, told, response.body.read())


def _service(host: str, config: Connection, transport: Transport) -> Service:
    from splunklib.client import Service  # noqa: PLC0415 - paid for by those who have a Splunk

    class Versioned(Service):  # type: ignore[misc]
        """splunklib's client, whose search endpoints the settings may fix."""

        @property
        def disable_v2_api(self) -> bool:
            """Whether searches go to ``search/jobs``."""
            return bool(super().disable_v2_api) if config.api == "auto" else config.api == "v1"

    parts = urlsplit(host)
    secrets = {
        "splunkToken": config.token,
        "password": config.password,
        "token": config.session_key,
    }
    shown = {name: secret.get_secret_value() for name, secret in secrets.items() if secret is not None}
    return Versioned(
        handler=transport.handle,
        scheme=parts.scheme,
        host=parts.hostname,
        port=parts.port,
        owner="nobody" if config.app else None,
        app=config.app,
        username=config.username or "",
        autologin=config.username is not None,
        **shown,
    )
