"""Requests as they come: decoded once, and the events in them not at all.

An event stays the bytes that came, so that it is decoded, and refused, as one from a file would be: alone.
"""

from __future__ import annotations

import json
import zlib
from itertools import islice
from typing import Annotated, Final, TypeVar
from uuid import UUID

import msgspec

from connector.api.framing import lifted, values
from connector.api.refusal import Refusal
from connector.learn.review import Answer

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
Name = Annotated[str, msgspec.Meta(max_length=256)]
Hours = Annotated[float, msgspec.Meta(gt=0, le=24 * 7)]
B = TypeVar("B", bound="Classify | Push")

MOST_IDS: Final = 10_000
MOST_MEMBERS: Final = 100
"""Of a gzip body. What follows a member is copied for each."""
MANY: Final = 8
"""Objects an event beyond which events are counted before they are decoded. Each event is one, two brackets deep."""
UUID_LENGTH: Final = 36


class Item(msgspec.Struct, forbid_unknown_fields=True):
    """An event to be classified: its data, and where it stands in its SIEM."""

    data: msgspec.Raw
    id: Id | None = None
    index: Name = ""


class PushedItem(Item, forbid_unknown_fields=True):
    """An event to be taken: with its own identity, or with a key that the client made up."""

    key: Id | None = None


class Classify(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/classify``."""

    events: list[Item]
    deployment: Name | None = None


class Push(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/events``."""

    events: list[PushedItem]


class Lookup(msgspec.Struct, forbid_unknown_fields=True):
    """The body of ``POST /v1/verdicts``."""

    ids: Annotated[list[Name], msgspec.Meta(max_length=MOST_IDS)]


class Word(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an approval or a rejection: why, and for how long an approval holds; absent: as the rule says."""

    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    hours: Hours | None = None


_CLASSIFY: Final = msgspec.json.Decoder(Classify)
_PUSH: Final = msgspec.json.Decoder(Push)
_LOOKUP: Final = msgspec.json.Decoder(Lookup)
_WORD: Final = msgspec.json.Decoder(Word)
_ANSWER: Final = msgspec.json.Decoder(Answer)
_STRING: Final = msgspec.json.Decoder(str)


def classify(body: bytes, limit: int) -> Classify:
    """What to classify. Raises ``Refusal``: 400 for what is no such request, 413 for more events than the limit."""
    return _events(body, _CLASSIFY, limit)


def push(body: bytes, limit: int) -> Push:
    """What to take. Raises ``Refusal`` as :func:`classify` does."""
    return _events(body, _PUSH, limit)


def lookup(body: bytes) -> Lookup:
    """Which verdicts to look up. Raises ``Refusal``."""
    return _plain(body, _LOOKUP)


def word(body: bytes) -> Word:
    """A person's word; an empty body is one without a reason. Raises ``Refusal``."""
    return _plain(body, _WORD) if body.strip() else Word()


def review_answer(body: bytes) -> Answer:
    """An analyst's answer to a question of ours. Raises ``Refusal``."""
    return _plain(body, _ANSWER)


def event_id(text: str) -> str | None:
    """An event's id in the one form that the ledger knows; None for what is none."""
    try:
        return str(UUID(text)) if len(text) == UUID_LENGTH else None
    except ValueError:
        return None


def payload(data: bytes) -> str | bytes:
    """An event's data as a source would give it: a JSON string is text, anything else stays the bytes that came."""
    if not data.startswith(b'"'):
        return data
    try:
        return _STRING.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # what strict JSON refuses (lone surrogates) the standard library reads
    try:
        return str(json.loads(data))
    except ValueError:
        return data


def unpacked(body: bytes, encoding: str, limit: int) -> bytes:
    """The body without its compression.

    Raises ``Refusal``: 400 for what is not gzip, 413 for what unpacks to more than the limit or has more members than
    :data:`MOST_MEMBERS`, 415 for another encoding.
    """
    if encoding in {"", "identity"}:
        return body
    if encoding != "gzip":
        raise Refusal(415, "Content-Encoding must be gzip, or absent")
    parts: list[bytes] = []
    size = 0
    while body:
        if len(parts) == MOST_MEMBERS:
            raise Refusal(413, f"a gzip body may have {MOST_MEMBERS} members", code=27)
        member = zlib.decompressobj(wbits=31)
        try:
            part = member.decompress(body, limit + 1 - size)
        except zlib.error as error:
            raise Refusal(400, "the body is not gzip, as its Content-Encoding says") from error
        size += len(part)
        if size > limit:
            raise Refusal(413, f"the body unpacks to more than {limit} bytes", code=27)
        if not member.eof:
            raise Refusal(400, "the gzip body is not whole")
        parts.append(part)
        body = member.unused_data
    return b"".join(parts)


def _events(body: bytes, decoder: msgspec.json.Decoder[B], limit: int) -> B:
    too_many = Refusal(413, f"a request may hold {limit} events", code=27)
    if body.count(b"{") > MANY * limit and next(islice(values(body, 2), limit, None), None) is not None:
        raise too_many
    try:
        request = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"not such a request: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        request = _around_the_events(body, decoder)
    if len(request.events) > limit:
        raise too_many
    return request


def _around_the_events(body: bytes, decoder: msgspec.json.Decoder[B]) -> B:
    """The request, where the data of one event is what no decoder takes: it is decoded without their data."""
    skeleton, data = lifted(body, 3, {b"data"})
    request = _plain(skeleton, decoder)
    if len(request.events) != len(data):
        raise Refusal(400, 'not such a request: each event has exactly one "data"')
    for item, raw in zip(request.events, data, strict=True):
        item.data = msgspec.Raw(raw)
    return request


T = TypeVar("T")


def _plain(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Refusal(400, f"not such a request: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(400, f"malformed JSON: {error}") from error
