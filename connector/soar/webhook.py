"""The generic webhook: n8n, Tines, Tracecat, Node-RED, a chat's or a mail relay's, anything that takes a POST of JSON.

The address is the settings' alone: nothing that an event says gets into it, redirects are not followed, and its host must
be on the settings' own list. A request is signed as Standard Webhooks 1.0 has it (``Webhook-Id``, ``Webhook-Timestamp``
and ``Webhook-Signature: v1,…`` over ``id.timestamp.body``), so that receivers find a verifier in their language; it carries the
action's key as ``Idempotency-Key`` too.

What a receiver does with the key cannot be known from here: ``uniqueness`` is ``none`` until the settings say that it
honours it. How a run ends is asked at a status address; where there is none, the answer to the POST is all there is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from connector.errors import PermanentError
from connector.policy import document
from connector.policy.variables import REFERENCE, SOURCES, strings
from connector.ports import Clock, SoarPlugin
from connector.settings import Section
from connector.soar.rest import Reached, Rest, RestSettings, decoded, reason_in
from connector.soar.runs import cut, evidence, starting_nothing, status_of, title
from connector.transport import is_safe
from connector.types import Action, Json, RunRef, RunState, RunStatus

SHORTEST_SECRET: Final = 24
"""Bytes; Standard Webhooks asks for 24 to 64."""

SHORTEST_HIDDEN: Final = 8
"""Characters from which on a part of the address may be a secret, and is left out of errors."""

LONGEST_ID: Final = 200
DOCUMENT: Final = "__document__"
_OWN: Final[Mapping[str, Any]] = {
    "__playbook__": lambda action: action.playbook,
    "__tier__": lambda action: action.tier,
    "__title__": title,
    DOCUMENT: lambda action: document(action.verdict),
}
VALUES: Final[Mapping[str, Any]] = {**SOURCES, **_OWN}
"""What a body may refer to: the variables of playbooks, and four of its own."""

STATES: Final[Mapping[str, RunState]] = {
    **dict.fromkeys(("new", "created", "queued", "pending", "waiting", "running", "started", "in_progress"), "running"),
    **dict.fromkeys(("success", "succeeded", "successful", "completed", "complete", "done", "finished"), "succeeded"),
    **dict.fromkeys(("error", "failed", "failure", "crashed", "canceled", "cancelled", "terminated"), "failed"),
    **dict.fromkeys(("timed_out", "timeout"), "timed_out"),
}
"""What receivers call a run's state, in lower case → what it is here. Another word counts as running, until the time-out."""

_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE: Final = re.compile(r"[\x20-\x7e]+")
_OURS: Final = frozenset(
    {"accept", "connection", "content-length", "content-type", "host", "idempotency-key", "transfer-encoding"}
    | {"webhook-id", "webhook-signature", "webhook-timestamp"}
)
_HOLE: Final = re.compile(r"\{(run|key)\}")
_POINTER: Final = re.compile(r"(/([^~/]|~[01])*)*")


class StatusSettings(Section):
    """Where the receiver tells how a run stands."""

    url: str = Field(description="with `{run}`, `{key}` or both in its path or query")
    headers: dict[str, SecretStr] = Field({}, description="secret: headers of this request")
    run: str = Field(
        "/id", description="JSON pointer to the run's id in the answer to the webhook; absent there: the key"
    )
    state: str = Field("/status", description="JSON pointer to the state")
    detail: str = Field("", description="JSON pointer to what a run brought; empty: nothing")
    states: dict[str, RunState] = Field({}, description="the receiver's words for states, beside the usual ones")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        _checked(url)
        if not _HOLE.search(url):
            raise ValueError("it names no run: put {run} or {key} into its path")
        if "{" in _HOLE.sub("", url) or _HOLE.search(urlsplit(url).netloc):
            raise ValueError("{run} and {key}, in path or query, are all that is filled in")
        return url

    @field_validator("headers")
    @classmethod
    def _may_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return _allowed(headers)

    @field_validator("run", "state", "detail")
    @classmethod
    def _is_a_pointer(cls, pointer: str) -> str:
        if not _POINTER.fullmatch(pointer):
            raise ValueError(f"{pointer!r} is no JSON pointer: `/status` is one")
        return pointer


