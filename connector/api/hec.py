"""Events as clients of Splunk's HTTP Event Collector send them: objects one after another, each with ``event``.

An object becomes the row that a search in Splunk would give: ``_raw``, ``_time``, host, source and sourcetype, and the
indexed fields. So an event looks the same whether it is polled from Splunk or sent here instead.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

import msgspec

from connector.api.bodies import payload
from connector.api.framing import lifted, values
from connector.api.inlet import Inlet
from connector.api.push import made_up
from connector.api.refusal import Refusal
from connector.ports import Clock
from connector.types import Json, RawEvent, SourceRef

SOURCETYPE: Final = "httpevent"
"""What Splunk calls an event whose client names no sourcetype."""

_LIFTED: Final = frozenset({b"event", b"fields"})


class Envelope(msgspec.Struct):
    """What stands around an event. Unknown names are passed over, as Splunk does."""

    event: msgspec.Raw = msgspec.Raw()
    fields: msgspec.Raw = msgspec.Raw()
    time: float | str | None = None
    host: str = ""
    source: str = ""
    sourcetype: str = ""
    index: str = ""


class _Around(msgspec.Struct):
    """The same, with places for what was lifted out."""

    event: int | None = None
    fields: int | None = None
    time: float | str | None = None
    host: str = ""
    source: str = ""
    sourcetype: str = ""
    index: str = ""


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)
_AROUND: Final = msgspec.json.Decoder(_Around)
_FIELDS: Final = msgspec.json.Decoder(dict[str, Any])


def raw_events(
    body: bytes, inlet: Inlet, client: str, request_key: str | None, *, clock: Clock, limit: int
) -> list[RawEvent]:
    """The body's events. Raises ``Refusal`` with the collector's own code, before anything is taken."""
    envelopes = list(islice(_envelopes(body), limit + 1))
    if not envelopes:
        raise Refusal(400, "No data", code=5)
    if len(envelopes) > limit:
        raise Refusal(413, f"a request may hold {limit} events", code=27)
    received = clock().isoformat()
    seen: Counter[str] = Counter()
    raws: list[RawEvent] = []
    for place, envelope in enumerate(envelopes):
        data = _data(envelope, place)
        if request_key:
            native = made_up(client, "request", request_key, str(place))
        else:
            native = _by_content(envelope, data, received, place)
            seen[native] += 1
            native = f"{native}:{seen[native]}"
        raws.append(_raw(inlet, envelope, data, native))
    return raws


def _envelopes(body: bytes) -> Iterator[Envelope]:
    for place, (start, stop) in enumerate(values(body)):
        try:
            yield _envelope(body[start:stop])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise Refusal(400, "Invalid data format", code=6, at=place) from error


def _envelope(text: bytes) -> Envelope:
    try:
        return _ENVELOPE.decode(text)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # what no decoder takes stands in the event itself, or the object is none
    skeleton, taken = lifted(text, 1, _LIFTED)
    around = _AROUND.decode(skeleton)
    keys = [text[start + 1 : stop - 1] for start, stop in islice(values(text, 1), 0, None, 2)]
    named = dict(zip((key for key in keys if key in _LIFTED), map(msgspec.Raw, taken), strict=True))
    return Envelope(
        event=named.get(b"event", msgspec.Raw()),
        fields=named.get(b"fields", msgspec.Raw()),
        time=around.time,
        host=around.host,
        source=around.source,
        sourcetype=around.sourcetype,
        index=around.index,
    )


def _data(envelope: Envelope, place: int) -> bytes:
    data = bytes(envelope.event)
    if not data or data == b"null":
        raise Refusal(400, "Event field is required", code=12, at=place)
    if data in {b'""', b"{}"}:
        raise Refusal(400, "Event field cannot be blank", code=13, at=place)
    return data


def _raw(inlet: Inlet, envelope: Envelope, data: bytes, native: str) -> RawEvent:
    text = payload(data)
    row: dict[str, Json] = _fields(envelope)
    row["_raw"] = text if isinstance(text, str) else text.decode("utf-8", "replace")
    row["sourcetype"] = envelope.sourcetype or SOURCETYPE
    told = {"_time": _moment(envelope.time), "host": envelope.host, "source": envelope.source, "index": envelope.index}
    row |= {name: value for name, value in told.items() if value}
    return RawEvent(
        deployment=inlet.deployment,
        native_id=native,
        ref=SourceRef(siem=inlet.deployment, index=envelope.index, id=native),
        data=row,
        place=f"{inlet.name}/{native}",
    )


def _fields(envelope: Envelope) -> dict[str, Json]:
    if not bytes(envelope.fields):
        return {}
    try:
        return _FIELDS.decode(envelope.fields)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}  # indexed fields repeat what the event says: without them it is still the event


def _moment(time: float | str | None) -> str | None:
    """Epoch seconds as RFC 3339; None for what is no time."""
    if time is None:
        return None
    try:
        return datetime.fromtimestamp(float(time), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ArithmeticError, OSError, ValueError):
        return None


def _by_content(envelope: Envelope, data: bytes, received: str, place: int) -> str:
    """The native id of an event that nobody gave one: its content, its fields and its time, so that it may be sent again.

    Splunk gives an event without a time that of its receipt, and so do we: it is another event each time that it comes.
    """
    time = f"{received} {place}" if envelope.time is None else str(envelope.time)
    around: tuple[str, ...] = (time, envelope.host, envelope.source, envelope.sourcetype, envelope.index)
    if fields := bytes(envelope.fields):
        around += (hashlib.sha256(fields).hexdigest(),)
    content = hashlib.sha256(msgspec.json.encode(around) + data)
    return f"hec:{content.hexdigest()}"
