"""Changes of alerts through Kibana: tags, a note, and a status only where the record names one.

Kibana has no unique key for any of it, so each step is one that may be done twice: tags are a set, a note is looked for
by the record's id before it is written, and a status is what it is. Alerts are named by id, never by a query.

The requests are the documented ones of the detection and notes APIs (``elastic-api-version`` 2023-10-31).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from elastic_transport import NodeConfig, Transport, TransportError, Urllib3HttpNode
from pydantic import Field, SecretStr, model_validator

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.retries import retrying
from connector.settings import Every, Section
from connector.siem.elastic.client import Json as JsonText
from connector.siem.elastic.faults import LONGEST_REASON, fault
from connector.transport import is_safe
from connector.types import AlertUpdate, Delivery, Json

API_VERSION: Final = "2023-10-31"
STATES: Final = frozenset({"open", "acknowledged", "closed"})
"""What an alert's status may be."""

KINDS: Final[Mapping[int, type[TriagedError]]] = {
    400: PermanentError,
    401: ConfigError,
    403: ConfigError,
    404: PermanentError,
    408: TransientError,
    409: TransientError,
    429: TransientError,
}
"""What a status of Kibana's means for the record; any other: below 500 like 400, else transient."""

_NOTES: Final = 100
_MARKDOWN: Final = str.maketrans({letter: f"\\{letter}" for letter in "\\`*_{}[]()<>#!|"})
"""A note is shown as Markdown, and some of its text may be an event's: links and pictures must not come alive."""


class KibanaSettings(Section):
    """How Kibana is reached; its users and keys are those of the cluster."""

    deployment: str | None = Field(
        None, description="of the sources whose alerts are changed; absent: whatever source they come from"
    )
    url: str = Field(
        pattern=r"^https?://[^/@\s]+(/[^\s]*)?$", description="`https://kibana.example:5601`, with its base path"
    )
    space: str = Field("default", pattern=r"^[a-z0-9_-]{1,100}$", description="the space of the alerts")
    api_key: SecretStr | None = Field(None, description="an encoded API key")
    username: str | None = Field(None, description="for basic authentication, with password")
    password: SecretStr | None = None
    ca_certs: Path | None = Field(None, description="a file of the authorities that are trusted")
    fingerprint: str | None = Field(
        None, pattern=r"^[0-9a-fA-F:]{64,95}$", description="SHA-256 of the server's certificate, instead of ca_certs"
    )
    timeout: Every = Field(timedelta(seconds=30), description="how long a request may take")

    @model_validator(mode="after")
    def _one_way_in(self) -> KibanaSettings:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        if (self.api_key is None) == (self.username is None):
            raise ValueError("exactly one of api_key and username is needed")
        if not is_safe(self.url):
            raise ValueError(f"credentials would travel in the open to {self.url}: use https://")
        return self