class WebhookSettings(Reached):
    """The table of a webhook."""

    type: Literal["webhook"] = "webhook"
    url: SecretStr = Field(description="secret: the whole address; it often holds a token")
    hosts: tuple[str, ...] = Field(description="the hosts that may be spoken to, whatever the addresses say")
    secret: SecretStr | None = Field(None, description="secret: what requests are signed with; absent: they are not")
    headers: dict[str, SecretStr] = Field({}, description="secret: more headers, as a receiver may ask for")
    uniqueness: Literal["none", "key"] = Field("none", description="`key`: the receiver honours `Idempotency-Key`")
    body: dict[str, JsonValue] | None = Field(None, description="what is sent; absent: action and verdict")
    status: StatusSettings | None = Field(None, description="absent: the answer to the webhook is the end")

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        _checked(url.get_secret_value().strip())
        return SecretStr(url.get_secret_value().strip())

    @field_validator("headers")
    @classmethod
    def _may_be_sent(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return _allowed(headers)

    @field_validator("secret")
    @classmethod
    def _is_long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(_key(secret)) < SHORTEST_SECRET:
            raise ValueError(f"it has fewer than {SHORTEST_SECRET} bytes: `whsec_$(openssl rand -base64 32)` is enough")
        return secret

    @field_validator("body")
    @classmethod
    def _refers_to_what_there_is(cls, body: dict[str, JsonValue] | None) -> dict[str, JsonValue] | None:
        for place, text, is_key in strings(body, "body"):
            if not REFERENCE.search(text):
                continue
            if is_key or not REFERENCE.fullmatch(text):
                raise ValueError(f"{place}: a reference is a whole value: nothing is joined with what an event says")
            if text.removesuffix(":value") not in VALUES:
                raise ValueError(f"{place}: {text!r} is not known; there are: {', '.join(sorted(VALUES))}")
        return body

    @model_validator(mode="after")
    def _stays_on_its_hosts(self) -> WebhookSettings:
        addresses = [self.url.get_secret_value(), *([self.status.url] if self.status else [])]
        for host in (urlsplit(address).hostname for address in addresses):
            if host not in {known.lower() for known in self.hosts}:
                raise ValueError(f"host {host!r} is not in `hosts` ({', '.join(self.hosts) or 'empty'})")
        return self


class Place(NamedTuple):
    """An address taken apart: whom to speak to, and what to ask there."""

    rest: Rest
    target: str


class WebhookSoar:
    """Sends each action to one address."""

    Config: ClassVar[type[WebhookSettings]] = WebhookSettings
    uniqueness: Literal["key", "search", "none"] = "none"
    index_delay: float = 0.0

    def __init__(self, name: str, config: WebhookSettings, clock: Clock) -> None:
        self.name = name
        self.uniqueness = config.uniqueness
        self._clock = clock
        self._secret = _key(config.secret) if config.secret else None
        self._body: JsonValue = config.body
        self._hook = _place(config, config.url.get_secret_value(), config.headers)
        self._hidden = _hidden(config)
        self._status = config.status
        self._asked = _place(config, config.status.url, config.status.headers) if config.status else None

    def run(self, action: Action) -> RunRef:
        """Sends the action. The run's id is the receiver's where its answer names one, else the action's key."""
        body = msgspec.json.encode(self.preview(action))
        headers = {"Idempotency-Key": action.key, "Webhook-Id": action.key}
        if self._secret is not None:
            at = int(self._clock().timestamp())
            headers |= {
                "Webhook-Timestamp": str(at),
                "Webhook-Signature": signature(self._secret, action.key, at, body),
            }
        _, text = self._hook.rest.raw("POST", self._hook.target, body, headers=headers, hidden=self._hidden)
        return RunRef(soar=self.name, run_id=self._named(text) or action.key)

    def preview(self, action: Action) -> Json:
        """The body; the key stands in a header, too."""
        return rendered(self._body, action)

    def find(self, key: str) -> RunRef | None:
        """The run of this key, where the receiver keeps runs by key and tells of them."""
        if self.uniqueness == "none" or self._status is None or "{run}" in self._status.url:
            return None
        told = self._told(key, key)
        return None if told is None else RunRef(soar=self.name, run_id=_id_in(told, self._status.run) or key)

    def status(self, run: RunRef, action: Action) -> RunStatus:
        """What the status address says; without one, that the receiver took it, which is all that is known."""
        state, detail = self._state(run.run_id, action.key)
        return status_of(action, run, state, detail, self._clock())

    def _state(self, run: str, key: str) -> tuple[RunState, str]:
        if self._status is None:
            return "succeeded", "the receiver took it; what came of it is not told"
        if "{run}" in self._status.url and run == key:
            raise PermanentError(
                f"SOAR {self.name!r}: the answer named no run at {self._status.run!r}: its end is unknown"
            )
        told = self._told(run, key)
        if told is None:
            return "running", "the receiver does not know it (yet)"
        word = pointed(told, self._status.state)
        text = word if isinstance(word, str) else msgspec.json.encode(word).decode()
        state = {**STATES, **self._status.states}.get(text) or STATES.get(text.lower())
        if state is None:
            return (
                "running",
                f"{_short(text)!r} at {self._status.state!r} is no known state: name it in `status.states`",
            )
        return state, _short(pointed(told, self._status.detail)) if self._status.detail else ""

    def _told(self, run: str, key: str) -> Json:
        """What the status address answers; None where it knows no such run."""
        if self._asked is None or self._status is None:
            return None
        filled = {"run": quote(run, safe=""), "key": quote(key, safe="")}
        target = _HOLE.sub(lambda hole: filled[hole[1]], self._asked.target)
        with starting_nothing():
            status, text = self._asked.rest.raw("GET", target, hidden=self._hidden, allowed={404})
            what = f"the status address of SOAR {self.name!r}"  # which itself may hold a token
            return None if status == 404 else decoded(text, what)

    def _named(self, text: bytes) -> str | None:
        """The run's id in an answer, which need not be JSON."""
        if self._status is None:
            return None
        try:
            return _id_in(msgspec.json.decode(text), self._status.run)
        except (ValueError, RecursionError):
            return None


def rendered(body: JsonValue, action: Action) -> Json:
    """What is sent: the template with its references filled, or the usual body. Long texts are cut, none is spliced."""
    return evidence(action) if body is None else _filled(body, action)


def signature(secret: bytes, key: str, at: int, body: bytes) -> str:
    """``v1,`` and the base64 of the HMAC-SHA-256 over ``id.timestamp.body`` (Standard Webhooks 1.0)."""
    mac = hmac.new(secret, f"{key}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def pointed(node: Json, pointer: str) -> Json:
    """What a JSON pointer (RFC 6901) leads to; None where that is nothing."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, Mapping):
            node = node.get(name)
        elif isinstance(node, list) and name.isdecimal() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node


def _filled(node: JsonValue, action: Action) -> Json:
    if isinstance(node, str) and REFERENCE.fullmatch(node):
        return cut(VALUES[node.removesuffix(":value")](action))
    if isinstance(node, dict):
        return {name: _filled(value, action) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, action) for value in node]
    return node


def _id_in(answer: Json, pointer: str) -> str | None:
    """A run's id, where there is one that can stand in an address."""
    found = pointed(answer, pointer)
    text = str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""
    return text if 0 < len(text) <= LONGEST_ID and text.isprintable() and text not in {".", ".."} else None


def _short(value: Json) -> str:
    if value is None:
        return ""
    return reason_in(value.encode() if isinstance(value, str) else msgspec.json.encode(value))


def _checked(address: str) -> None:
    """Raises ``ValueError``, which does not quote it, for what is no address to send to."""
    parts = urlsplit(address)
    if not address.isascii() or not address.isprintable() or " " in address:
        raise ValueError("an address is printable ASCII, without spaces")
    if parts.username or parts.password:
        raise ValueError("credentials do not belong into an address: give a header")
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.fragment:
        raise ValueError("it is no address: `https://host.example/webhook/triaged` is one")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("its port is no number below 65536") from None
    if not is_safe(address):
        raise ValueError(f"verdicts and credentials would travel in the open to {parts.hostname}: use https://")


def _allowed(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """The headers without the newline that a file of secrets ends with. Raises ``ValueError`` that quotes no value."""
    found = {name: value.get_secret_value().strip() for name, value in headers.items()}
    for name, value in found.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OURS:
            raise ValueError(f"{name!r} cannot be given: it is no header's name, or one that is set here")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"{name}: it is empty, or holds what cannot stand in a header")
    return {name: SecretStr(value) for name, value in found.items()}


def _key(secret: SecretStr) -> bytes:
    """The key's bytes: of a text, or of the base64 behind ``whsec_``."""
    text = secret.get_secret_value().strip()
    if not text.startswith("whsec_"):
        return text.encode()
    try:
        return base64.b64decode(text.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        raise ValueError("what follows whsec_ is not base64") from None


def _place(config: WebhookSettings, address: str, headers: Mapping[str, SecretStr]) -> Place:
    parts = urlsplit(address)
    reach = config.model_dump(include=set(Reached.model_fields))
    rest = RestSettings(**reach | {"type": config.type, "url": f"{parts.scheme}://{parts.netloc}"})
    told = {name: value.get_secret_value() for name, value in headers.items()}
    return Place(Rest(rest, told), f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")


def _hidden(config: WebhookSettings) -> Collection[str]:
    """What errors leave out, as a receiver may quote it: secrets, their words, and parts of addresses that may be a token."""
    status = config.status
    headers = [*config.headers.values(), *(status.headers.values() if status else ())]
    secrets = [secret.get_secret_value() for secret in (*headers, *([config.secret] if config.secret else []))]
    words = [word for secret in secrets for word in secret.split()]
    addresses = [config.url.get_secret_value(), *([status.url] if status else [])]
    pieces = [piece for address in addresses for piece in _pieces(address)]
    return {*secrets, *(part for part in (*words, *pieces) if len(part) >= SHORTEST_HIDDEN)}


def _pieces(address: str) -> Iterator[str]:
    """The parts of an address's path and query, as they stand there and as they are meant; none holds what is filled in."""
    parts = urlsplit(_HOLE.sub("/", address))
    raw = re.split("[&=]", parts.query)
    meant = (part for pair in parse_qsl(parts.query) for part in pair)
    yield parts.query
    yield from (*parts.path.split("/"), *unquote(parts.path).split("/"))
    for text in (*raw, *meant):
        yield from (text, *text.split("/"))


plugin = SoarPlugin(soar=WebhookSoar, testbed="tests.soar.webhook:Forgetful")
