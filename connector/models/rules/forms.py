"""The form of a Windows event: what all events of one log with the same names of data have in common for the rules.

Most events have a form that was there before. Which fields rules ask of a form, and where these stand, is found once; from then
on an event costs a look at those fields. What is odd in any way has no form, and is read with all care (:mod:`.views`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

import msgspec

from connector.models.rules.views import (
    COMPUTER,
    COMPUTER_PLACES,
    MAX_VALUE,
    OF_LOG,
    SEPARATOR,
    UNNAMED,
    Asked,
    Places,
    Told,
    moved,
    read,
    unnamed_of,
    view_of,
)
from connector.types import Document, Event, Json

LONGEST: Final = 4096
"""Characters of the name of a form that is remembered: those of Windows' own events have some hundreds."""

_MOST: Final = 64
"""Fields of an event's data that still make a form: an event that brings more is nothing that comes again."""

Name: TypeAlias = tuple[str, ...]
"""Kind, code, channel, provider, and the names of the data."""

REFUSED: Final = (OverflowError, RecursionError, TypeError, UnicodeEncodeError)
"""What the encoder says of numbers beyond 64 bits, of depths, and of halves of a surrogate pair."""

_NIL: Final = b"\xc0"
"""How MessagePack writes null, which no UTF-8 holds: where there is none of it, no value is null, which would stand elsewhere."""

Data: TypeAlias = Mapping[str, Json]
encoded: Final = msgspec.msgpack.Encoder().encode

Rules = TypeVar("Rules")


class Reads(NamedTuple):
    """What rules read of an event: its log, the fields that a rule of the log asks for, and their values."""

    log: Sequence[str]
    asked: Asked
    told: Sequence[Told]


class Form(NamedTuple, Generic[Rules]):
    """``rules`` are those of the log. ``told`` is a digest of the log, the fields and the values that all events share.

    ``text`` are those values, case-folded. ``take`` takes the others out of an event's data; ``places`` are where more may stand
    in its ECS document.
    """

    rules: Rules
    told: bytes
    text: str
    take: Callable[[Data], tuple[Any, ...]]
    places: tuple[Places, ...]

    def tells(self, ecs: Document, data: Data) -> bytes | None:
        """All that tells an event from others, as far as rules read it; None where a value may stand elsewhere than here."""
        try:
            told: bytes = encoded(self.take(data))
            if _NIL in told:
                return None
            return told + encoded([read(ecs, places) for places in self.places]) if self.places else told
        except REFUSED:
            return None

    def folded(self, ecs: Document, data: Data) -> str | None:
        """The same as one text without regard to case; None where it is not made of short texts alone."""
        values = (*self.take(data), *[value for places in self.places if (value := read(ecs, places)) is not None])
        try:
            text = SEPARATOR.join(values)
        except TypeError:
            return None
        return f"{self.text}{SEPARATOR}{text.casefold()}" if len(text) <= MAX_VALUE else None


def name_of(event: Event) -> tuple[Name, Data] | None:
    """What an event's form is remembered by, and its data; None where it is like no other's."""
    ecs = event.ecs
    winlog, node = ecs.get("winlog"), ecs.get("event")
    data = winlog.get("event_data") if type(winlog) is dict else None
    if type(winlog) is not dict or type(data) is not dict:
        return None
    code = (node.get("code") if type(node) is dict else None) or winlog.get("event_id")
    channel, provider = winlog.get("channel"), winlog.get("provider_name")
    # of texts alone: True and 1 are one key of a dict, and not one code
    if type(code) is type(channel) is type(provider) is str and len(data) <= _MOST and not winlog.get("user_data"):
        return (event.kind, code, channel, provider, *data), data
    return None


def form_of(event: Event, data: Data, reads: Reads, rules: Rules) -> Form[Rules]:
    """The form of an event of which so much is read. Raises one of :data:`REFUSED` where that is no text."""
    asked, view = reads.asked, view_of(event)
    others = [name for name in asked.elsewhere if name not in OF_LOG]
    common = Asked((), tuple(name for name in asked.elsewhere if name in OF_LOG))
    unnamed = unnamed_of(data) if UNNAMED in others else ()
    places = {**moved(event.kind), COMPUTER: COMPUTER_PLACES}
    return Form(
        rules,
        hashlib.sha256(encoded((reads.log, asked, unnamed, view.told(common)))).digest(),
        view.text(common),
        _taker((*asked.data, *unnamed)),
        tuple(places[name] for name in others if name != UNNAMED),
    )


def _taker(names: tuple[str, ...]) -> Callable[[Data], tuple[Any, ...]]:
    """What takes these values out of an event's data, always as a tuple."""
    match names:
        case ():
            return lambda _: ()
        case (name,):
            return lambda data: (data[name],)
    return itemgetter(*names)