class Kibana:
    """Changes alerts of one space."""

    def __init__(self, config: KibanaSettings) -> None:
        parts = urlsplit(config.url)
        self._address = config.url
        self._deployment = config.deployment
        self._space = "" if config.space == "default" else f"/s/{quote(config.space)}"
        node = NodeConfig(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            path_prefix=parts.path.rstrip("/"),
            request_timeout=config.timeout.total_seconds(),
            ca_certs=None if config.ca_certs is None else str(config.ca_certs),
            ssl_assert_fingerprint=config.fingerprint,
        )
        self._headers = {
            "authorization": _authorization(config),
            "kbn-xsrf": "triaged",
            "elastic-api-version": API_VERSION,
            "accept": "application/json",
        }
        self._transport = Transport(
            [node],
            node_class=Urllib3HttpNode,
            max_retries=0,
            meta_header=False,
            serializers={"application/json": JsonText()},
        )

    def apply_all(self, updates: Sequence[AlertUpdate]) -> list[Delivery]:
        """One outcome an update."""
        return [self.apply(update) for update in updates]

    def apply(self, update: AlertUpdate) -> Delivery:
        """Brings one alert to what the record says; of other deployments there is nothing to do.

        Raises ``ConfigError`` where Kibana refuses us.
        """
        if self._deployment not in {None, update.alert.siem}:
            return Delivery(outcome="delivered")
        try:
            if update.tags:
                self._tag(update)
            if update.note:
                self._note(update)
            if update.status is not None:
                self._status(update.alert.id, update.status)
        except TransientError as error:
            return Delivery(outcome="unknown" if error.sent else "retry", reason=str(error))
        except PermanentError as error:
            return Delivery(outcome="rejected", reason=str(error))
        return Delivery(outcome="delivered")

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def _tag(self, update: AlertUpdate) -> None:
        tags = {"tags_to_add": list(update.tags), "tags_to_remove": []}
        answer = self._ask("POST", "/api/detection_engine/signals/tags", {"ids": [update.alert.id], "tags": tags})
        _require_change(answer, update.alert.id)

    def _note(self, update: AlertUpdate) -> None:
        """Adds the note unless one that carries the record's id hangs on the alert already."""
        mark = f"Triaged {update.record_id}"
        query = urlencode({"documentIds": update.alert.id, "perPage": _NOTES})
        answer = self._ask("GET", f"/api/note?{query}")
        notes = answer.get("notes", ()) if isinstance(answer, Mapping) else ()
        if any(isinstance(note, Mapping) and mark in str(note.get("note")) for note in notes):
            return
        text = f"{update.note.translate(_MARKDOWN)}\n\n{mark}"
        self._ask("PATCH", "/api/note", {"note": {"eventId": update.alert.id, "note": text, "timelineId": ""}})

    def _status(self, alert: str, status: str) -> None:
        if status not in STATES:
            raise PermanentError(f"an alert can be {', '.join(sorted(STATES))}, not {status!r}")
        body = {"signal_ids": [alert], "status": status, "conflicts": "abort"}
        _require_change(self._ask("POST", "/api/detection_engine/signals/status", body), alert)

    def _ask(self, method: str, path: str, body: Json = None) -> Any:
        return retrying()(self._once, method, path, body)

    def _once(self, method: str, path: str, body: Json) -> Any:
        what = f"{method} {path.partition('?')[0]} on {self._address}"
        headers = self._headers | ({} if body is None else {"content-type": "application/json"})
        try:
            answer = self._transport.perform_request(method, f"{self._space}{path}", body=body, headers=headers)
        except TransportError as error:
            raise fault(error, what) from error
        if answer.meta.status < 300:
            return answer.body
        raise _refused(answer.meta.status, answer.body, what)


def _authorization(config: KibanaSettings) -> str:
    if config.api_key is not None:
        return f"ApiKey {config.api_key.get_secret_value()}"
    password = config.password.get_secret_value() if config.password is not None else ""
    return "Basic " + b64encode(f"{config.username}:{password}".encode()).decode()


def _refused(status: int, body: Any, what: str) -> TriagedError:
    """Our error for a status. What Kibana says of one alert (400, 404) concerns that alert alone."""
    told = body.get("message") if isinstance(body, Mapping) else None
    message = f"{what}: HTTP {status} {str(told or '')[:LONGEST_REASON]}"
    kind = KINDS.get(status) or (TransientError if status >= 500 else PermanentError)
    return TransientError(message, sent=True) if kind is TransientError else kind(message)


def _require_change(answer: Any, alert: str) -> None:
    """Both endpoints answer like an update by query: what was found, and what failed."""
    if not isinstance(answer, Mapping):
        return
    if answer.get("failures") or answer.get("version_conflicts"):
        raise TransientError(f"alert {alert} was changed by others at the same time", sent=True)
    if answer.get("total") == 0:
        raise PermanentError(f"there is no alert {alert} in this space")
