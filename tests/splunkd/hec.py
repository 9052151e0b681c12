"""The HTTP event collector: events one after the other or as raw text, tokens, channels and acknowledgements."""

from __future__ import annotations

import base64
import json
import re
import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.splunkd.events import Indexes, Value
from tests.splunkd.faults import Faults
from tests.splunkd.wire import Answer, CutOffError, Request, json_answer

_SPACE = re.compile(r"\s*")
_decode = json.JSONDecoder().raw_decode


class RejectedError(Exception):
    """A post ends here with the collector's own code; ``event`` is the number of the first invalid event."""

    def __init__(self, status: int, code: int, text: str, event: int | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.event = status, code, text, event


@dataclass(frozen=True, slots=True)
class HecToken:
    """A token: where its events go by default, the indexes that it may write (none named: all), and whether it acknowledges."""

    index: str = "main"
    indexes: tuple[str, ...] = ()
    use_ack: bool = False
    disabled: bool = False
    source: str = ""
    sourcetype: str = ""


@dataclass(slots=True)
class _Channel:
    next_id: int = 0
    waiting: dict[int, int] = field(default_factory=dict)
    """Acknowledgement id → how often it was asked for in vain."""


class Collector:
    """The endpoints below ``services/collector``. Safe for threads."""

    def __init__(self, tokens: Mapping[str, HecToken], indexes: Indexes, faults: Faults) -> None:
        self._tokens, self._indexes, self._faults = tokens, indexes, faults
        self._channels: dict[tuple[str, str], _Channel] = {}
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Answer:
        """The answer to any request of the collector."""
        try:
            return self._route(request)
        except RejectedError as rejected:
            said: dict[str, Any] = {"text": rejected.text, "code": rejected.code}
            if rejected.event is not None:
                said["invalid-event-number"] = rejected.event
            return json_answer(said, rejected.status)

    def reset_channels(self) -> None:
        """What a restart of the collector does: acknowledgements that wait are forgotten, and their numbers begin again."""
        with self._lock:
            self._channels.clear()

    def _route(self, request: Request) -> Answer:
        path = re.sub(r"/1\.0$", "", request.path)
        if path == "collector/health":
            busy = self._faults.hec_busy > 0
            return (
                json_answer({"text": "HEC is unhealthy, queues are full", "code": 18}, 503)
                if busy
                else json_answer({"text": "HEC is healthy", "code": 17})
            )
        if path not in {"collector", "collector/event", "collector/raw", "collector/ack"}:
            return json_answer({"text": "The requested URL was not found on this server.", "code": 404}, 404)
        name, token = self._token(request)
        if request.method != "POST":
            return json_answer({"text": "Method Not Allowed"}, 405)
        if path == "collector/ack":
            return self._acks(request, name, token)
        return self._events(request, name, token, raw=path == "collector/raw")

    def _token(self, request: Request) -> tuple[str, HecToken]:
        given = request.headers.get("authorization", "")
        in_query = "".join(request.query.get("token", [])[-1:]) if not given else ""
        name = in_query or _named(given)
        token = self._tokens.get(name)
        if token is None:
            raise RejectedError(403, 4, "Invalid token")
        if token.disabled:
            raise RejectedError(403, 1, "Token disabled")
        if in_query:
            raise RejectedError(400, 16, "Query string authorization is not enabled")
        return name, token

    def _channel(self, request: Request, token: str, *, needed: bool) -> _Channel | None:
        name = request.headers.get("x-splunk-request-channel") or "".join(request.query.get("channel", [])[-1:])
        if not name:
            if needed:
                raise RejectedError(400, 10, "Data channel is missing")
            return None
        try:
            uuid.UUID(name)
        except ValueError:
            raise RejectedError(400, 11, "Invalid data channel") from None
        return self._channels.setdefault((token, name.lower()), _Channel())

    def _events(self, request: Request, name: str, token: HecToken, *, raw: bool) -> Answer:
        faults = self._faults
        if faults.hec_max_bytes is not None and len(request.body) > faults.hec_max_bytes:
            return json_answer(
                {
                    "text": f"Content-Length of {len(request.body)} too large (maximum is {faults.hec_max_bytes})",
                    "code": 27,
                },
                413,
            )
        with self._lock:
            if faults.hec_busy > 0:
                faults.hec_busy -= 1
                raise RejectedError(503, 9, "Server is busy")
            channel = self._channel(request, name, needed=token.use_ack)
            acknowledged = token.use_ack and channel is not None
            self._index(request, token, raw=raw, lost=acknowledged and faults.acks == "lost")
            reply: dict[str, Any] = {"text": "Success", "code": 0}
            if acknowledged and channel is not None:
                reply["ackId"] = channel.next_id
                channel.waiting[channel.next_id] = 0 if faults.acks not in {"lost", "never"} else _NEVER
                channel.next_id += 1
            if faults.hec_no_answer > 0:
                faults.hec_no_answer -= 1
                raise CutOffError
            return json_answer(reply)

    def _index(self, request: Request, token: HecToken, *, raw: bool, lost: bool) -> None:
        try:
            text = request.body.decode()
        except UnicodeDecodeError:
            raise RejectedError(400, 6, "Invalid data format", 0) from None
        if not text.strip():
            raise RejectedError(400, 5, "No data")
        posted = [_raw(line, request) for line in text.splitlines() if line] if raw else _posted(text)
        for number, event in enumerate(posted):
            index = event.index or token.index
            if index not in self._indexes.names or (token.indexes and index not in token.indexes):
                raise RejectedError(400, 7, "Incorrect index", number)
            if not lost:
                self._indexes.put(
                    event.text,
                    index=index,
                    time=event.time,
                    host=event.host,
                    source=event.source or token.source or "http:standin",
                    sourcetype=event.sourcetype or token.sourcetype or "httpevent",
                    indexed=event.fields,
                )

    def _acks(self, request: Request, name: str, token: HecToken) -> Answer:
        if not token.use_ack:
            raise RejectedError(400, 14, "ACK is disabled")
        try:
            asked = [int(one) for one in json.loads(request.body)["acks"]]
        except (ValueError, KeyError, TypeError):
            raise RejectedError(400, 6, "Invalid data format") from None
        with self._lock:
            channel = self._channel(request, name, needed=True)
            if self._faults.ack_busy > 0:
                self._faults.ack_busy -= 1
                raise RejectedError(503, 9, "Server is busy")
            return json_answer({"acks": {str(one): channel is not None and self._told(channel, one) for one in asked}})

    def _told(self, channel: _Channel, number: int) -> bool:
        faults = self._faults
        asked = channel.waiting.get(number)
        if asked is None or asked == _NEVER or faults.acks == "pending":
            return False
        if asked < faults.ack_polls:
            channel.waiting[number] = asked + 1
            return False
        if faults.acks != "twice":
            del channel.waiting[number]
        return True


_NEVER = -1


def _named(authorization: str) -> str:
    """The token of a header: ``Splunk TOKEN``, or the password of ``Basic``."""
    if not authorization:
        raise RejectedError(401, 2, "Token is required")
    kind, _, given = authorization.partition(" ")
    name = given.strip() if kind.lower() == "splunk" else ""
    if kind.lower() == "basic":
        with suppress(ValueError):
            name = base64.b64decode(given).decode().partition(":")[2]
    if not name:
        raise RejectedError(401, 3, "Invalid authorization")
    return name


@dataclass(frozen=True, slots=True)
class _Posted:
    text: str
    time: float | None = None
    index: str = ""
    host: str = ""
    source: str = ""
    sourcetype: str = ""
    fields: Mapping[str, Value] = field(default_factory=dict)


def _raw(line: str, request: Request) -> _Posted:
    named = {name: request.query.get(name, [""])[-1] for name in ("index", "host", "source", "sourcetype")}
    time = request.query.get("time", [""])[-1]
    try:
        return _Posted(line, float(time) if time else None, **named)
    except ValueError:
        raise RejectedError(400, 6, "Invalid data format") from None


def _posted(text: str) -> Any:
    """The events of a body, one by one: those before an invalid one are taken."""
    at = _SPACE.match(text).end()
    number = 0
    while at < len(text):
        try:
            _, end = _decode(text, at)
        except ValueError:
            raise RejectedError(400, 6, "Invalid data format", number) from None
        piece = text[at:end]
        for part in msgspec.json.decode(piece, type=list[msgspec.Raw]) if piece[0] == "[" else [piece.encode()]:
            yield _one(bytes(part), number)
            number += 1
        at = _SPACE.match(text, end).end()


def _one(piece: bytes, number: int) -> _Posted:
    try:
        parts = msgspec.json.decode(piece, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        raise RejectedError(400, 6, "Invalid data format", number) from None
    values = {name: msgspec.json.decode(part) for name, part in parts.items() if name != "event"}
    if "event" not in parts or bytes(parts["event"]) == b"null":
        raise RejectedError(400, 12, "Event field is required", number)
    event = msgspec.json.decode(parts["event"])
    if event == "":
        raise RejectedError(400, 13, "Event field cannot be blank", number)
    if {*values} - {"time", "host", "source", "sourcetype", "index", "fields"}:
        raise RejectedError(400, 6, "Invalid data format", number)
    try:
        time = None if values.get("time") in {None, ""} else float(values["time"])
    except (TypeError, ValueError):
        raise RejectedError(400, 6, "Invalid data format", number) from None
    named = {name: values.get(name) or "" for name in ("index", "host", "source", "sourcetype")}
    if not all(isinstance(value, str) for value in named.values()):
        raise RejectedError(400, 6, "Invalid data format", number)
    text = event if isinstance(event, str) else bytes(parts["event"]).decode()
    return _Posted(text, time, fields=_fields(values.get("fields"), number), **named)


def _fields(given: Any, number: int) -> dict[str, Value]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise RejectedError(400, 15, "Error in handling indexed fields", number)
    found: dict[str, Value] = {}
    for name, value in given.items():
        several: Sequence[Any] = value if isinstance(value, list) else [value]
        if any(isinstance(one, dict | list) for one in several):
            raise RejectedError(400, 15, "Error in handling indexed fields", number)
        texts = [one if isinstance(one, str) else json.dumps(one) for one in several if one is not None]
        if texts:
            found[name] = texts if isinstance(value, list) else texts[0]
    return found
